"""What a curve of losses over rising rates says: three phases, and rates to try."""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Phases(NamedTuple):
    """Where the phases of a range test begin, as indices into its rates.

    Attributes:
      descent: of fast descent; before it there is no progress.
      minimum: where the loss has come down, to within a hundredth of its fall.
      divergence: of divergence; the number of rates if there is none.
    """

    descent: int
    minimum: int
    divergence: int


class Suggestions(NamedTuple):
    """Rates to try, all of them below the divergence.

    Attributes:
      steepest: where the loss falls fastest; the one to take first.
      tenth_of_minimum: a tenth of the rate at which the loss is lowest.
      cyclical: `(base, max)` for `cyclic_schedule`: where descent begins, and where the loss is
        lowest, or half way to the divergence if that is less.
    """

    steepest: float
    tenth_of_minimum: float
    cyclical: tuple[float, float]


def smoothed(losses: Array, decay: float) -> Array:
    """Exponentially weighted averages along the last axis, corrected for their start.

    What is not a finite number makes all that follows infinite.
    """
    average, columns = np.zeros(losses.shape[:-1]), []
    broken = np.logical_or.accumulate(~np.isfinite(losses), axis=-1)
    finite = np.where(broken, 0, losses).astype(np.float64)
    for t in range(losses.shape[-1]):
        average = decay * average + (1 - decay) * finite[..., t]
        columns.append(average / (1 - decay ** (t + 1)))
    return np.where(broken, np.inf, np.stack(columns, axis=-1))


def window(steps: int) -> int:
    """Over how many steps a level or a slope is taken."""
    return max(1, steps // 40)


def noise(losses: Array, decay: float) -> float:
    """The standard deviation that noise of the batches gives the median of the smooth curves.

    Second differences of the losses show noise and no trend; their median, no blow-up.
    """
    with np.errstate(invalid="ignore"):
        bends = np.abs(np.diff(losses.astype(np.float64), 2, axis=-1))
    bends = bends[np.isfinite(bends)]
    single = float(np.median(bends)) / (0.6745 * 6**0.5) if bends.size else 0.0
    averaged = ((1 - decay) / (1 + decay) * np.pi / 2 / len(losses)) ** 0.5
    return float(single * averaged)


def blow_up(curve: Array, sigma: float) -> tuple[float, int, int]:
    """How far the loss falls, where it is lowest, and where half of the fall is lost again.

    What is less than six standard deviations of the noise is no fall, and no loss of one.
    """
    start = float(np.median(curve[: 2 * window(len(curve))]))
    lowest = int(np.argmin(curve))
    fall = start - float(curve[lowest])
    if not fall > 6 * sigma:
        return 0.0, lowest, len(curve)
    lost = np.flatnonzero(curve[lowest:] > curve[lowest] + max(fall / 2, 6 * sigma))
    return fall, lowest, lowest + int(lost[0]) if lost.size else len(curve)


def stable_limit(rates: Array, median: Array, curve: Array, sigma: float) -> float | None:
    r"""The largest stable rate, told from how fast the loss blows up; `None` if it does not.

    The blow-up shows late: while the rates were low, what is unstable now has been contracted
    to almost nothing. But a step at rate `η` multiplies it by `η / η_max · 2 - 1` in gradient
    descent, whose limit is `η_max = 2 / λ_max`, and the loss by the square of that:

    .. math::
        \eta_{max} = \frac{2 \eta_{t+1}}{1 + \sqrt{L_{t+1} / L_t}}

    the median of this over a few steps of the blow-up. Where the loss rises slowly, as with
    normalised steps, this is the rate itself. With momentum the limit lies above this estimate.
    """
    _, lowest, begin = blow_up(curve, sigma)
    if begin == len(curve):
        return None
    excess = median - min(np.min(median), curve[lowest])
    t = np.arange(begin, len(curve) - 1)
    # Until it is over: a loss that is as high as it gets grows no more.
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
