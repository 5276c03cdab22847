"""The three phases of a curve of losses over rising rates, and rates to try."""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Phases(NamedTuple):
    """The starts of the phases of a range test, as indices into its rates.

    Attributes:
      descent: the start of fast descent; before it there is no progress.
      minimum: where the loss has fallen to within a hundredth of its total fall.
      divergence: the start of divergence; the number of rates if there is none.
    """

    descent: int
    minimum: int
    divergence: int


class Suggestions(NamedTuple):
    """Rates to try, all of them below the divergence.

    Attributes:
      steepest: where the loss falls fastest; try this first.
      tenth_of_minimum: a tenth of the rate at which the loss is lowest.
      cyclical: `(base, max)` for `cyclic_schedule`: where descent starts, and where the loss is
        lowest, or halfway to the divergence if that is less.
    """

    steepest: float
    tenth_of_minimum: float
    cyclical: tuple[float, float]


def smoothed(losses: Array, decay: float) -> Array:
    """Exponentially weighted averages along the last axis, corrected for their start.

    After a value that is not finite, all averages are infinite.
    """
    average, columns = np.zeros(losses.shape[:-1]), []
    broken = np.logical_or.accumulate(~np.isfinite(losses), axis=-1)
    finite = np.where(broken, 0, losses).astype(np.float64)
    for t in range(losses.shape[-1]):
        average = decay * average + (1 - decay) * finite[..., t]
        columns.append(average / (1 - decay ** (t + 1)))
    return np.where(broken, np.inf, np.stack(columns, axis=-1))


def window(steps: int) -> int:
    """The number of steps over which a level or a slope is taken."""
    return max(1, steps // 40)


def noise(losses: Array, decay: float) -> float:
    """The standard deviation of the median of the smoothed curves that is due to batch noise.

    Second differences of the losses remove the trend, and their median ignores the blow-up.
    """
    with np.errstate(invalid="ignore"):
        bends = np.abs(np.diff(losses.astype(np.float64), 2, axis=-1))
    bends = bends[np.isfinite(bends)]
    single = float(np.median(bends)) / (0.6745 * 6**0.5) if bends.size else 0.0
    averaged = ((1 - decay) / (1 + decay) * np.pi / 2 / len(losses)) ** 0.5
    return float(single * averaged)


def blow_up(curve: Array, sigma: float) -> tuple[float, int, int]:
    """The fall of the loss, the index of its minimum, and where half of the fall is lost again.

    A change of less than six standard deviations of the noise does not count.
    """
    start = float(np.median(curve[: 2 * window(len(curve))]))
    lowest = int(np.argmin(curve))
    fall = start - float(curve[lowest])
    if not fall > 6 * sigma:
        return 0.0, lowest, len(curve)
    lost = np.flatnonzero(curve[lowest:] > curve[lowest] + max(fall / 2, 6 * sigma))
    return fall, lowest, lowest + int(lost[0]) if lost.size else len(curve)


def stable_limit(rates: Array, median: Array, curve: Array, sigma: float) -> float | None:
    r"""The largest stable rate, estimated from the blow-up of the loss; `None` without a blow-up.

    The blow-up shows late, because the low rates before have contracted the component that is now
    unstable to almost nothing. In gradient descent, whose limit is `η_max = 2 / λ_max`, a step at
    rate `η` multiplies this component by `η / η_max · 2 - 1`, and the loss by the square of that:

    .. math::
        \eta_{max} = \frac{2 \eta_{t+1}}{1 + \sqrt{L_{t+1} / L_t}}

    The result is the median over a few steps of the blow-up. Where the loss rises slowly, as with
    normalised steps, it is the rate itself. With momentum the limit is above this estimate.
    """
    _, lowest, begin = blow_up(curve, sigma)
    if begin == len(curve):
        return None
    excess = median - min(np.min(median), curve[lowest])
    t = np.arange(begin, len(curve) - 1)
    # Only until its end: a loss at its highest level does not grow any more.
    t = t[(excess[t] > 0) & np.isfinite(excess[t + 1])][:5]
    limits = 2 * rates[t + 1] / (1 + np.sqrt(excess[t + 1] / excess[t]))
    return float(np.median([*limits, rates[begin]] if len(t) < 3 else limits))


def phases(rates: Array, curve: Array, sigma: float, limit: float | None) -> Phases | None:
    """The phases of a curve; `None` if no rate lowers the loss."""
    fall, lowest, begin = blow_up(curve, sigma)
    if not fall > 0 or lowest == 0:
        return None
    divergence = min(begin, int(np.searchsorted(rates, np.inf if limit is None else limit)))
    low = np.flatnonzero(curve[: lowest + 1] <= curve[lowest] + fall / 100)
    fallen = np.flatnonzero(curve[: lowest + 1] <= curve[lowest] + 0.9 * fall)
    minimum = min(int(low[0]), divergence - 1)
    return Phases(min(int(fallen[0]), minimum), minimum, divergence)


def suggest(rates: Array, curve: Array, found: Phases, limit: float | None) -> Suggestions:
    """Rates to try."""
    half = window(len(curve))
    level = np.pad(curve[: found.minimum + 1], half, mode="edge")
    slope = level[2 * half :] - level[: -2 * half]
    steepest, lowest = rates[int(np.argmin(slope))], rates[found.minimum]
    top = lowest if limit is None else min(lowest, limit / 2)
    base = min(rates[found.descent], top / 2)
    return Suggestions(float(min(steepest, top)), float(lowest / 10), (float(base), float(top)))
