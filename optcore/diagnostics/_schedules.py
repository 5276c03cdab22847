"""Views of schedules: a plot, and a table for terminals."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import whole
from ._matplotlib import axes_of

Schedules = Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]]


def plot_schedule(schedules: Schedules, steps: int, *, axes: Any = None, log: bool = False) -> Any:
    """Draw the values of one or several schedules over the step count.

    Args:
      schedules: a function of the step count, or a mapping from labels to such functions.
      steps: ≥ 1; the counts 0 … `steps - 1` are drawn (at most 2000 of them, evenly spread).
      axes: matplotlib's axes to draw into; by default those of a new figure.
      log: a logarithmic value axis.

    Returns:
      The axes; `plot_schedule(...).figure.savefig("rates.png")` writes a file.

    Raises:
      ImportError: matplotlib is not installed (the extra `plot`).
      TypeError: a schedule is not a function of the step count, or `steps` is not an int.
      ValueError: `steps` is out of range, or a schedule does not return a scalar.

    >>> from optcore import cosine_decay_schedule
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> axes = plot_schedule({"cosine": cosine_decay_schedule(1.0, 100)}, steps=120)
    >>> axes.get_xlabel(), len(axes.lines)
    ('step', 1)
    """
    curves = _curves(schedules)
    counts = _counts("plot_schedule", steps, 2000)
    axes = axes_of("plot_schedule", axes, (6.4, 3.6), ", or use schedule_table")
    for label, schedule in curves.items():
        # A step's value holds until the next step.
        axes.plot(counts, _values(schedule, counts), label=label, drawstyle="steps-post")
    axes.set_xlabel("step")
    axes.set_ylabel("value")
    axes.set_xlim(0, max(steps - 1, 1))
    axes.grid(alpha=0.3)
    if log:
        axes.set_yscale("log")
    if isinstance(schedules, Mapping):
        axes.legend()
    return axes


def schedule_table(schedules: Schedules, steps: int, *, rows: int = 11) -> str:
    """The values of one or several schedules as a table of text, with a bar for a single one.

    Args:
      schedules: a function of the step count, or a mapping from labels to such functions.
      steps: ≥ 1; the counts are spread evenly over 0 … `steps - 1`.
      rows: the number of counts shown, ≥ 1.

    Returns:
      Lines of text; values with four significant digits.

    Raises:
      TypeError: a schedule is not a function of the step count, or `steps` is not an int.
      ValueError: `steps` or `rows` is not positive, or a schedule does not return a scalar.

    >>> from optcore import linear_schedule
    >>> print(schedule_table(linear_schedule(0.0, 1.0, 4), steps=5))
    step  value
       0      0
       1   0.25  ##########
       2    0.5  ####################
       3   0.75  ##############################
       4      1  ########################################
    """
    curves = _curves(schedules)
    counts = _counts("schedule_table", steps, rows)
    columns = {label: _values(schedule, counts) for label, schedule in curves.items()}
    cells = [["step", *map(str, counts)]]
    cells += [[label, *(f"{v:.4g}" for v in values)] for label, values in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in zip(*cells, strict=True)
    ]
    if len(columns) == 1:
        (values,) = columns.values()
        bars = _bars(values)
        lines = [lines[0], *(f"{a}  {b}".rstrip() for a, b in zip(lines[1:], bars, strict=True))]
    return "\n".join(lines)


def _bars(values: np.ndarray[Any, Any], width: int = 40) -> list[str]:
    finite = np.isfinite(values)
    low, high = min(0.0, values[finite].min(initial=0)), values[finite].max(initial=0)
    parts = np.where(finite, values - low, 0) / ((high - low) or 1)
    return ["#" * round(width * float(part)) for part in parts]


def _curves(schedules: Schedules) -> Mapping[str, Callable[[Any], Any]]:
    curves = schedules if isinstance(schedules, Mapping) else {"value": schedules}
    for label, schedule in curves.items():
        if not callable(schedule):
            raise TypeError(
                f"schedules: {label!r} must be a function of the step count, got {schedule!r}"
            )
    return curves


def _counts(owner: str, steps: int, most: int) -> np.ndarray[Any, Any]:
    numbers = []
    for name, given in (("steps", steps), ("rows", most)):
        number = whole(given)
        if number is None:
            raise TypeError(f"{owner}: {name} must be an int, got {given!r}")
        if not 1 <= number <= 2**31:
            raise ValueError(f"{owner}: {name} must lie in [1, 2**31], got {number}")
        numbers.append(number)
    steps, most = numbers
    return np.unique(np.linspace(0, steps - 1, min(steps, most)).round().astype(np.int64))


def _values(schedule: Callable[[Any], Any], counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    values = jax.vmap(lambda t: jnp.asarray(schedule(t), jnp.float32))(jnp.asarray(counts))
    if values.ndim > 1:
        raise ValueError(
            f"a schedule must return one number for each step, got the shape {values.shape[1:]} "
            f"from {schedule!r}"
        )
    return np.asarray(values)
