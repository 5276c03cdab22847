"""The exponentially weighted average of the updates."""

from typing import NamedTuple

import jax

from .._core import (
    Decay,
    DType,
    GradientTransformation,
    Updates,
    per_leaf,
    slots,
    transformation,
    zero_count,
)
from .._core import debias as bias_correction


class EmaState(NamedTuple):
    """The running average.

    Attributes:
      count: int32, updates made so far.
      mu: the average before bias correction, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates


@transformation("direction", example={"decay": 0.9})
def ema(
    decay: Decay, debias: bool = True, accumulator_dtype: DType | None = None
) -> GradientTransformation:
    """The exponentially weighted average `v_t = decay · v_{t-1} + (1 - decay) · g_t`, `v_0 = 0`.

    It averages over about `1 / (1 - decay)` steps. The update is `v_t`, or with `debias`
    `v_t / (1 - decay^t)`, which removes the bias of a start at zero (Kingma and Ba, arXiv
    1412.6980, section 3). The running *sum* `m_t = decay · m_{t-1} + g_t` is `trace`; without bias
    correction `v_t = (1 - decay) · m_t`.

    This averages updates; it does not average parameters.

    Args:
      decay: in [0, 1).
      debias: divide by `1 - decay^t`.
      accumulator_dtype: of the average; by default the parameter's, at least float32.

    >>> import jax.numpy as jnp
    >>> corrected, plain = ema(0.9), ema(0.9, debias=False)
    >>> g = jnp.float32(1.0)
    >>> corrected.update(g, corrected.init(g))[0].item()
    1.0
    >>> round(plain.update(g, plain.init(g))[0].item(), 6)
    0.1
    """

    def init(params):
        return EmaState(zero_count(), slots(params, accumulator_dtype))

    def corrections(t):
        return (1 / bias_correction(decay, t),)

    def leaf(g, v, correction):
        v = decay * v + (1 - decay) * g
        return (v * correction if debias else v), v

    return per_leaf(init, leaf, ("mu",), scalars=corrections)
