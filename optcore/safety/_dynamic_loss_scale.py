"""Loss scaling: gradients of float16 kept within its range by a power of two."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Length,
    Params,
    Range,
    State,
    StaticFloat,
    Updates,
    adapt,
    all_finite,
    choose,
    increment,
    map_leaves,
    skips_nonfinite,
    tally,
    transformation,
    zero_count,
    zero_unless,
)

Power = Annotated[StaticFloat, Range(2.0**-100, 2.0**100, closed=True)]
"""A static power of two."""


class DynamicLossScaleState(NamedTuple):
    """The scale, its counters, and the state of `inner`.

    Attributes:
      scale: float32, a power of two; the factor of the next loss.
      finite_count: int32, finite steps since the scale last changed.
      skipped: int32, steps in a row whose gradient was not finite.
      total_notfinite: int32, all such steps.
      inner: its state.
    """

    scale: jax.Array
    finite_count: jax.Array
    skipped: jax.Array
    total_notfinite: jax.Array
    inner: State


# The gradients of the examples are not scaled.
@transformation(
    "wrapper",
    example={"initial_scale": 1.0},
    scales_loss=True,
    per_example="results",
    all_reduces=1,
)
def dynamic_loss_scale(
    inner: GradientTransformation,
    initial_scale: Power = 2.0**15,
    *,
    growth_steps: Length = 2000,
    factor: Annotated[int, Range(2, 2**16)] = 2,
    min_scale: Power = 1.0,
    max_scale: Power = 2.0**24,
) -> GradientTransformation:
    """Update from the gradients of a loss that was multiplied by an adaptive scale.

    Gradients below 6e-8 vanish in float16. Those of `scale · loss` do not, until one overflows
    (Micikevicius et al., arXiv 1710.03740, section 3.2). Each step does the following, in this
    order:

    1. divide the gradient by the scale, in float32, which is exact for a power of two;
    2. test whether it is finite;
    3. if so, run `inner` on it; otherwise give exact zeros and keep the state of `inner`, including
       its counts and schedules;
    4. if it was not finite, divide the scale by `factor`; after `growth_steps` finite steps
       without a change, multiply by it.

    The user multiplies the loss by `loss_scale(state)`, or uses `scaled_value_and_grad`. The scale
    is a number in the state, so it changes without recompiling.

    It must be outermost, because all other transformations expect true gradients: clip inside. If a
    finite gradient gives an update that is not finite, a guard inside handles it. All together:
    `dynamic_loss_scale(accumulate(guard(chain(clip_by_global_norm(1.0), adam(1e-3))),
    8))`. Under `vmap` each member has its own scale.

    Args:
      inner: the transformation that gets the true gradients.
      initial_scale: the first scale; like the limits, a power of two.
      growth_steps: ≥ 1.
      factor: a power of two, ≥ 2.
      min_scale: the scale does not fall below it.
      max_scale: the scale does not rise above it. The largest power of two in float16 is 2¹⁵.

    Raises:
      ValueError: a scale or the factor is not a power of two; the scales are not in order; `inner`
        contains another loss scale.

    An overflow halves the scale; the length of the next step does not change:

    >>> import jax.numpy as jnp, optcore
    >>> tx = dynamic_loss_scale(optcore.sgd(1.0), 1024.0)
    >>> state = tx.init(jnp.float16(0.0))
    >>> for loss_slope in (3.0, 100.0, 3.0):
    ...     grad = jnp.float16(loss_slope) * loss_scale(state).astype(jnp.float16)
    ...     update, state = tx.update(grad, state)
    ...     print(update.item(), loss_scale(state).item())
    -3.0 1024.0
    0.0 512.0
    -3.0 512.0
    """
    named = {"initial_scale": initial_scale, "min_scale": min_scale, "max_scale": max_scale}
    for name, value in (*named.items(), ("factor", factor)):
        if math.frexp(value)[0] != 0.5:
            raise ValueError(f"dynamic_loss_scale: {name} must be a power of two, got {value}")
    if not min_scale <= initial_scale <= max_scale:
        raise ValueError(
            "dynamic_loss_scale: expected min_scale ≤ initial_scale ≤ max_scale, got "
            f"{min_scale}, {initial_scale} and {max_scale}"
        )
    alone = skips_nonfinite(inner)
    inner = adapt(inner)

    def init(params: Params) -> DynamicLossScaleState:
        return DynamicLossScaleState(
            scale=jnp.full((), initial_scale, jnp.float32),
            finite_count=zero_count(),
            skipped=zero_count(),
            total_notfinite=zero_count(),
            inner=inner.init(params),
        )

    def update(
        updates: Updates, state: DynamicLossScaleState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, DynamicLossScaleState]:
        updates = map_leaves(lambda g, r: r * g, updates, scalars=(1 / state.scale,))
        finite = all_finite(updates)
        if alone:
            # It keeps its own state, so the states need not be selected again.
            steps, new = inner.update(updates, state.inner, params, **extra)
        else:
            clean = zero_unless(finite, updates)
            steps, new = inner.update(clean, state.inner, params, **extra)
            steps, new = zero_unless(finite, steps), choose(finite, new, state.inner)

        finite_count = increment(state.finite_count)
        grow = finite & (finite_count >= growth_steps)
        grown = jnp.minimum(state.scale * factor, max_scale)
        shrunk = jnp.maximum(state.scale / factor, min_scale)
        skipped, total = tally(finite, state.skipped, state.total_notfinite)
        return steps, DynamicLossScaleState(
            scale=jnp.where(grow, grown, jnp.where(finite, state.scale, shrunk)),
            finite_count=jnp.where(finite & ~grow, finite_count, 0),
            skipped=skipped,
            total_notfinite=total,
            inner=new,
        )

    return GradientTransformation(init, update)


def loss_scale(state: State) -> jax.Array:
    """The factor to multiply the next loss by, a float32 scalar.

    Args:
      state: the state of `dynamic_loss_scale`, or any tree that contains it.

    Raises:
      ValueError: the state has no loss scale, or several.

    >>> import jax.numpy as jnp, optcore
    >>> float(loss_scale(optcore.dynamic_loss_scale(optcore.sgd(0.1)).init(jnp.zeros(2))))
    32768.0
    """

    def is_scale(node: Any) -> bool:
        return isinstance(node, DynamicLossScaleState)

    found = [node for node in jax.tree.leaves(state, is_leaf=is_scale) if is_scale(node)]
    if len(found) != 1:
        raise ValueError(
            f"loss_scale: expected a state with one loss scale in it, found {len(found)}; it is "
            "made by dynamic_loss_scale(...).init(params)"
        )
    return found[0].scale


def scaled_value_and_grad(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Like `jax.value_and_grad`, with true values and the gradients of the scaled loss.

    Args:
      fun: the loss, as for `jax.value_and_grad`.
      argnums: the arguments of `fun` to differentiate with respect to.
      has_aux: whether `fun` returns `(loss, aux)`.

    Returns:
      `f(state, *args, **kwargs)`, where `state` is the state of `dynamic_loss_scale`, or a tree
      that contains it. It returns `(value, grads)` or `((value, aux), grads)`; the gradients are
      those of the scaled loss, which `update` expects.

    A gradient that vanishes in float16 survives if it is scaled:

    >>> import jax, jax.numpy as jnp, optcore
    >>> tx, w = optcore.dynamic_loss_scale(optcore.sgd(1.0)), jnp.float16(1.0)
    >>> def loss(w):
    ...     return 1e-4 * (1e-4 * w)
    >>> value, grad = scaled_value_and_grad(loss)(tx.init(w), w)
    >>> jax.grad(loss)(w).item(), round(tx.update(grad, tx.init(w))[0].item(), 10)
    (0.0, -1e-08)
    """

    def scaled(scale: jax.Array, *args: Any, **kwargs: Any) -> tuple[jax.Array, Any]:
        out = fun(*args, **kwargs)
        loss = jnp.asarray(out[0] if has_aux else out)
        return loss * scale.astype(loss.dtype), out

    behind = tuple(i + 1 if i >= 0 else i for i in _indices(argnums))
    grad = jax.grad(scaled, behind[0] if isinstance(argnums, int) else behind, has_aux=True)

    def value_and_grad(state: State, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        grads, out = grad(loss_scale(state), *args, **kwargs)
        return out, grads

    return value_and_grad


def _indices(argnums: int | Sequence[int]) -> Sequence[int]:
    return (argnums,) if isinstance(argnums, int) else argnums
