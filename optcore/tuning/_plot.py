"""The picture of a range test."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ._range_test import RangeTest


def plot_range_test(result: RangeTest, *, axes: Any = None) -> Any:
    """Draw the losses of a range test over the rate, with its phases and suggestions.

    The line is the median of the seeds' smoothed losses; the band spans their quartiles.

    Args:
      result: the result of `lr_range_test`.
      axes: matplotlib's axes to draw into; by default those of a new figure.

    Returns:
      The axes; `plot_range_test(...).figure.savefig("rates.png")` writes a file.

    Raises:
      ImportError: matplotlib is not installed (the extra `plot`).
      TypeError: `result` is not a `RangeTest`.

    >>> import jax, jax.numpy as jnp, optcore
    >>> from optcore.tuning import lr_range_test
    >>> import matplotlib
    >>> matplotlib.use("Agg")
    >>> found = lr_range_test(jnp.square, jnp.float32(1.0), optcore.sgd(0.1), None, 1e-3, 3.0, 40,
    ...     key=jax.random.key(0))
    >>> axes = plot_range_test(found)
    >>> axes.get_xlabel(), axes.get_xscale()
    ('learning rate', 'log')
    """
    if not isinstance(result, RangeTest):
        raise TypeError(
            f"plot_range_test: result must come from lr_range_test, got {type(result).__name__}"
        )
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "plot_range_test needs matplotlib: pip install 'optcore[plot]'"
        ) from error
    if axes is None:
        _, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    rates, (low, high) = result.rates, result.quartiles
    shown = np.isfinite(result.curve)
    upper = np.where(np.isfinite(high), high, np.nanmax(result.curve[shown]))
    axes.fill_between(rates[shown], low[shown], upper[shown], alpha=0.25, label="quartiles")
    axes.plot(rates[shown], result.curve[shown], label=f"median of {len(result.losses)} seeds")
    axes.set_xscale("log" if result.growth == "exponential" else "linear")
    axes.set_xlim(rates[0], rates[-1])
    if result.phases is not None:
        _mark(axes, result)
    axes.set_ylim(*_limits(result))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("smoothed loss")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes


def _mark(axes: Any, result: RangeTest) -> None:
    rates, found, made = result.rates, result.phases, result.suggestions
    assert found is not None
    ends: Mapping[str, tuple[float, float]] = {
        "no progress": (rates[0], rates[found.descent]),
        "fast descent": (rates[found.descent], rates[min(found.divergence, len(rates) - 1)]),
        "divergence": (rates[min(found.divergence, len(rates) - 1)], rates[-1]),
    }
    for (name, (begin, end)), color in zip(ends.items(), ("0.6", "C2", "C3"), strict=True):
        if end > begin:
            axes.axvspan(begin, end, color=color, alpha=0.12, linewidth=0, label=name)
    base, top = made.cyclical
    lines = (
        (made.steepest, "-", f"steepest: {made.steepest:.2g}"),
        (made.tenth_of_minimum, ":", f"minimum / 10: {made.tenth_of_minimum:.2g}"),
        (base, "--", f"cyclical: {base:.2g} to {top:.2g}"),
        (top, "--", None),
    )
    for rate, style, label in lines:
        axes.axvline(rate, color="k", linestyle=style, linewidth=1.1, label=label)


def _limits(result: RangeTest) -> tuple[float, float]:
    """The losses worth showing: the fall, and an equal part of the blow-up."""
    finite = result.curve[np.isfinite(result.curve)]
    bottom, start = float(finite.min()), float(finite[0])
    top = min(float(finite.max()), start + 0.5 * (start - bottom))
    margin = 0.05 * (top - bottom) or 1.0
    return bottom - margin, top + margin
