"""RMSProp: the gradient over the root of a running mean of squares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    GradientTransformation,
    Rate,
    Retention,
    Updates,
    abs_sq,
    debias,
    per_leaf,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import chain
from ...transforms import identity, scale_by_learning_rate, trace
from ._adagrad import divided


class ScaleByRmsState(NamedTuple):
    """The running mean of squares.

    Attributes:
      nu: running mean of the squared absolute gradients, real, like the parameters.
      count: int32, updates made so far; only with bias correction.
    """

    nu: Updates
    count: jax.Array | None = None  # type: ignore[assignment]


class ScaleByStddevState(NamedTuple):
    """The running mean and mean of squares.

    Attributes:
      mu: running mean of the gradients, like the parameters.
      nu: running mean of the squared absolute gradients, real, like the parameters.
      count: int32, updates made so far; only with bias correction.
    """

    mu: Updates
    nu: Updates
    count: jax.Array | None = None  # type: ignore[assignment]


@transformation("direction", example={})
def scale_by_rms(
    decay: Retention = 0.9,
    eps: Rate = 1e-8,
    initial_scale: Rate = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    r"""Divide by the root of a running mean of squares (Hinton, 2012, lecture 6e).

    .. math::
        v_t = d \, v_{t-1} + (1 - d) |g_t|^2, \quad u_t = g_t / \sqrt{v_t + eps}

    or `g_t / (√v_t + eps)` if not `eps_in_sqrt`. Unlike AdaGrad's sum, `v_t` forgets: it does
    not grow without end.

    Args:
      decay: `d`, in [0, 1]; with 1 `v_t` stays `v_0`.
      eps: ≥ 0.
      initial_scale: `v_0`, ≥ 0.
      eps_in_sqrt: inside the root (optax, TensorFlow), or outside (torch, Keras).
      bias_correction: use `v_t / (1 - d^t)`.

    Raises:
      ValueError: `bias_correction` with a decay of 1, whose means have no weight.

    From `v_0 = 0` the first update is `1 / √(1 - d)` times the sign of the gradient:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_rms(0.75)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [2.0, -2.0]
    """
    _check("scale_by_rms", decay, bias_correction)

    def init(params):
        count = zero_count() if bias_correction else None
        return ScaleByRmsState(slots(params, fill=initial_scale, real=True), count)

    def correction(t):
        return (1 / debias(decay, t),)

    def leaf(g, v, *c):
        raw, g = g, squarable(g)
        v = decay * v + abs_sq(raw, 1 - decay)
        v_hat = c[0] * v if bias_correction else v
        return divided(g, v_hat, eps, eps_in_sqrt), v

    return per_leaf(init, leaf, ("nu",), scalars=correction if bias_correction else None)


@transformation("direction", example={})
def scale_by_stddev(
    decay: Retention = 0.9,
    eps: Rate = 1e-8,
    initial_scale: Rate = 0.0,
    eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:
    r"""Centred RMSProp: divide by a running deviation (Graves, arXiv 1308.0850, eq. 38-45).

    .. math::
        m_t = d \, m_{t-1} + (1 - d) g_t, \quad v_t = d \, v_{t-1} + (1 - d) |g_t|^2, \quad
        u_t = g_t / \sqrt{v_t - |m_t|^2 + eps}

    or `g_t / (√(v_t - |m_t|²) + eps)` if not `eps_in_sqrt`. The difference, which rounding can make
    negative, is bounded below by 0.

    Args:
      decay: `d`, in [0, 1]; with 1 the means keep their initial values.
      eps: ≥ 0.
      initial_scale: `v_0`, ≥ 0.
      eps_in_sqrt: inside the root (optax), or outside (torch).
      bias_correction: use `m_t / (1 - d^t)` and `v_t / (1 - d^t)`.

    Raises:
      ValueError: `bias_correction` with a decay of 1, whose means have no weight.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_stddev(0.5)
    >>> tx.update(jnp.array([3.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [2.0, -2.0]
    """
    _check("scale_by_stddev", decay, bias_correction)

    def init(params):
        count = zero_count() if bias_correction else None
        return ScaleByStddevState(
            slots(params), slots(params, fill=initial_scale, real=True), count
        )

    def correction(t):
        return (1 / debias(decay, t),)

    def leaf(g, m, v, *c):
        raw, g = g, squarable(g)
        m = decay * m + (1 - decay) * g
        v = decay * v + abs_sq(raw, 1 - decay)
        m_hat, v_hat = (c[0] * m, c[0] * v) if bias_correction else (m, v)
        variance = jnp.maximum(v_hat - abs_sq(m_hat), 0)
        return divided(g, variance, eps, eps_in_sqrt), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=correction if bias_correction else None)


@transformation("optimizer", example={"learning_rate": 0.01, "momentum": 0.9})
def rmsprop(
    learning_rate: Rate,
    decay: Retention = 0.9,
    eps: Rate = 1e-8,
    initial_scale: Rate = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Retention | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> GradientTransformation:
    """RMSProp, centred or not, with or without momentum.

    The direction of `scale_by_rms` (centred: `scale_by_stddev`), times the learning rate, then
    `trace`: the rate is *inside* the momentum, as in Graves' equations, TensorFlow, Keras and
    optax. torch multiplies by the rate after the momentum, which is
    `chain(scale_by_rms(...), trace(momentum), scale_by_learning_rate(learning_rate))`. At a
    constant rate the two are the same.

    Args:
      learning_rate: ≥ 0.
      decay: of the running means, in [0, 1]; torch's default is 0.99.
      eps: see `scale_by_rms`, like the next two.
      initial_scale: of the running mean of squares.
      eps_in_sqrt: `eps` inside or outside the root.
      centered: subtract the squared running mean.
      momentum: in [0, 1], or `None` for none.
      nesterov: Nesterov momentum.
      bias_correction: correct the running means for their start.

    >>> import jax.numpy as jnp
    >>> tx = rmsprop(0.1, decay=0.75)
    >>> tx.update(jnp.array([30.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [-0.20000000298023224, 0.20000000298023224]
    """
    direction = scale_by_stddev if centered else scale_by_rms
    return chain(
        direction(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def _check(owner: str, decay: float, bias_correction: bool) -> None:
    if bias_correction and isinstance(decay, float) and decay == 1:
        raise ValueError(
            f"{owner}: decay must be less than 1 with bias_correction, got 1.0: the means would be "
            "divided by 0"
        )
