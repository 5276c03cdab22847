"""Gaussian noise with a decaying variance."""

from typing import NamedTuple

import jax

from .._core import (
    GradientTransformation,
    Key,
    Rate,
    increment,
    key_data,
    leaf_keys,
    map_leaves,
    safe_sqrt,
    transformation,
    typed_key,
    zero_count,
)


class AddNoiseState(NamedTuple):
    """The sources of the noise of the next step.

    Attributes:
      count: int32, updates made so far.
      key: the data of the user's key, uint32, the same at every step.
    """

    count: jax.Array  # type: ignore[assignment]
    key: jax.Array


def _noise() -> GradientTransformation:
    return add_noise(0.01, 0.55, jax.random.key(0))


@transformation("transform", example=_noise, stage="drift")
def add_noise(eta: Rate, gamma: Rate, key: Key = None) -> GradientTransformation:
    r"""Add normal noise of variance `eta / t^gamma` (Neelakantan et al., arXiv 1511.06807).

    .. math::
        u_t = g_t + \mathcal N(0, \sigma_t^2), \quad
        \sigma_t^2 = \eta / t^\gamma, \quad t = 1, 2, \dots

    The noise of a leaf depends only on the key, the step and the leaf's path: it is the same in
    every run, however `jit` shards the leaf, and different for every leaf. Inside `shard_map` each
    part of a leaf has noise of its own. The variance of a complex number is shared by its parts.

    Args:
      eta: variance at the first step, ≥ 0.
      gamma: how fast it decays, ≥ 0.
      key: a typed random key; it must be given.

    Raises:
      TypeError: `key` is missing, or no typed key.

    >>> import jax, jax.numpy as jnp
    >>> tx = add_noise(4.0, 1.0, jax.random.key(0))
    >>> state = tx.init(jnp.zeros(10_000))
    >>> for _ in range(2):
    ...     noise, state = tx.update(jnp.zeros(10_000), state)
    ...     print(round(jnp.var(noise).item(), 1))
    4.0
    2.0
    """

    def init(params):
        return AddNoiseState(zero_count(), key_data(key))

    def leaf(g, leaf_key, deviation):
        return g + deviation * jax.random.normal(leaf_key, g.shape, g.dtype)

    def update(updates, state, params=None, **extra):
        t = increment(state.count)
        keys = leaf_keys(typed_key(state.key, key), t, updates)
        deviation = safe_sqrt(eta * t.astype(float) ** -gamma)
        updates = map_leaves(leaf, updates, reads=(keys,), scalars=(deviation,))
        return updates, AddNoiseState(t, state.key)

    return GradientTransformation(init, update)
