"""What every figure is made with: the options of the run, a sheet of axes, and words."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Options:
    """How long and how often to train.

    Attributes:
      steps: updates of a training run on digits.
      seeds: runs of which mean and spread are shown.
      optimizers: names to sweep over; none for all that are registered.
    """

    steps: int = 300
    seeds: int = 3
    optimizers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A figure, what it shows in words, and what else is to be written beside it.

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


def dress(axes: Any, x: str, y: str, title: str = "", legend: bool = True, **scales: Any) -> None:
    """Labels, a grid and a legend."""
    axes.set(xlabel=x, ylabel=y, title=title, **scales)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(fontsize="small")
