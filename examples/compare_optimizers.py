"""Draw how optimizers behave, one figure per question, and describe each figure in words.

    python examples/compare_optimizers.py --out figures
    python examples/compare_optimizers.py --figures saddle,clipping,momentum

The saddle is also a GIF, and the sweep over all optimizers also a table. Fewer `--steps` and
`--seeds` shorten the runs on digits; all figures take some minutes.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from comparison import digits, paths, signals, sweep
from comparison.sheet import Options, Sheet, save_png
from train_digits import require

FIGURES: dict[str, Callable[[Options], Sheet]] = {
    "landscapes": paths.landscapes,
    "saddle": paths.saddle,
    "rates": digits.rates,
    "batches": digits.batches,
    "momentum": paths.momentum,
    "clipping": paths.clipping,
    "adagrad": paths.adagrad,
    "averages": signals.averages,
    "warmup": signals.warmup,
    "minima": digits.minima,
    "sensitivity": sweep.sensitivity,
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--figures", default="all", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--steps", type=int, default=300, help="updates of a run on digits, ≥ 10")
    parser.add_argument("--seeds", type=int, default=3, help="runs to show the spread of, ≥ 1")
    parser.add_argument("--optimizers", default="all", help="to sweep over, with commas between")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder to write to")
    options = parser.parse_args(arguments)
    for name in ("figures", "optimizers"):
        text = getattr(options, name)
        setattr(options, name, () if text == "all" else tuple(text.split(",")))
    unknown = [name for name in options.figures if name not in FIGURES]
    if unknown:
        parser.error(f"--figures must be of {', '.join(FIGURES)}, got {unknown[0]!r}")
    if options.steps < 10 or options.seeds < 1:
        parser.error("--steps must be at least 10 and --seeds at least 1")
    try:
        sweep.swept(options.optimizers)
    except ValueError as error:
        parser.error(f"--optimizers: {error}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures and print the descriptions."""
    run = parse(arguments)
    require("sklearn.datasets")
    require("matplotlib").use("Agg")
    run.out.mkdir(parents=True, exist_ok=True)
    options = Options(run.steps, run.seeds, run.optimizers)
    for name in run.figures or FIGURES:
        start = time.perf_counter()
        sheet = FIGURES[name](options)
        written = [run.out / f"{name}.png"]
        save_png(sheet.figure, written[0])
        if sheet.animation is not None:
            written.append(run.out / f"{name}.gif")
            sheet.animation(written[-1])
        for file, text in sheet.files.items():
            written.append(run.out / file)
            written[-1].write_text(text)
        print("\n".join(sheet.words))
        seconds = time.perf_counter() - start
        print(f"wrote {', '.join(map(str, written))} in {seconds:.0f} s\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
