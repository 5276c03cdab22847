"""NovoGrad: momentum of gradients that were divided by the norm of their layer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Rate,
    Retention,
    Updates,
    abs_sq,
    add_multiple,
    over_root,
    per_leaf,
    saturated,
    slots,
    squarable,
    transformation,
    whole_sum,
    zero_count,
)
from ...compose import descend


class ScaleByNovogradState(NamedTuple):
    """The moments.

    Attributes:
      count: int32, updates made so far.
      mu: running sum of the normalised gradients and the decay, like the parameters.
      nu: running average of the squared norm of each leaf's gradient, one number per leaf.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


@transformation("direction", example={}, needs=("params",), all_reduces=1)
def scale_by_novograd(
    b1: Retention = 0.9,
    b2: Decay = 0.25,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 0.0,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    r"""The direction of NovoGrad (Ginsburg et al., arXiv 1905.11286, algorithm 1).

    For every leaf (the paper's layer)

    .. math::
        v_t = b_2 v_{t-1} + (1 - b_2) \|g_t\|^2, \quad v_1 = \|g_1\|^2

        m_t = b_1 m_{t-1} + g_t / (\sqrt{v_t + eps_{root}} + eps) + weight\_decay \cdot w_t,
        \quad u_t = m_t

    The decay is inside the momentum, and is not divided by the norm. `m` is a sum, not an average.

    Args:
      b1: decay of the sum, in [0, 1].
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      weight_decay: ≥ 0.
      mu_dtype: of the sum; by default the parameter's, at least float32.

    Raises:
      ValueError: `update` was not given `params`.

    The first update of every leaf has norm 1:

    >>> import jax.numpy as jnp
    >>> tx, w = scale_by_novograd(), jnp.zeros(2)
    >>> update, _ = tx.update(jnp.array([30.0, -40.0]), tx.init(w), params=w)
    >>> round(jnp.linalg.norm(update).item(), 6)
    1.0
    """

    def init(params):
        mu, nu = slots(params, mu_dtype), slots(params, real=True, axes=lambda p: ())
        return ScaleByNovogradState(zero_count(), mu, nu)

    def first(t):
        return (t == 1,)

    def leaf(g, m, v, w, first):
        square = saturated(whole_sum(abs_sq(g)))
        v = jnp.where(first, square, b2 * v + (1 - b2) * square)
        u = over_root(jnp.ones_like(v), v, eps, eps_root) * squarable(g, spoilt=True)
        m = b1 * m + add_multiple(u, weight_decay, w)
        return m, m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=first, reads=lambda params: (params,))


@transformation("optimizer", example={"learning_rate": 0.02}, needs=("params",))
def novograd(
    learning_rate: Rate,
    b1: Retention = 0.9,
    b2: Decay = 0.25,
    eps: Rate = 1e-6,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 0.0,
) -> GradientTransformation:
    """NovoGrad: `w ← w - learning_rate · u_t` with the direction of `scale_by_novograd`.

    The default decays are optax's; the paper takes 0.95 and 0.98.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_novograd`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      weight_decay: inside the momentum.

    Raises:
      ValueError: `update` was not given `params`.

    The first step of every leaf has length `learning_rate`:

    >>> import jax.numpy as jnp
    >>> tx, w = novograd(0.5), jnp.zeros(2)
    >>> step, _ = tx.update(jnp.array([30.0, -40.0]), tx.init(w), params=w)
    >>> round(jnp.linalg.norm(step).item(), 6)
    0.5
    """
    return descend(scale_by_novograd(b1, b2, eps, eps_root, weight_decay), learning_rate)
