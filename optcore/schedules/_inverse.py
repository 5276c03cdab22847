"""Decays without an end: inverse time, inverse square root, powers of the number of tokens."""

from typing import Annotated

import jax
import jax.numpy as jnp

from .._core import Count, Hyperparameter, Length, Range, Rate, Schedule, schedule
from ._decay import Positive
from ._progress import periods


@schedule(example={"init_value": 1.0, "decay_rate": 0.5})
def inverse_time_schedule(
    init_value: Hyperparameter,
    decay_rate: Rate,
    transition_steps: Length = 1,
    transition_begin: Count = 0,
    staircase: bool = False,
) -> Schedule:
    """`init_value / (1 + decay_rate · t/T)`, with `t` the steps since `transition_begin`.

    With `T = 1` it is `lr / (1 + decay · t)`: the argument `decay` of Keras' legacy optimizers.

    Args:
      init_value: before and at `transition_begin`.
      decay_rate: ≥ 0.
      transition_steps: `T` ≥ 1.
      transition_begin: ≥ 0.
      staircase: round `t/T` down.

    >>> keras_decay = inverse_time_schedule(1.0, decay_rate=0.5)
    >>> [keras_decay(t).item() for t in (0, 2, 6)]
    [1.0, 0.5, 0.25]
    """

    def value(count: jax.Array) -> jax.Array:
        passed = periods(count, transition_begin, transition_steps, whole=staircase)
        return init_value / (1 + decay_rate * passed)

    return value


@schedule(example={"init_value": 1.0, "timescale": 4})
def inverse_sqrt_schedule(
    init_value: Hyperparameter, timescale: Length, transition_begin: Count = 0
) -> Schedule:
    """`init_value · √(T / (T + t))`, with `t` the steps since `transition_begin`.

    (The `rsqrt` schedule of Zhai et al., arXiv 2106.04560.) T5's `1/√max(count, W)` (Raffel et
    al., arXiv 1910.10683) is `inverse_sqrt_schedule(W**-0.5, W, transition_begin=W)`; the same
    after `W` steps of warm-up to a peak is
    `prepend_warmup(inverse_sqrt_schedule(peak, W), W)`.

    Args:
      init_value: before and at `transition_begin`.
      timescale: `T` ≥ 1: after `3 T` steps the value has halved.
      transition_begin: ≥ 0.

    >>> t5 = inverse_sqrt_schedule(10_000**-0.5, 10_000, transition_begin=10_000)
    >>> [round(t5(t).item(), 4) for t in (0, 10_000, 40_000)]
    [0.01, 0.01, 0.005]
    """

    def value(count: jax.Array) -> jax.Array:
        t = (jnp.maximum(count, transition_begin) - transition_begin).astype(jnp.float32)
        return init_value * jnp.sqrt(timescale / (timescale + t))

    return value


@schedule(example={"model_size": 64.0, "warmup_steps": 4})
def noam_schedule(
    model_size: Positive, warmup_steps: Length, scale: Hyperparameter = 1.0
) -> Schedule:
    r"""The rate of the Transformer (Vaswani et al., arXiv 1706.03762, eq. 3).

    .. math::
        \eta_t = scale \cdot d^{-1/2} \min(t^{-1/2},\, t \, W^{-3/2}),
        \quad t = count + 1

    It is largest, `scale / √(d W)`, at the count `W - 1`.

    Args:
      model_size: the width `d` > 0 of the model.
      warmup_steps: `W` ≥ 1.
      scale: a factor.

    >>> noam = noam_schedule(512.0, 4000)
    >>> f"{noam(3999).item():.3g}", f"{noam(15_999).item():.3g}"
    ('0.000699', '0.000349')
    """

    def value(count: jax.Array) -> jax.Array:
        t = count.astype(jnp.float32) + 1
        peak = scale * (model_size * warmup_steps) ** -0.5
        return peak * jnp.minimum(jnp.sqrt(warmup_steps / t), t / warmup_steps)

    return value


@schedule(example={"peak_value": 0.02, "amplitude": 0.1})
def power_schedule(
    peak_value: Rate,
    amplitude: Positive,
    power: Annotated[Hyperparameter, Range(high=0)] = -0.51,
    tokens_per_step: Positive = 1.0,
) -> Schedule:
    """`min(peak_value, amplitude · n^power)` with `n` the number of tokens seen.

    (Shen et al., arXiv 2408.13359.) It does not depend on the length of the run or the batch size.
    The paper adds a warm-up in front (`prepend_warmup`) and an exponential cool-down at the end
    (`append_cooldown`).

    Args:
      peak_value: the largest value, ≥ 0.
      amplitude: > 0; the paper's `a` times its batch size.
      power: the paper's `b` < 0.
      tokens_per_step: > 0; `n = count · tokens_per_step`.

    >>> rate = power_schedule(0.5, amplitude=1.0, power=-0.5)
    >>> [rate(t).item() for t in (0, 4, 16)]
    [0.5, 0.5, 0.25]
    """

    def value(count: jax.Array) -> jax.Array:
        n = jnp.maximum(count, 1).astype(jnp.float32) * tokens_per_step
        decayed = jnp.minimum(peak_value, amplitude * n**power)
        return jnp.where(count == 0, peak_value, decayed)

    return value
