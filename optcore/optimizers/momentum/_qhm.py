"""Quasi-hyperbolic momentum: between plain descent and averaged momentum."""

from typing import Annotated, NamedTuple

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Hyperparameter,
    Range,
    Rate,
    Updates,
    per_leaf,
    slots,
    transformation,
)
from ...compose import descend

Share = Annotated[Hyperparameter, Range(0, 1, closed=True)]


class ScaleByQhmState(NamedTuple):
    """The running average.

    Attributes:
      mu: average of the gradients, like the parameters.
    """

    mu: Updates


@transformation("direction", example={})
def scale_by_qhm(
    decay: Decay = 0.999, nu: Share = 0.7, accumulator_dtype: DType | None = None
) -> GradientTransformation:
    r"""The direction of quasi-hyperbolic momentum (Ma and Yarats, arXiv 1810.06801, eq. 3-4).

    .. math::
        m_t = d \, m_{t-1} + (1 - d) g_t, \quad u_t = (1 - \nu) g_t + \nu \, m_t

    Its limits are the gradient (`nu = 0`) and the average without bias correction (`nu = 1`).

    Args:
      decay: `d`, in [0, 1).
      nu: weight of the average, in [0, 1].
      accumulator_dtype: of the average; by default the parameter's, at least float32.

    With `nu = decay` it is Nesterov momentum, `1 - decay` times as long:

    >>> import jax.numpy as jnp, optcore
    >>> g = jnp.float32(1.0)
    >>> qhm, nesterov = scale_by_qhm(0.5, 0.5), optcore.trace(0.5, nesterov=True)
    >>> qhm.update(g, qhm.init(g))[0].item(), nesterov.update(g, nesterov.init(g))[0].item()
    (0.75, 1.5)
    """

    def init(params):
        return ScaleByQhmState(slots(params, accumulator_dtype))

    def leaf(g, m):
        m = decay * m + (1 - decay) * g
        return (1 - nu) * g + nu * m, m

    return per_leaf(init, leaf, ("mu",))


@transformation("optimizer", example={"learning_rate": 0.1})
def qhm(
    learning_rate: Rate,
    decay: Decay = 0.999,
    nu: Share = 0.7,
    accumulator_dtype: DType | None = None,
) -> GradientTransformation:
    """Quasi-hyperbolic momentum: `w ← w - learning_rate · u_t`, `u_t` that of `scale_by_qhm`.

    The defaults are the paper's recommendation. A rate for `sgd` with momentum `decay` becomes
    `learning_rate / (1 - decay)` here, because `qhm` averages gradients where `sgd` sums them.

    Args:
      learning_rate: ≥ 0.
      decay: see `scale_by_qhm`, like the two that follow.
      nu: weight of the average.
      accumulator_dtype: of the average.

    The first step is `1 - nu · decay` times that of plain descent:

    >>> import jax.numpy as jnp
    >>> tx = qhm(0.5, decay=0.5, nu=0.5)
    >>> tx.update(jnp.float32(1.0), tx.init(jnp.float32(0.0)))[0].item()
    -0.375
    """
    return descend(scale_by_qhm(decay, nu, accumulator_dtype), learning_rate)
