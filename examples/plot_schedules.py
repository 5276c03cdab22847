"""Draw the whole family of schedules into one PNG, and print one of them as a table.

    python examples/plot_schedules.py
    python examples/plot_schedules.py --steps 500 --out schedules.png --table decays/rex
    python examples/plot_schedules.py --panels decays "warm restarts"

Every curve is a pure function of the step count; lengths and heights fit the run.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from comparison.sheet import save_png
from train_digits import require

import optcore
from optcore import diagnostics

Family = Mapping[str, Mapping[str, Callable[[Any], Any]]]


def family(steps: int, peak: float = 1.0) -> Family:
    """The schedules, by panel and by label."""
    warm, down = steps // 10, steps // 3
    stable = steps - warm - down
    cycle = steps // 6
    return {
        "decays": {
            "linear": optcore.linear_schedule(peak, 0.0, steps),
            "polynomial": optcore.polynomial_schedule(peak, 0.0, 2.0, steps),
            "cosine": optcore.cosine_decay_schedule(peak, steps),
            "exponential": optcore.exponential_decay(peak, steps, 0.02),
            "rex": optcore.schedules.rex_schedule(peak, steps),
        },
        "pieces": {
            "constant": optcore.constant_schedule(0.9 * peak),
            "step decay": optcore.step_decay_schedule(peak, steps // 5, 0.5),
            "piecewise constant": optcore.piecewise_constant_schedule(
                peak, {down: 0.3, 2 * down: 0.3}
            ),
            "piecewise interpolated": optcore.schedules.piecewise_interpolate_schedule(
                "cosine", 0.2 * peak, {down: 4.0, 2 * down: 0.3, steps: 0.1}
            ),
        },
        "without an end": {
            "inverse time": optcore.schedules.inverse_time_schedule(peak, 10.0, steps),
            "inverse root, warm": optcore.prepend_warmup(
                optcore.inverse_sqrt_schedule(peak, warm), warm
            ),
            "noam": optcore.schedules.noam_schedule(1.0, warm, 0.8 * peak * warm**0.5),
            "power": optcore.schedules.power_schedule(peak, 3.0 * peak),
        },
        "warm-up": {
            "constant": optcore.warmup_constant_schedule(0.0, peak, down),
            "linear decay": optcore.warmup_linear_decay_schedule(0.0, peak, warm, steps),
            "exponential decay": optcore.schedules.warmup_exponential_decay_schedule(
                0.0, peak, warm, steps, 0.05
            ),
            **{
                f"{rise} rise, cosine": optcore.warmup_cosine_decay_schedule(
                    0.01 * peak, peak, 2 * warm, steps, rise=rise
                )
                for rise in ("linear", "cosine", "exponential")
            },
        },
        "warm-up, stable, decay": {
            "knee": optcore.schedules.knee_schedule(peak, stable, down, warm),
            **{
                shape: optcore.warmup_stable_decay_schedule(
                    peak,
                    warm,
                    stable,
                    down,
                    0.01 * peak,
                    shape=shape,
                    power=3.0 if shape == "power" else None,
                )
                for shape in ("cosine", "1-sqrt", "1-square", "exponential", "power")
            },
            "branched earlier": optcore.append_cooldown(
                optcore.warmup_constant_schedule(0.0, peak, warm), 2 * warm, down
            ),
        },
        "cycles": {
            "triangular": optcore.cyclic_schedule(0.1 * peak, peak, cycle),
            "triangular2": optcore.cyclic_schedule(
                0.1 * peak, 0.9 * peak, cycle, policy="triangular2"
            ),
            "exp_range": optcore.cyclic_schedule(
                0.1 * peak, 0.8 * peak, cycle, cycle // 2, "exp_range", 0.995
            ),
        },
        "warm restarts": {
            "multiplier 1, decay 0.8": optcore.cosine_restarts_schedule(
                peak, steps // 4, decay=0.8
            ),
            "multiplier 2, warm": optcore.cosine_restarts_schedule(
                peak, steps // 7, 2.0, warmup_steps=steps // 50
            ),
        },
        "one cycle": {
            "as in torch": optcore.onecycle_schedule(peak, steps),
            "three phases": optcore.onecycle_schedule(
                peak, steps, anneal="linear", three_phase=True
            ),
            "cosine": optcore.schedules.cosine_onecycle_schedule(steps, 0.9 * peak),
            "linear": optcore.schedules.linear_onecycle_schedule(steps, 0.8 * peak),
        },
        "momentum": {
            "one cycle": optcore.schedules.onecycle_momentum_schedule(steps),
            "cyclic": optcore.schedules.cyclic_momentum_schedule(0.8, 0.95, cycle),
        },
        "chebyshev": {"64 steps": optcore.schedules.chebyshev_schedule(0.05 * peak, 64)},
    }


def draw(panels: Family, steps: int, out: Path) -> None:
    """All panels in one figure, each with its legend below."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = require("matplotlib.figure").Figure(figsize=(8, 3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
        shown = min(steps, 64) if title == "chebyshev" else steps
        diagnostics.plot_schedule(curves, shown, axes=axes)
        axes.set_title(title)
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24)}
        axes.legend(fontsize="small", ncols=2, frameon=False, **below)
    save_png(figure, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the picture and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=300, help="of the run, at least 60")
    parser.add_argument("--out", type=Path, default=Path("schedules.png"), help="the PNG to write")
    parser.add_argument("--panels", nargs="+", metavar="TITLE", help="to draw, by default all")
    parser.add_argument("--table", default="decays/cosine", help="the schedule to print as a table")
    options = parser.parse_args(arguments)
    if options.steps < 60:
        parser.error(f"--steps must be at least 60, got {options.steps}")
    panels = family(options.steps)
    drawn = options.panels or list(panels)
    unknown = [title for title in drawn if title not in panels]
    if unknown:
        parser.error(f"--panels must be of {', '.join(map(repr, panels))}, got {unknown[0]!r}")
    curves = {
        f"{title}/{label}": curve
        for title, panel in panels.items()
        for label, curve in panel.items()
    }
    if options.table not in curves:
        parser.error(f"--table must be one of {', '.join(curves)}, got {options.table}")
    print(diagnostics.schedule_table(curves[options.table], options.steps))
    draw({title: panels[title] for title in drawn}, options.steps, options.out)
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
