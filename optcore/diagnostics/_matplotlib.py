"""Shared code of the plot functions: a late import of matplotlib, and axes to draw into."""

from typing import Any

import numpy as np


def pyplot(owner: str, instead: str = "") -> Any:
    """`matplotlib.pyplot`, or an `ImportError` that says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner} needs matplotlib: pip install 'optcore[plot]'{instead}"
        ) from error
    return plt


def axes_of(owner: str, axes: Any, size: tuple[float, float], instead: str = "") -> Any:
    """The axes that were given, or those of a new figure of this size in inches."""
    plt = pyplot(owner, instead)
    return axes if axes is not None else plt.subplots(figsize=size, layout="constrained")[1]


def draw_contours(
    axes: Any,
    columns: np.ndarray[Any, Any],
    rows: np.ndarray[Any, Any],
    heights: np.ndarray[Any, Any],
    log: bool,
    levels: int,
) -> None:
    """Contours in equal steps, or in equal ratios of the height above the lowest point."""
    finite = heights[np.isfinite(heights)]
    if not finite.size or not finite.max() > finite.min():
        return
    low, span = finite.min(), finite.max() - finite.min()
    # The picture stays white where the loss is NaN.
    heights = np.ma.masked_invalid(heights)
    shown, edges = heights, np.linspace(low, low + span, levels)
    if log:
        lowest = max(np.quantile(finite - low, 0.002), 1e-5 * span)
        edges = np.log10(np.geomspace(lowest, span, levels))
        shown = np.ma.log10(np.ma.maximum(heights - low, 1e-6 * span))
    # Pale, so that paths on top stay readable.
    axes.contourf(columns, rows, shown, edges, cmap="Blues_r", alpha=0.45, extend="min")
    axes.contour(columns, rows, shown, edges, colors="gray", linewidths=0.4, linestyles="solid")
