"""AMSGrad: Adam over the largest second moment so far."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Rate,
    Updates,
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


class ScaleByAmsgradState(NamedTuple):
    """The moments, and the largest second moment.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: second moment, real, like the parameters.
      nu_max: the largest second moment so far, raw or corrected, real, like the parameters.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates
    nu_max: Updates


@transformation("direction", example={})
def scale_by_amsgrad(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    max_of: Literal["raw", "corrected"] = "raw",
) -> GradientTransformation:
    r"""The direction of AMSGrad (Reddi et al., arXiv 1904.09237, algorithm 2).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \quad
        \bar v_t = \max(\bar v_{t-1}, v_t)

        u_t = \hat m_t / (\sqrt{\hat v_t + eps_{root}} + eps), \quad
        \hat m_t = m_t / (1 - b_1^t), \quad \hat v_t = \bar v_t / (1 - b_2^t)

    Three algorithms have this name; they differ in the bias correction of the second moment:

    * torch corrects the maximum, as above. This is the default.
    * The paper corrects nothing: `bias_correction_mu=False, bias_correction_nu=False`.
    * optax takes the maximum of the corrected moments, `max_of="corrected"`. A moment is
      corrected most at the first step, so one large first gradient is never forgotten.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0; the paper has none.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.
      bias_correction_mu: correct the first moment.
      bias_correction_nu: correct the second moment.
      max_of: take the maximum before ("raw") or after the correction ("corrected").

    Raises:
      ValueError: `max_of="corrected"` without `bias_correction_nu`.

    A large gradient is not forgotten. Without correction and with `b2 = 0` the root is that of
    the largest square so far:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_amsgrad(0.0, 0.0, bias_correction_nu=False)
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (1.0, 8.0, 1.0, 1.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(round(update.item(), 6))
    1.0
    1.0
    0.125
    0.125
    """
    if max_of == "corrected" and not bias_correction_nu:
        raise ValueError(
            'scale_by_amsgrad: max_of="corrected" takes the maximum of corrected second moments, '
            "but bias_correction_nu=False leaves them uncorrected"
        )

    def init(params):
        nu, nu_max = slots(params, real=True), slots(params, real=True)
        return ScaleByAmsgradState(zero_count(), slots(params, mu_dtype), nu, nu_max)

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def leaf(g, m, v, v_max, c1, c2):
        raw, g = g, squarable(g)
        m = b1 * m + (1 - b1) * g
        v = b2 * v + abs_sq(raw, 1 - b2)
        v_max = jnp.maximum(v_max, c2 * v if max_of == "corrected" else v)
        v_hat = c2 * v_max if bias_correction_nu and max_of == "raw" else v_max
        u = over_root(m, v_hat, eps, eps_root)
        return (c1 * u if bias_correction_mu else u), m, v, v_max

    return per_leaf(init, leaf, ("mu", "nu", "nu_max"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01})
def amsgrad(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    max_of: Literal["raw", "corrected"] = "raw",
) -> GradientTransformation:
    """AMSGrad: `w ← w - learning_rate · u_t` with the direction of `scale_by_amsgrad`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_amsgrad`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      bias_correction_mu: correct the first moment.
      bias_correction_nu: correct the second moment.
      max_of: torch's maximum ("raw") or optax's ("corrected").

    As long as the second moment grows, this is Adam; the first step has length `learning_rate`:

    >>> import jax.numpy as jnp
    >>> tx = amsgrad(0.1)
    >>> u, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(jnp.zeros(2)))
    >>> [round(x, 6) for x in u.tolist()]
    [-0.1, 0.1]
    """
    direction = scale_by_amsgrad(
        b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu, max_of=max_of
    )
    return descend(direction, learning_rate)
