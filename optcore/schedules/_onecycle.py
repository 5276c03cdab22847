"""One cycle for the whole run: up, down, and down to almost zero."""

import itertools
from typing import Annotated

from .._core import Hyperparameter, Length, Range, Schedule, StaticFloat, schedule
from ._decay import Positive
from ._piecewise import Anneal, interpolated, piecewise_interpolate_schedule
from ._progress import check_ordered

Share = Annotated[StaticFloat, Range(0, 1, open_low=True)]
"""A static fraction of the run."""


@schedule(example={"transition_steps": 12, "peak_value": 1.0})
def cosine_onecycle_schedule(
    transition_steps: Length,
    peak_value: Hyperparameter,
    pct_start: Share = 0.3,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> Schedule:
    """One cycle in two half cosine waves (Smith and Topin, arXiv 1708.07120), at whole steps.

    From `peak_value / div_factor` up to `peak_value` at the step `⌊pct_start · T⌋`, and down to
    `peak_value / (div_factor · final_div_factor)` at `T`. torch's boundaries are not whole steps:
    see `onecycle_schedule`.

    Args:
      transition_steps: `T` ≥ 1.
      peak_value: at the end of the rise.
      pct_start: the fraction of the run in which the value rises, in (0, 1); static.
      div_factor: > 0, the peak over the first value.
      final_div_factor: > 0, the first value over the last.

    Raises:
      ValueError: the rise would have no step.

    >>> cycle = cosine_onecycle_schedule(10, 1.0)
    >>> [round(cycle(t).item(), 4) for t in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    up = int(pct_start * transition_steps)
    _check_phases("cosine_onecycle_schedule", [0, up, transition_steps])
    return piecewise_interpolate_schedule(
        "cosine",
        peak_value / div_factor,
        {up: div_factor, transition_steps: 1 / (div_factor * final_div_factor)},
    )


@schedule(example={"transition_steps": 12, "peak_value": 1.0})
def linear_onecycle_schedule(
    transition_steps: Length,
    peak_value: Hyperparameter,
    pct_start: Share = 0.3,
    pct_final: Share = 0.85,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> Schedule:
    """One cycle in three straight lines (Smith and Topin, arXiv 1708.07120).

    From `peak_value / div_factor` up to `peak_value` at the step `⌊pct_start · T⌋`, back at
    `⌊pct_final · T⌋`, and down by another `final_div_factor` at `T`.

    Args:
      transition_steps: `T`, enough for three phases of at least one step.
      peak_value: at the end of the rise.
      pct_start: the end of the first phase, as a fraction of the run, in (0, 1); static.
      pct_final: the end of the second phase, greater than `pct_start`; static.
      div_factor: > 0, the peak over the first value.
      final_div_factor: > 0, the first value over the last.

    Raises:
      ValueError: a phase would have no step, or they do not end in order.

    >>> cycle = linear_onecycle_schedule(20, 1.0)
    >>> [round(cycle(t).item(), 4) for t in (0, 6, 17, 20)]
    [0.04, 1.0, 0.04, 0.0]
    """
    up, down = int(pct_start * transition_steps), int(pct_final * transition_steps)
    _check_phases("linear_onecycle_schedule", [0, up, down, transition_steps])
    return piecewise_interpolate_schedule(
        "linear",
        peak_value / div_factor,
        {up: div_factor, down: 1 / div_factor, transition_steps: 1 / final_div_factor},
    )


@schedule(example={"peak_value": 1.0, "total_steps": 12})
def onecycle_schedule(
    peak_value: Hyperparameter,
    total_steps: Annotated[int, Range(2, 2**31)],
    pct_start: Share = 0.3,
    anneal: Anneal = "cosine",
    three_phase: bool = False,
    div_factor: Positive = 25.0,
    final_div_factor: Positive = 1e4,
) -> Schedule:
    """One cycle as in torch's `OneCycleLR`: the peak may be between two steps.

    The rise ends at `pct_start · T - 1`, which need not be whole, and the last step that is
    made, `T - 1`, has the last value. Two phases: up to the peak, down to
    `peak / (div_factor · final_div_factor)`. Three: up, down to `peak / div_factor` in as many
    steps, down to the last value (Smith and Topin, arXiv 1708.07120).

    Args:
      peak_value: at the end of the rise.
      total_steps: `T` ≥ 2, of the whole run.
      pct_start: the fraction of the run in which the value rises, in (0, 1); static. At most one
        half with three phases.
      anneal: half cosine waves or straight lines.
      three_phase: see above.
      div_factor: > 0, the peak over the first value.
      final_div_factor: > 0, the first value over the last.

    Raises:
      ValueError: a phase would have no length.

    >>> cycle = onecycle_schedule(1.0, 31, three_phase=True, anneal="linear")
    >>> [round(cycle(t).item(), 4) for t in (0, 8, 30)]
    [0.04, 0.9653, 0.0]

    With the matching momentum, which falls while the rate rises:

    >>> from optcore import sgd
    >>> tx = sgd(onecycle_schedule(0.1, 31), momentum=onecycle_momentum_schedule(31))
    """
    first = peak_value / div_factor
    ends = _phase_ends("onecycle_schedule", total_steps, pct_start, three_phase)
    middle = [first] if three_phase else []
    values = [first, peak_value, *middle, first / final_div_factor]
    return lambda count: interpolated(anneal, values, ends, count)


@schedule(example={"total_steps": 12})
def onecycle_momentum_schedule(
    total_steps: Annotated[int, Range(2, 2**31)],
    pct_start: Share = 0.3,
    anneal: Anneal = "cosine",
    three_phase: bool = False,
    base_momentum: Hyperparameter = 0.85,
    max_momentum: Hyperparameter = 0.95,
) -> Schedule:
    """The momentum for `onecycle_schedule`: low while the rate is high.

    Args:
      total_steps: as in `onecycle_schedule`, like the three that follow.
      pct_start: the fraction of the run in which the momentum falls.
      anneal: half cosine waves or straight lines.
      three_phase: add a third phase, at `max_momentum`.
      base_momentum: the smallest value, not above `max_momentum`.
      max_momentum: the first and the last value.

    Raises:
      ValueError: a phase would have no length, or `base_momentum` exceeds `max_momentum`.

    >>> momentum = onecycle_momentum_schedule(21, pct_start=0.5, anneal="linear")
    >>> [round(momentum(t).item(), 4) for t in (0, 10, 20)]
    [0.95, 0.8548, 0.95]
    """
    owner = "onecycle_momentum_schedule"
    check_ordered(owner, "base_momentum", base_momentum, "max_momentum", max_momentum)
    ends = _phase_ends(owner, total_steps, pct_start, three_phase)
    middle = [max_momentum] if three_phase else []
    values = [max_momentum, base_momentum, *middle, max_momentum]
    return lambda count: interpolated(anneal, values, ends, count)


def _phase_ends(owner: str, total: int, pct_start: float, three_phase: bool) -> list[float]:
    rise = pct_start * total - 1
    ends = [0, rise, *([2 * rise] if three_phase else []), total - 1]
    _check_phases(owner, ends)
    return ends


def _check_phases(owner: str, ends: list[float]) -> None:
    if any(a >= b for a, b in itertools.pairwise(ends)):
        raise ValueError(
            f"{owner}: every phase must have a length > 0, but with these lengths and parts of the "
            f"run they start and end at the steps {', '.join(f'{end:g}' for end in ends)}"
        )
