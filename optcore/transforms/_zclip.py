"""Clipping of norms that are outliers among earlier norms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Decay,
    GradientTransformation,
    Leafwise,
    Length,
    Rate,
    global_norm,
    increment,
    map_leaves,
    safe_sqrt,
    shrink,
    squarable,
    transformation,
    zero_count,
)


class ZclipState(NamedTuple):
    """The statistics of the global norm.

    Attributes:
      count: int32, finite norms seen so far.
      mu: float32, the average of the norms.
      nu: float32, their variance.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: jax.Array
    nu: jax.Array


@transformation("transform", example={"warmup_steps": 1}, all_reduces=1)
def zclip(
    z_threshold: Rate = 2.5, decay: Decay = 0.97, eps: Rate = 1e-6, warmup_steps: Length = 25
) -> GradientTransformation:
    r"""Clip the global norm where it is an outlier (Kumar et al., arXiv 2504.02507, algorithm 1).

    With the mean `μ` and the standard deviation `σ` of the norms so far,

    .. math::
        z = \frac{\lVert g \rVert - \mu}{\sigma + eps}, \qquad
        \lVert g \rVert^* = \mu + \frac{z_{thr}}{z} z_{thr} \sigma \text{ if } z > z_{thr}

    and `‖g‖* = ‖g‖` otherwise: the larger an outlier is, the closer to the mean it is clipped
    (reciprocal clipping). All updates are scaled together to the norm `‖g‖*`, and `‖g‖*`, not the
    outlier, enters the statistics: `μ ← decay · μ + (1 - decay) · ‖g‖*`,
    `σ² ← decay · σ² + (1 - decay) · (‖g‖* - μ)²` with the new `μ`. During the first `warmup_steps`
    nothing is clipped; the statistics are the mean and the variance of the norms so far.

    A norm that is not finite does not enter the statistics; its update stays non-finite.

    Args:
      z_threshold: how many deviations above the mean an outlier is, ≥ 0.
      decay: of the statistics, in [0, 1).
      eps: added to the deviation, ≥ 0.
      warmup_steps: ≥ 1.

    After norms 1 and 3, with mean 2 and deviation 1, the norm 12 is an outlier by `z = 10`:

    >>> import jax.numpy as jnp
    >>> tx = zclip(z_threshold=2.0, eps=0.0, warmup_steps=2)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for norm in (1.0, 3.0, 12.0):
    ...     update, state = tx.update(jnp.float32(norm), state)
    ...     print(round(update.item(), 5))
    1.0
    3.0
    2.4
    """

    def init(params):
        zero = jnp.zeros((), jnp.float32)
        return ZclipState(zero_count(), zero, jnp.zeros_like(zero))

    def update(updates, state, params=None, **extra):
        size = global_norm(updates).astype(jnp.float32)
        mu, nu = state.mu, state.nu
        count = increment(state.count)
        warm = state.count >= warmup_steps

        sigma = safe_sqrt(nu)
        beyond = size - mu
        spike = warm & (beyond > z_threshold * (sigma + eps))
        one_over_z = (sigma + eps) / jnp.where(spike, beyond, 1)
        clipped = jnp.where(spike, mu + z_threshold * one_over_z * z_threshold * sigma, size)

        # Means move by a part of the difference, which is exactly 0 on equal norms.
        weight = jnp.where(warm, 1 - decay, 1 / count.astype(mu.dtype))
        seen = squarable(clipped)
        new_mu = mu + weight * (seen - mu)
        off = jnp.where(warm, seen - new_mu, seen - mu)
        new_nu = nu + weight * ((seen - new_mu) * off - nu)

        finite = jnp.isfinite(size)
        state = ZclipState(
            jnp.where(finite, count, state.count),
            jnp.where(finite, new_mu, mu),
            jnp.where(finite, new_nu, nu),
        )
        a, b = shrink(size, clipped)
        return map_leaves(lambda g, a, b: b * (a * g), updates, scalars=(a, b), rows=True), state

    return Leafwise(init, update)
