"""Descent along the sign of the gradient, or of its average."""

from ..._core import Decay, DType, GradientTransformation, Rate, transformation
from ...compose import chain, descend
from ...transforms import ema, scale_by_learning_rate, scale_by_sign


@transformation("optimizer", example={"learning_rate": 0.05})
def sign_sgd(learning_rate: Rate) -> GradientTransformation:
    """signSGD: `w ← w - learning_rate · sign(g_t)` (Bernstein et al., arXiv 1802.04434, alg. 1).

    Args:
      learning_rate: ≥ 0, the length of the step in every coordinate.

    >>> import jax.numpy as jnp
    >>> tx = sign_sgd(0.5)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))[0].tolist()
    [-0.5, 0.5]
    """
    return descend(scale_by_sign(), learning_rate)


@transformation("optimizer", example={"learning_rate": 0.05})
def signum(
    learning_rate: Rate, beta: Decay = 0.9, accumulator_dtype: DType | None = None
) -> GradientTransformation:
    """Signum: descent along the sign of the averaged gradient.

    `m_t = beta · m_{t-1} + (1 - beta) · g_t`, `w ← w - learning_rate · sign(m_t)` (Bernstein
    et al., arXiv 1802.04434, algorithm 2). A bias correction would not change the sign.

    Args:
      learning_rate: ≥ 0, the length of the step in every coordinate.
      beta: in [0, 1); with 0 this is `sign_sgd`.
      accumulator_dtype: of the average; by default the parameter's, at least float32.

    One small gradient does not turn the average:

    >>> import jax.numpy as jnp
    >>> tx = signum(0.5)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (3.0, -0.1):
    ...     step, state = tx.update(jnp.float32(g), state)
    ...     print(step.item())
    -0.5
    -0.5
    """
    return chain(
        ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )
