"""Differential privacy: clipped gradients of single examples, and noise."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Aggregating,
    Aggregation,
    GradientTransformation,
    Key,
    Rate,
    increment,
    key_data,
    leaf_keys,
    map_leaves,
    transformation,
    typed_key,
    zero_count,
)
from ._per_example import clipped_total


class DifferentiallyPrivateAggregateState(NamedTuple):
    """The sources of the noise.

    Attributes:
      count: int32, updates made so far.
      key: the data of the user's key, uint32, the same at every step.
    """

    count: jax.Array  # type: ignore[assignment]
    key: jax.Array


def _example() -> GradientTransformation:
    return differentially_private_aggregate(1.0, 0.1, jax.random.key(0))


def _normal(key: jax.Array, g: jax.Array) -> jax.Array:
    """Standard normal numbers; for complex `g` in both parts, because each part needs noise."""
    if not jnp.iscomplexobj(g):
        return jax.random.normal(key, g.shape, g.dtype)
    real, imag = jax.random.normal(key, (2, *g.shape), g.real.dtype)
    return jax.lax.complex(real, imag)


@transformation("transform", example=_example, per_example="aggregates", all_reduces=1)
def differentially_private_aggregate(
    l2_norm_clip: Rate, noise_multiplier: Rate, key: Key
) -> GradientTransformation:
    r"""The private mean of the gradients of a batch (Abadi et al., arXiv 1607.00133, algorithm 1).

    .. math::
        u = \frac{1}{B} \Bigl( \sum_{i=1}^B g_i \min(1, C / \|g_i\|) + \sigma C \, \xi \Bigr),
        \quad \xi \sim N(0, 1)

    with the norm over all leaves. The updates have one gradient per example along a first
    axis, as `jax.vmap(jax.grad(loss), (None, 0))` gives them, so put this first in a chain. The
    noise depends only on the key, the step and the name of a leaf. Inside `shard_map` each part of
    a parameter has noise of its own. Where devices have examples of their own, `B` counts all of
    them; `update` then needs the parameters.

    Args:
      l2_norm_clip: `C`, the largest norm of one example's gradient, ≥ 0.
      noise_multiplier: `σ`, the standard deviation of the noise relative to `C`, ≥ 0.
      key: a typed random key, such as `jax.random.key(0)`; keep it secret, because it reveals the
        noise.

    Raises:
      ValueError: the updates have no axis of examples.

    >>> import jax, jax.numpy as jnp
    >>> tx = differentially_private_aggregate(1.0, 0.0, jax.random.key(0))
    >>> w, per_example = jnp.zeros(2), jnp.array([[30.0, 40.0], [0.0, 0.4]])
    >>> [round(x, 4) for x in tx.update(per_example, tx.init(w), w)[0].tolist()]
    [0.3, 0.6]
    """

    def init(params):
        return DifferentiallyPrivateAggregateState(zero_count(), key_data(key))

    def total(updates, state, params, extra):
        return clipped_total("differentially_private_aggregate", updates, l2_norm_clip, params)

    def finish(total, examples, state, params, extra):
        keys = leaf_keys(typed_key(state.key, key), state.count, total)
        deviation = l2_norm_clip * noise_multiplier

        def leaf(g, leaf_key, share):
            return (g + deviation * _normal(leaf_key, g)) * share

        share = 1 / jnp.maximum(jnp.asarray(examples, jnp.float32), 1)
        mean = map_leaves(leaf, total, reads=(keys,), scalars=(share,))
        return mean, DifferentiallyPrivateAggregateState(increment(state.count), state.key)

    return Aggregating(init, Aggregation(total, finish))
