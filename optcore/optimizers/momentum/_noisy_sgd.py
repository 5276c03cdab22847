"""Gradient descent with noise that decays."""

import jax

from ..._core import GradientTransformation, Key, Rate, transformation
from ...compose import descend
from ...transforms import add_noise


def _descent() -> GradientTransformation:
    return noisy_sgd(0.1, key=jax.random.key(0))


@transformation("optimizer", example=_descent)
def noisy_sgd(
    learning_rate: Rate, eta: Rate = 0.01, gamma: Rate = 0.55, key: Key = None
) -> GradientTransformation:
    """Gradient descent with the decaying normal noise of `add_noise`.

    Args:
      learning_rate: ≥ 0; it multiplies the noise too.
      eta: see `add_noise`, like the two that follow.
      gamma: how fast the variance decays.
      key: a typed random key; it must be given.

    Raises:
      TypeError: `key` is missing, or is not a typed key.

    Without noise it is plain descent, and the same key gives the same noise:

    >>> import jax, jax.numpy as jnp
    >>> w, g = jnp.zeros(2), jnp.array([1.0, -2.0])
    >>> quiet = noisy_sgd(0.5, eta=0.0, key=jax.random.key(0))
    >>> quiet.update(g, quiet.init(w))[0].tolist()
    [-0.5, 1.0]
    >>> first, second = (noisy_sgd(0.5, key=jax.random.key(7)) for _ in range(2))
    >>> first == second
    True
    """
    return descend(add_noise(eta, gamma, key), learning_rate)
