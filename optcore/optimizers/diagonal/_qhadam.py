"""QHAdam: Adam with quasi-hyperbolic averages."""

from typing import Annotated

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Hyperparameter,
    Range,
    Rate,
    abs_sq,
    debias,
    over_root,
    per_leaf,
    slots,
    squarable,
    transformation,
    zero_count,
)
from ...compose import descend
from ._adam import ScaleByAdamState

Share = Annotated[Hyperparameter, Range(0, 1, closed=True)]
"""A part of the whole, in [0, 1]."""


@transformation("direction", example={})
def scale_by_qhadam(
    b1: Decay = 0.995,
    b2: Decay = 0.999,
    nu1: Share = 0.7,
    nu2: Share = 1.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    r"""The direction of QHAdam (Ma and Yarats, arXiv 1810.06801, section 4.3).

    .. math::
        u_t = \frac{(1 - \nu_1) g_t + \nu_1 \hat m_t}
        {\sqrt{(1 - \nu_2) |g_t|^2 + \nu_2 \hat v_t + eps_{root}} + eps}

    with the corrected moments of `scale_by_adam`. The shares `nu1` and `nu2` of the averages
    are independent of how long they remember: `nu1 = nu2 = 1` is Adam, `nu1 = b1` with `nu2 = 1`
    is close to NAdam, `nu1 = 0` is RMSProp. The defaults are the paper's recommendation.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      nu1: share of the first moment, in [0, 1]; the rest is the gradient.
      nu2: share of the second moment, in [0, 1]; the rest is the squared gradient.
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.

    Without both averages every update is the sign of its gradient:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_qhadam(nu1=0.0, nu2=0.0)
    >>> state = tx.init(jnp.zeros(2))
    >>> for g in ([300.0, -0.2], [-1.0, -4.0]):
    ...     update, state = tx.update(jnp.array(g), state)
    ...     print(update.round(6).tolist())
    [1.0, -1.0]
    [-1.0, -1.0]
    """

    def init(params):
        return ScaleByAdamState(zero_count(), slots(params, mu_dtype), slots(params, real=True))

    def corrections(t):
        return nu1 / debias(b1, t), nu2 / debias(b2, t)

    def leaf(g, m, v, c1, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        square = abs_sq(raw, 1 - nu2) + c2 * v
        return over_root((1 - nu1) * g + c1 * m, square, eps, eps_root), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.02})
def qhadam(
    learning_rate: Rate,
    b1: Decay = 0.995,
    b2: Decay = 0.999,
    nu1: Share = 0.7,
    nu2: Share = 1.0,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    """QHAdam: `w ← w - learning_rate · u_t` with the direction of `scale_by_qhadam`.

    For decoupled weight decay put `add_decayed_weights` between the direction and the rate.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_qhadam`, like all that follow.
      b2: decay of the second moment.
      nu1: share of the first moment.
      nu2: share of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.

    The first step has length `learning_rate` in every coordinate:

    >>> import jax.numpy as jnp
    >>> tx = qhadam(0.25)
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))[0].round(4).tolist()
    [-0.25, 0.25]
    """
    return descend(scale_by_qhadam(b1, b2, nu1, nu2, eps, eps_root, mu_dtype), learning_rate)
