"""Accumulation: the mean of several gradients, and one step of the wrapped optimizer for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Aggregation,
    GradientTransformation,
    Length,
    Params,
    Schedule,
    State,
    Updates,
    adapt,
    aggregates,
    aggregation_of,
    all_finite,
    increment,
    is_absent,
    map_leaves,
    number_of_examples,
    refuse_differing,
    safe_divide,
    slots,
    tally,
    transformation,
    zero_count,
)
from ._branch import run_if


class AccumulateState(NamedTuple):
    """The gradients accumulated since the last step, and the state of `inner`.

    Attributes:
      count: int32, steps that `inner` has made.
      mini_step: int32, gradients in the accumulator that `inner` has not seen yet.
      weight: float32, the sum of their weights.
      acc_grads: their mean, at least float32; the first gradient of a window overwrites it.
      skipped: int32, gradients in a row that were not finite.
      total_notfinite: int32, all gradients that were not finite.
      inner: the state of `inner`.
    """

    count: jax.Array  # type: ignore[assignment]
    mini_step: jax.Array
    weight: jax.Array
    acc_grads: Updates
    skipped: jax.Array
    total_notfinite: jax.Array
    inner: State


@transformation(
    "wrapper",
    example={"every": 2},
    uses=("weight",),
    skips=True,
    skips_nonfinite=True,
    per_example="results",
    all_reduces=1,
)
def accumulate(inner: GradientTransformation, every: Length | Schedule) -> GradientTransformation:
    r"""Make one step for the mean of `every` gradients, and give exact zeros in between.

    For gradients `g_i` with weights `w_i`, each call computes

    .. math::
        W_i = W_{i-1} + w_i, \quad
        \bar g_i = \frac{W_{i-1}}{W_i} \bar g_{i-1} + \frac{w_i}{W_i} g_i

    in at least float32, without a sum that could overflow. The call that completes a window of
    `every` gradients runs `inner` on `ḡ`, the gradient of the batch that the window makes up. All
    other calls cost about an addition, because `inner` runs in a real branch (`lax.cond`). Under
    `vmap` the branch becomes a selection: `inner` runs in every call, and its result is discarded
    where it is not due.

    A gradient that is not finite neither enters the accumulator nor counts: the window takes one
    more. `check` raises after several in a row. If `inner` makes a non-finite update from a finite
    mean, a guard inside handles it: `accumulate(guard(adam(1e-3)), 8)`.

    `inner` sees the parameters and the extra arguments of the call that completes the window (a
    `value` that it watches is that of the last gradient). A gradient of `None` counts as 0 in the
    mean, and a parameter whose gradient is `None` in the last call of a window does not move.

    Around `dpsgd`, or a chain or route with a transformation that clips single examples, the window
    makes up one lot (Abadi et al., arXiv 1607.00133, section 3.1): each call adds to the sum of the
    examples' clipped gradients, and the last one adds the noise, once, and divides by the number of
    all examples. `acc_grads` is then that sum, and `weight` is that number.

    Args:
      inner: the transformation that runs once for every window.
      every: gradients in a window, ≥ 1: an int, or a schedule of it over the steps of `inner`
        (`state.count`), which is rounded; values below 1 count as 1.

    The extra argument `weight` of `update`, a scalar ≥ 0, is the weight of a gradient, such as the
    number of tokens that it averages over; the default is 1. A gradient of weight 0 changes nothing
    but is counted, and a mean of weight 0 is 0. A weight that is negative or not finite is treated
    like a gradient that is not finite. `inner` receives the sum of the weights.

    Raises:
      ValueError: `inner` contains `dynamic_loss_scale`, which must be outside, or takes single
        examples inside another wrapper; `weight` or the value of the schedule is not a real scalar,
        or examples have a `weight`.

    A batch of three in two parts, weighted by their sizes:

    >>> import jax.numpy as jnp, optcore
    >>> tx = accumulate(optcore.sgd(1.0), every=2)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g, tokens in ((3.0, 2), (9.0, 1)):
    ...     update, state = tx.update(jnp.float32(g), state, weight=tokens)
    ...     print(update.item())
    0.0
    -5.0
    """
    lot = _lot_of(inner)
    inner = adapt(inner)

    def init(params: Params) -> AccumulateState:
        return AccumulateState(
            count=zero_count(),
            mini_step=zero_count(),
            weight=jnp.zeros((), jnp.float32),
            acc_grads=slots(params),
            skipped=zero_count(),
            total_notfinite=zero_count(),
            inner=inner.init(params),
        )

    def update(
        updates: Updates, state: AccumulateState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, AccumulateState]:
        if lot is None:
            weight = as_weight("accumulate", extra.get("weight"))
            refuse_differing("accumulate", "weight", weight)
            total, keep, add = shares(state.weight, weight)
            step = inner
        else:
            _refuse_weight(extra.get("weight"))
            weight = as_weight("accumulate", number_of_examples(updates, params))
            updates = lot.total(updates, state.inner, params, extra)
            total, add = state.weight + weight, jnp.ones((), jnp.float32)
            keep = jnp.where(state.mini_step > 0, add, 0)
            step = _step_of(inner, lot, total)
        fine = all_finite(updates) & (weight >= 0) & jnp.isfinite(weight)
        means, acc_grads = gather(updates, state.acc_grads, keep, add, fine)
        mini_step = increment(state.mini_step)
        emit = fine & (mini_step >= window("accumulate", every, state.count))
        if extra.get("weight") is not None:
            extra["weight"] = total
        steps, new = run_if(emit, step, means, state.inner, params, extra)
        skipped, notfinite = tally(fine, state.skipped, state.total_notfinite)
        return steps, AccumulateState(
            count=jnp.where(emit, increment(state.count), state.count),
            mini_step=jnp.where(emit, 0, jnp.where(fine, mini_step, state.mini_step)),
            weight=jnp.where(emit, 0, jnp.where(fine, total, state.weight)),
            acc_grads=acc_grads,
            skipped=skipped,
            total_notfinite=notfinite,
            inner=new,
        )

    return GradientTransformation(init, update)


def _lot_of(inner: GradientTransformation) -> Aggregation | None:
    """The two parts of an `inner` that takes single examples; `None` for any other.

    Raises:
      ValueError: it takes examples, and does not declare where their sum is complete.
    """
    if not aggregates(inner):
        return None
    parts = aggregation_of(inner)
    if parts is None:
        raise ValueError(
            f"accumulate: inner is {inner!r}, in which accumulate cannot reach the sum of the "
            "examples' clipped gradients, which it must add up before the noise; put accumulate "
            "around dpsgd, or a chain or route with it, and other wrappers outside: "
            "guard(accumulate(dpsgd(...), every))"
        )
    return parts


def _refuse_weight(weight: Any) -> None:
    if weight is not None:
        raise ValueError(
            "accumulate: inner takes one gradient per example, and each must count once for the "
            "noise to fit; expected no weight, so leave it out"
        )


def _step_of(
    inner: GradientTransformation, lot: Aggregation, examples: jax.Array
) -> GradientTransformation:
    """The step of `inner` for the sum over so many examples."""

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        return lot.finish(updates, examples, state, params, extra)

    return GradientTransformation(inner.init, update)


def shares(before: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The sum of the weights, and the shares of the old mean and of the new gradient.

    For the first gradient they are 0 and 1, which clears the previous window.
    """
    total = before + weight
    add = safe_divide(weight, total)
    return total, jnp.where(before > 0, 1 - add, 0), add


