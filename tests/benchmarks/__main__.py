"""`python -m tests.benchmarks`: print the table; with `--json`, write it too."""

import argparse
import dataclasses
import json
import os
import platform

import jax

from . import accumulate, eager, large, many, memory, passes, scale, sparse, storage, sweep
from .rows import REGION_ANALYSIS, optax, torch
from .timing import HEADER

GROUPS = {
    "large": large,
    "passes": passes,
    "many": many,
    "sweep": sweep,
    "memory": memory,
    "eager": eager,
    "accumulate": accumulate,
    "storage": storage,
    "sparse": sparse,
    "scale": scale,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What to measure and how often."""

    rows: list[str]
    repeats: int
    size: int | None
    compiler_options: dict[str, bool] | None = None

    def picks(self, group: str, name: str) -> bool:
        """Whether a row was asked for."""
        return not self.rows or any(part in f"{group}: {name}" for part in self.rows)


def main() -> None:
    """Measure what was asked for and print a row as soon as it is there."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--rows", action="append", default=[], help="rows that contain this text")
    parser.add_argument("--repeats", type=int, default=20, help="of each candidate, at least 4")
    parser.add_argument("--size", type=int, help="elements of a large leaf, or of a table")
    parser.add_argument(
        "--region-analysis",
        action="store_true",
        help="compile the steps of large leaves with this option of XLA for CPUs",
    )
    parser.add_argument("--json", help="file to write the rows to")
    arguments = parser.parse_args()
    unknown = [group for group in arguments.groups if group not in GROUPS]
    if unknown:
        parser.error(f"unknown group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    if arguments.repeats < 4:
        parser.error(f"--repeats must be at least 4, got {arguments.repeats}")
    compiler_options = REGION_ANALYSIS if arguments.region_analysis else None
    options = Options(arguments.rows, arguments.repeats, arguments.size, compiler_options)

    print(described(), flush=True)
    print(HEADER, flush=True)
    rows = []
    for group in arguments.groups or GROUPS:
        for row in GROUPS[group].measure(options):
            rows.append(row)
            print(row.text, flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"machine": described(), "rows": [dataclasses.asdict(r) for r in rows]},
                file,
                indent=1,
            )


def described() -> str:
    """The machine and the versions, in one line."""
    device = jax.devices()[0]
    peers = [
        f"{name} {module.__version__}" if module else f"{name} is not installed"
        for name, module in (("optax", optax), ("torch", torch))
    ]
    return (
        f"{device.platform} ({device.device_kind}), {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, JAX {jax.__version__}, {', '.join(peers)}\n"
    )


if __name__ == "__main__":
    main()
