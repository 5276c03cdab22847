"""Stochastic gradient descent, plain and with momentum."""

from ..._core import DType, GradientTransformation, Rate, Retention, transformation
from ...compose import descend
from ...transforms import scale_by_learning_rate, trace


@transformation("optimizer", example={"learning_rate": 0.1, "momentum": 0.9})
def sgd(
    learning_rate: Rate,
    momentum: Retention | None = None,
    nesterov: bool = False,
    accumulator_dtype: DType | None = None,
    *,
    dampening: Retention | None = None,
) -> GradientTransformation:
    """Gradient descent: `w ← w - learning_rate · m_t`, with `m_t` the gradient or its `trace`.

    The rate multiplies the momentum, as in optax and `torch.optim.SGD`. Keras keeps the rate
    inside, `v ← momentum · v - learning_rate · g`, `w ← w + v`, which is
    `chain(scale_by_learning_rate(learning_rate), trace(momentum))`. At a constant rate the two
    are the same; after a change of the rate Keras' velocity still holds steps of the old one.

    Args:
      learning_rate: ≥ 0.
      momentum: in [0, 1], or `None` for none; see `trace`.
      nesterov: Nesterov momentum.
      accumulator_dtype: of the momentum; by default the parameter's, at least float32.
      dampening: in [0, 1]: how much less new gradients count, see `trace`.

    On `w²/2` from `w = 1` with rate 0.1: without momentum `w` becomes 0.9; with momentum 0.9
    the first two steps are 0.1 and 0.18.

    >>> import jax.numpy as jnp
    >>> tx = sgd(0.1, momentum=0.9)
    >>> w = jnp.float32(1.0)
    >>> state = tx.init(w)
    >>> for _ in range(2):
    ...     step, state = tx.update(w, state, params=w)
    ...     w = w + step
    ...     print(round(step.item(), 6), round(w.item(), 6))
    -0.1 0.9
    -0.18 0.72
    """
    if momentum is None:
        return scale_by_learning_rate(learning_rate)
    direction = trace(momentum, nesterov, accumulator_dtype, dampening=dampening)
    return descend(direction, learning_rate)
