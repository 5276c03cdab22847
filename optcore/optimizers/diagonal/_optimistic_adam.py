"""Optimistic Adam: optimistic descent on Adam's direction, for games."""

from ..._core import Decay, DType, GradientTransformation, Rate, transformation
from ...compose import chain
from ...transforms import scale, scale_by_learning_rate
from ..momentum import scale_by_optimistic_gradient
from ._adam import scale_by_adam


@transformation("optimizer", example={"learning_rate": 0.01})
def optimistic_adam(
    learning_rate: Rate,
    optimism: Rate | None = None,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    *,
    nesterov: bool = True,
) -> GradientTransformation:
    """Optimistic Adam: `w ← w - learning_rate · r_t - optimism · (r_t - r_{t-1})`.

    `r_t` is the direction of `scale_by_adam` (Daskalakis et al., arXiv 1711.00141, algorithm 1,
    which has no Nesterov momentum: `nesterov=False`; the default is optax's). The first step has no
    previous direction: `r_0 = r_1`.

    Args:
      learning_rate: ≥ 0.
      optimism: weight of the change of direction, ≥ 0; `None` uses `learning_rate`, as in the
        paper.
      b1: see `scale_by_adam`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      nesterov: Nesterov momentum.

    In the game `min_x max_y x · y`, Adam circles the equilibrium and optimistic Adam converges to
    it:

    >>> import jax.numpy as jnp
    >>> from optcore import adam
    >>> for tx in (adam(0.01), optimistic_adam(0.01, 1.0)):
    ...     w = jnp.array([1.0, 2.0])
    ...     state = tx.init(w)
    ...     for _ in range(300):
    ...         step, state = tx.update(jnp.array([w[1], -w[0]]), state)
    ...         w = w + step
    ...     print(bool(jnp.linalg.norm(w) < 1))
    False
    True
    """
    optimism = learning_rate if optimism is None else optimism
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(learning_rate, optimism),
        scale(-1.0),
    )


@transformation("optimizer", example={"learning_rate": 0.01})
def optimistic_adam_v2(
    learning_rate: Rate,
    *,
    alpha: Rate = 1.0,
    beta: Rate = 1.0,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    nesterov: bool = True,
) -> GradientTransformation:
    """Optimistic Adam: `w ← w - learning_rate · (alpha · r_t + beta · (r_t - r_{t-1}))`.

    This is `optimistic_adam` with coefficients relative to the learning rate, so that one schedule
    scales both.

    Args:
      learning_rate: ≥ 0.
      alpha: coefficient of the direction, ≥ 0.
      beta: coefficient of its change, ≥ 0.
      b1: see `scale_by_adam`, like all that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      nesterov: Nesterov momentum.

    Where the direction stays the same, this is Adam:

    >>> import jax.numpy as jnp
    >>> tx = optimistic_adam_v2(0.1, nesterov=False)
    >>> state = tx.init(jnp.zeros(()))
    >>> for g in (3.0, 3.0):
    ...     step, state = tx.update(jnp.float32(g), state)
    ...     print(round(step.item(), 4))
    -0.1
    -0.1
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_optimistic_gradient(alpha, beta),
        scale_by_learning_rate(learning_rate),
    )
