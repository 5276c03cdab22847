"""Shared parts of all figures: the options of the run, a sheet of axes, and descriptions."""

import dataclasses
import io
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Options:
    """The lengths and numbers of training runs.

    Attributes:
      steps: updates of a training run on digits.
      seeds: the number of runs whose mean and spread are shown.
      optimizers: names to sweep over; none for all that are registered.
    """

    steps: int = 300
    seeds: int = 3
    optimizers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A figure, its description in words, and further files to write.

    Attributes:
      figure: matplotlib's.
      words: lines to print.
      files: texts by file name.
      animation: writes a GIF to the path that it is given.
    """

    figure: Any
    words: list[str]
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    animation: Any = None


def panels(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """A new figure and its grid of axes, as an array."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save_png(figure: Any, out: Path | str) -> None:
    """Write a PNG with a palette of 128 colours, which has a third of the bytes."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    Image.open(drawn).convert("RGB").quantize(128).save(out, format="png", optimize=True)


def dress(axes: Any, x: str, y: str, title: str = "", legend: bool = True, **scales: Any) -> None:
    """Labels, a grid and a legend."""
    axes.set(xlabel=x, ylabel=y, title=title, **scales)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(fontsize="small")