def gather(
    updates: Updates, acc_grads: Updates, keep: jax.Array, add: jax.Array, fine: jax.Array
) -> tuple[Updates, Updates]:
    """`keep · acc + add · g`, or the unchanged accumulator: as updates, and as stored."""

    def leaf(g: jax.Array, acc: jax.Array, keep: jax.Array, add: jax.Array, fine: jax.Array) -> Any:
        mean = jnp.where(fine, keep * acc + add * g, acc)
        return mean, mean

    def without(g: Any, acc: Any) -> Any:
        if not is_absent(g) or acc is None:
            return acc
        return jnp.where(fine, keep.astype(acc.real.dtype) * acc, acc)

    means, acc_grads = map_leaves(leaf, updates, (acc_grads,), scalars=(keep, add, fine))
    return means, jax.tree.map(without, updates, acc_grads, is_leaf=is_absent)


def as_weight(name: str, weight: Any) -> jax.Array:
    """The weight of a gradient, a float32 scalar."""
    weight = jnp.asarray(1 if weight is None else weight)
    if weight.ndim or jnp.iscomplexobj(weight):
        raise ValueError(
            f"{name}: weight must be a real scalar, such as the number of tokens of this gradient, "
            f"got {weight.dtype}{list(weight.shape)}"
        )
    return weight.astype(jnp.float32)


def window(name: str, every: int | Callable[[Any], Any], count: jax.Array) -> jax.Array:
    """How many gradients make up the window after `count` steps."""
    if isinstance(every, int):
        return jnp.asarray(every, jnp.int32)
    value = jnp.asarray(every(count))
    if value.ndim or jnp.iscomplexobj(value):
        raise ValueError(
            f"{name}: the schedule must give a real scalar, got {value.dtype}{list(value.shape)}"
        )
    return value if value.dtype == jnp.int32 else jnp.round(value).astype(jnp.int32)
