"""Classical losses of two parameters, for drawing the paths of optimizers."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def bowl(point: ArrayLike, curvatures: Sequence[float] = (1.0, 20.0)) -> jax.Array:
    r"""A quadratic with a separate curvature along each axis: `½ Σ λᵢ xᵢ²`.

    Gradient descent with the rate `r` multiplies `xᵢ` by `1 - r λᵢ` in every step: it converges
    for `r < 2 / λ_max`, alternating for `r > 1 / λ_max`. Minimum 0 at the origin.

    Args:
      point: shape (n,).
      curvatures: the `n` eigenvalues of the Hessian.

    >>> import jax
    >>> jax.grad(bowl)(jnp.array([1.0, 1.0])).tolist()
    [1.0, 20.0]
    """
    x = jnp.asarray(point)
    return 0.5 * jnp.sum(jnp.asarray(curvatures, x.dtype) * x * x)


def rosenbrock(point: ArrayLike) -> jax.Array:
    """`(1 - x)² + 100 (y - x²)²`: a curved valley with steep walls (Rosenbrock, 1960).

    Minimum 0 at (1, 1); the usual start is (-1.2, 1).

    >>> float(rosenbrock(jnp.array([1.0, 1.0]))), float(rosenbrock(jnp.array([0.0, 0.0])))
    (0.0, 1.0)
    """
    x, y = jnp.asarray(point)
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def beale(point: ArrayLike) -> jax.Array:
    """`Σᵢ (cᵢ - x (1 - yⁱ))²`, `c = (1.5, 2.25, 2.625)`: flat ground with steep corners (1958).

    Minimum 0 at (3, 0.5).

    >>> float(beale(jnp.array([3.0, 0.5])))
    0.0
    """
    x, y = jnp.asarray(point)
    terms = ((1.5, y), (2.25, y * y), (2.625, y * y * y))
    return sum(((c - x * (1 - power)) ** 2 for c, power in terms), jnp.zeros((), x.dtype))


def saddle(point: ArrayLike) -> jax.Array:
    """`x² - y²`: a saddle point at the origin, and no lower bound.

    >>> import jax
    >>> jax.hessian(saddle)(jnp.zeros(2)).tolist()
    [[2.0, 0.0], [-0.0, -2.0]]
    """
    x, y = jnp.asarray(point)
    return x * x - y * y


def plateau(point: ArrayLike) -> jax.Array:
    """`1 - exp(-(x² + y²) / 2)`: a hollow in a flat plane, where gradients vanish with distance.

    Minimum 0 at the origin. The gradient norm is largest, 0.61, at the distance 1.

    >>> import jax
    >>> slope = jax.grad(plateau)
    >>> [round(float(slope(jnp.array([x, 0.0]))[0]), 5) for x in (1.0, 3.0, 5.0)]
    [0.60653, 0.03333, 2e-05]
    """
    x, y = jnp.asarray(point)
    return 1 - jnp.exp(-(x * x + y * y) / 2)


def cliff(point: ArrayLike) -> jax.Array:
    r"""A shallow bowl with a steep wall across it: `(x² + y²) / 10 + 4 σ((x - 1) / 0.05)`.

    A step from the wall is twenty times longer than those around it, and throws the parameters far
    away, as in recurrent networks (Pascanu et al., arXiv 1211.5063, figure 6). Minimum near the
    origin, at the foot of the wall.

    >>> import jax
    >>> slope = jax.grad(cliff)
    >>> [round(float(slope(jnp.array([x, 0.0]))[0]), 2) for x in (0.5, 1.0, 1.5)]
    [0.1, 20.2, 0.3]
    """
    x, y = jnp.asarray(point)
    return (x * x + y * y) / 10 + 4 * jax.nn.sigmoid((x - 1) / 0.05)
