"""Plots of the results of `loss_line` and `loss_surface`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._matplotlib import axes_of, draw_contours
from ._surface import LossLine, LossSurface


def plot_loss_line(
    lines: LossLine | Mapping[str, LossLine], *, axes: Any = None, log: bool = False
) -> Any:
    """Draw the loss along the line between two points.

    Args:
      lines: a result of `loss_line`, or a mapping from labels to several results.
      axes: matplotlib's axes to draw into; by default those of a new figure.
      log: a logarithmic loss axis.

    Returns:
      The axes.

    Raises:
      ImportError: matplotlib is not installed (the extra `plot`).

    >>> import jax.numpy as jnp, matplotlib
    >>> from optcore.diagnostics import loss_line
    >>> matplotlib.use("Agg")
    >>> line = loss_line(lambda w: w**2, jnp.float32(-1.0), jnp.float32(1.0))
    >>> plot_loss_line(line).get_ylabel()
    'loss'
    """
    axes = axes_of("plot_loss_line", axes, (6.4, 3.8))
    named = {"": lines} if isinstance(lines, LossLine) else lines
    for label, line in named.items():
        axes.plot(line.positions, line.losses, label=label)
    for position in (0, 1):
        axes.axvline(position, color="gray", lw=0.8, ls="--")
    axes.set(xlabel="position on the line (0: first point, 1: second point)", ylabel="loss")
    axes.grid(alpha=0.3)
    if log:
        axes.set_yscale("log")
    if named is lines:
        axes.legend()
    return axes


def plot_loss_surface(
    surface: LossSurface, *, axes: Any = None, log: bool = True, levels: int = 20
) -> Any:
    """Draw the contours of a slice of the loss with its centre; some contours have labels.

    Args:
      surface: a result of `loss_surface`.
      axes: matplotlib's axes to draw into; by default those of a new figure.
      log: contours in equal ratios of the height above the lowest one, rather than in equal
        steps.
      levels: the number of contours.

    Returns:
      The axes.

    Raises:
      ImportError: matplotlib is not installed (the extra `plot`).
      ValueError: the slice holds a loss that is not finite; `reach` was too large.

    >>> import jax.numpy as jnp, matplotlib
    >>> from optcore.diagnostics import bowl, loss_surface
    >>> matplotlib.use("Agg")
    >>> plane = loss_surface(bowl, jnp.zeros(2), (jnp.array([1.0, 0]), jnp.array([0, 1.0])))
    >>> plot_loss_surface(plane).get_xlabel()
    'along the first direction'
    """
    positions, losses = (np.asarray(x, np.float64) for x in surface)
    if not np.isfinite(losses).all():
        raise ValueError(
            "plot_loss_surface: the slice holds losses that are not finite; give loss_surface a "
            "smaller reach"
        )
    axes = axes_of("plot_loss_surface", axes, (5.6, 5.0))
    draw_contours(axes, positions, positions, losses, log, levels)
    shown = np.quantile(losses, [0.02, 0.1, 0.3, 0.6, 0.9])
    if shown[0] < shown[-1]:
        few = axes.contour(
            positions, positions, losses, np.unique(shown), colors="black", linewidths=0.9
        )
        axes.clabel(few, fmt="%.3g", fontsize=8)
    axes.plot(0, 0, "k+", ms=9)
    axes.set(xlabel="along the first direction", ylabel="along the second direction")
    axes.set_aspect("equal")
    return axes
