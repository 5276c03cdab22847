"""Aggregated momentum: the mean of several running sums."""

from collections.abc import Sequence
from typing import NamedTuple

from ..._core import (
    DType,
    GradientTransformation,
    Leafwise,
    Rate,
    Retention,
    Updates,
    map_leaves,
    slots,
    transformation,
)
from ...compose import descend


class ScaleByAggmoState(NamedTuple):
    """The running sums.

    Attributes:
      trace: one sum per decay, in their order, each like the parameters.
    """

    trace: tuple[Updates, ...]


@transformation("direction", example={})
def scale_by_aggmo(
    betas: Sequence[Retention] = (0.0, 0.9, 0.99), accumulator_dtype: DType | None = None
) -> GradientTransformation:
    r"""The direction of aggregated momentum (Lucas et al., arXiv 1804.00325, equation 2).

    .. math::
        v^{(i)}_t = b_i v^{(i)}_{t-1} + g_t, \quad
        u_t = \frac{1}{K} \sum_{i=1}^K v^{(i)}_t

    A large decay speeds up flat directions, and the small ones damp its oscillations in steep
    directions. The state has one sum per decay.

    Args:
      betas: `K ≥ 1` decays, each in [0, 1]. Their number is static; none of them can be a schedule.
      accumulator_dtype: of the sums; by default the parameter's, at least float32.

    Raises:
      ValueError: there is no decay.

    A constant gradient is amplified by the mean of `1 / (1 - b_i)`:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_aggmo((0.0, 0.5))
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(20):
    ...     update, state = tx.update(jnp.float32(1.0), state)
    >>> round(update.item(), 4)
    1.5
    """
    if not betas:
        raise ValueError("scale_by_aggmo: betas must hold at least one decay, got none")

    def init(params):
        return ScaleByAggmoState(tuple(slots(params, accumulator_dtype) for _ in betas))

    def leaf(g, *v):
        v = tuple(b * v_i + g for b, v_i in zip(betas, v, strict=True))
        return sum(v[1:], v[0]) * (1 / len(v)), *v

    def update(updates, state, params=None, **extra):
        updates, *v = map_leaves(leaf, updates, state.trace)
        return updates, ScaleByAggmoState(tuple(v))

    return Leafwise(init, update)


@transformation("optimizer", example={"learning_rate": 0.1})
def aggmo(
    learning_rate: Rate,
    betas: Sequence[Retention] = (0.0, 0.9, 0.99),
    accumulator_dtype: DType | None = None,
) -> GradientTransformation:
    """Aggregated momentum: `w ← w - learning_rate · u_t`, `u_t` that of `scale_by_aggmo`.

    Args:
      learning_rate: ≥ 0.
      betas: see `scale_by_aggmo`; the paper's are `1 - 0.1^i` for `i = 0, 1, …`.
      accumulator_dtype: of the sums.

    With one decay it is `sgd` with that momentum:

    >>> import jax.numpy as jnp
    >>> tx = aggmo(0.1, betas=(0.9,))
    >>> state = tx.init(jnp.float32(0.0))
    >>> for _ in range(2):
    ...     step, state = tx.update(jnp.float32(1.0), state)
    ...     print(round(step.item(), 6))
    -0.1
    -0.19
    """
    return descend(scale_by_aggmo(betas, accumulator_dtype), learning_rate)
