"""Why a loss does not go down: a diagnosis from losses, gradient norms and cosines."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from numpy.typing import ArrayLike

Finding = Literal[
    "divergence",
    "oscillation",
    "noise",
    "small gradient",
    "saddle",
    "plateau",
    "minimum",
    "undecided",
]
Array = np.ndarray[Any, Any]

FEWEST = 12
"""The fewest records that allow a diagnosis."""

ADVICE: dict[Finding, str] = {
    "divergence": "Lower the learning rate below 2 / the largest curvature (`curvature` measures "
    "it, `lr_range_test` avoids measuring it), warm up, or clip gradients.",
    "oscillation": "The steps are too long for the steepest direction, not the gradient too "
    "small: lower or decay the learning rate, or divide by curvature per coordinate (RMSProp, "
    "Adam); more momentum averages over the two walls.",
    "noise": "The noise of the batches holds the loss up: decay the learning rate, take larger "
    "batches, or evaluate an average of the parameters; the rest may be noise in the labels.",
    "small gradient": "Ask `curvature` whether it is a saddle, a plateau or a minimum. If none, "
    "the learning rate is too small: raise it.",
    "saddle": "Momentum or a little noise carries it over, and Adam's steps do not shrink with "
    "the gradient; if it lasts, look at the initialisation, which may be too symmetric.",
    "plateau": "Steps must not shrink with the gradient here: Adam or RMSProp, a larger rate, "
    "another initialisation, or units that do not saturate.",
    "minimum": "It has converged. If the loss is too high, the model or the data sets the limit; "
    "another minimum needs a warm restart or another start.",
    "undecided": "Go on, and record `gradient_cosine` with `optcore.monitor` if there is none.",
}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """The problem of a run.

    Attributes:
      kind: `"divergence"`, `"oscillation"`, `"noise"`, `"small gradient"` (with the curvature
        `"saddle"`, `"plateau"` or `"minimum"`), or `"undecided"`.
      reason: the observation, with numbers.
      advice: what to try next.

    >>> print(Diagnosis("noise", "the loss varies", "average"))
    noise: the loss varies. average
    """

    kind: Finding
    reason: str
    advice: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}. {self.advice}"


def diagnose(
    losses: ArrayLike,
    gradient_norms: ArrayLike,
    *,
    cosines: ArrayLike | None = None,
    curvature: tuple[ArrayLike, ArrayLike] | Any = None,
    update_norms: ArrayLike | None = None,
    last: int | None = None,
) -> Diagnosis:
    r"""Diagnose why a loss does not go down, from the records of a run.

    Training that has stopped going down is usually *not* at a critical point: the gradient stays
    large while steps bounce between two walls, or it is noise. The diagnosis uses the last steps,
    and the first rule that applies decides:

    1. divergence: a record is not finite, or loss and gradient norm rise beyond their scatter;
    2. oscillation: the mean cosine of successive gradients is below -0.5;
    3. small gradient: its norm is below a thousandth of the largest; or the loss changes by less
       than a hundredth and scatters by less than a thousandth, while the cosines, if given, average
       above 0.5 (the path is straight but makes no progress);
    4. undecided, if the loss goes down by more than a twentieth and beyond its scatter;
    5. noise: the loss scatters by more than a hundredth and by more than it moves, and there are
       enough steps to detect a fall by a quarter;
    6. undecided.

    Fractions of the loss are relative to its mean size over the last steps, or to a thousandth of
    the largest, if that is more. With the curvature, a small gradient is a saddle if the smallest
    eigenvalue is below -1/20 of the largest by size, and otherwise a minimum. With the norms of the
    updates as well, it is a plateau if steps of this length would have to be more than ten times as
    many for the strongest curvature to change the gradient by its own size.

    Args:
      losses: one per step, ≥ 12; of mini-batches or of the full data.
      gradient_norms: one per step; `optcore.monitor` measures them, and the cosines.
      cosines: of the angle between each gradient and the one before; without them an
        oscillation cannot be told from progress.
      curvature: the `(smallest, largest)` eigenvalues of the Hessian at the end, or the result of
        `diagnostics.curvature`.
      update_norms: one per step; needed to tell a plateau from a saddle or a minimum.
      last: the number of last steps to use, ≥ 12; by default the later half, and at least 12.

    Raises:
      ValueError: the records differ in length or are not lists of numbers, `curvature` is not a
        pair, or `last` does not fit.

    Gradient descent at 1.9 / λ jumps from wall to wall:

    >>> import jax.numpy as jnp, optcore
    >>> from optcore.diagnostics import bowl, trajectory
    >>> path = trajectory(bowl, jnp.array([1.0, 1.0]), optcore.sgd(1.9 / 20), steps=24)
    >>> g = path.points * jnp.array([1.0, 20.0])
    >>> unit = g / jnp.linalg.norm(g, axis=1, keepdims=True)
    >>> cosines = jnp.sum(unit[1:] * unit[:-1], axis=1)
    >>> diagnose(path.losses[1:], path.gradient_norms[1:], cosines=cosines).kind
    'oscillation'
    """
    optional = {"cosines": cosines, "update_norms": update_norms}
    records = {n: x for n, x in optional.items() if x is not None}
    records |= {"losses": losses, "gradient_norms": gradient_norms}
    arrays = {name: _record(name, x) for name, x in records.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"diagnose: the records must have the same length, got {lengths}")
    size = len(arrays["losses"])
    if last is not None and not FEWEST <= last <= size:
        raise ValueError(f"diagnose: last must lie in [{FEWEST}, {size}], got {last}")
    kind, reason = _judge(arrays, max(FEWEST, size // 2) if last is None else last)
    if curvature is not None and not isinstance(curvature, Sequence | np.ndarray | jax.Array):
        raise ValueError(
            f"diagnose: curvature must be a pair (smallest, largest), got {curvature!r}"
        )
    if kind == "small gradient" and curvature is not None:
        kind, bend = _critical_point(arrays, curvature)
        reason = f"{reason}; {bend}"
    return Diagnosis(kind, reason, ADVICE[kind])


def _record(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(
            f"diagnose: {name} must be one number per step, got an array of shape {array.shape}"
        )
    return array


def _judge(records: dict[str, Array], last: int) -> tuple[Finding, str]:
    losses, norms = records["losses"], records["gradient_norms"]
    if not (np.isfinite(losses).all() and np.isfinite(norms).all()):
        finite = np.isfinite(losses) & np.isfinite(norms)
        return "divergence", f"after {int(finite.argmin())} steps a record is not finite"
    if len(losses) < FEWEST:
        return "undecided", f"{len(losses)} steps are too few, {FEWEST} are needed"
    tail = losses[-last:]
    level = max(np.abs(tail).mean(), 1e-3 * np.abs(losses).max())
    rise, scatter, error = _trend(tail)
    growth = _ratio(*_ends(norms[-last:])[::-1])
    if rise > max(4 * error, 0.1 * level) and growth > 1.2:
        return "divergence", f"the loss rose by {rise:.2g} and the gradient norm {growth:.2g}-fold"
    straight = None
    if "cosines" in records:
        straight = float(records["cosines"][-last:].mean())
        if straight < -0.5:
            return "oscillation", (
                f"successive gradients point against each other, with a mean cosine of "
                f"{straight:.2f}, and their norm is {norms[-last:].mean():.2g}"
            )
    share = _ratio(norms[-max(last // 4, 1) :].max(), norms.max())
    if share < 1e-3:
        return "small gradient", f"the gradient norm has fallen to {share:.2g} of its largest"
    still = abs(rise) < 1e-2 * level and scatter < 1e-3 * level
    if still and (straight is None or straight > 0.5):
        along = "" if straight is None else f", along a straight path (cosine {straight:.2f})"
        return "small gradient", f"the loss changed by {abs(rise) / level:.2g} of itself{along}"
    if -rise > max(2.5 * error, 0.05 * level):
        return "undecided", f"the loss still goes down, by {-rise / level:.0%} of itself"
    if scatter > max(1e-2 * level, abs(rise)) and 2.5 * error < 0.25 * level:
        return (
            "noise",
            f"the loss scatters by {scatter / level:.0%} and moves by {rise / level:.0%}",
        )
    return (
        "undecided",
        f"the loss moves by {rise / level:.2g} and scatters by {scatter / level:.2g}",
    )


def _trend(tail: Array) -> tuple[float, float, float]:
    """The change of the median, the scatter of single values, and the error of the change."""
    before, after = _ends(tail)
    # Second differences count neither a slope nor a single jump as scatter.
    scatter = float(np.median(np.abs(np.diff(tail, 2)))) / (0.6745 * 6**0.5)
    third = len(tail) // 3
    return after - before, scatter, 1.25 * scatter * (2 / third) ** 0.5


def _ends(tail: Array) -> tuple[float, float]:
    """The medians of the first and of the last third."""
    third = len(tail) // 3
    return float(np.median(tail[:third])), float(np.median(tail[-third:]))


def _ratio(x: float, y: float) -> float:
    return float(x / y) if y > 0 else (0.0 if x == 0 else np.inf)


def _critical_point(
    records: dict[str, Array], curvature: tuple[ArrayLike, ArrayLike] | Any
) -> tuple[Finding, str]:
    smallest, largest = (float(np.asarray(x)) for x in tuple(curvature)[:2])
    strongest = max(abs(smallest), abs(largest))
    seen = f"the curvature lies between {smallest:.2g} and {largest:.2g}"
    if "update_norms" in records:
        rate = _ratio(records["update_norms"].sum(), records["gradient_norms"].sum())
        if 10 * len(records["losses"]) * rate * strongest < 1:
            return "plateau", f"{seen}, which is negligible at this length of steps"
    return ("saddle" if smallest < -0.05 * strongest else "minimum"), seen
