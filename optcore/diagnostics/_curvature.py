"""The ends of the Hessian's spectrum, without the Hessian."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._core import (
    Params,
    is_inexact,
    is_key,
    named_leaves,
    placed_like,
    refuse_part,
    replicated,
    wide,
)

Matvec = Callable[[jax.Array], jax.Array]


class Curvature(NamedTuple):
    """The extreme eigenvalues of a Hessian.

    Attributes:
      smallest: the most negative one; if it is clearly below 0, the point is not a minimum.
      largest: gradient descent with a constant rate is stable below `2 / largest`.
      error: an upper bound of the distance of either from some eigenvalue.
    """

    smallest: jax.Array
    largest: jax.Array
    error: jax.Array


def curvature(
    loss_fn: Callable[[Params], jax.Array], params: Params, key: jax.Array, *, steps: int = 32
) -> Curvature:
    """The smallest and the largest eigenvalue of a loss's Hessian, by Lanczos' method.

    Each of the `steps` is one Hessian-vector product (Pearlmutter, 1994), about twice the work
    of a gradient. Every vector is orthogonalised against all earlier ones (Golub and Van Loan,
    2013, section 10.3), which takes memory for `steps` copies of the parameters. The ends of a
    spectrum converge first, and from inside: the reported values never exceed the true ends. With
    as many steps as parameters the result is exact. The computation is in at least float32 and may
    be called under `jit`.

    Args:
      loss_fn: from parameters to a scalar, twice differentiable at `params`.
      params: the point to analyse; integer leaves are constants.
      key: the random key of the start vector.
      steps: ≥ 1.

    Raises:
      TypeError: a parameter is complex, or `key` is not a typed key.
      ValueError: there is no floating-point parameter, or `steps` is not positive.

    At a saddle one direction bends down:

    >>> import jax.numpy as jnp
    >>> from optcore.diagnostics import saddle
    >>> found = curvature(saddle, jnp.array([0.5, 0.5]), jax.random.key(0))
    >>> round(float(found.smallest), 4), round(float(found.largest), 4)
    (-2.0, 2.0)
    """
    if not is_key(key):
        raise TypeError(f"curvature: key must be a typed random key, jax.random.key(0), got {key}")
    if steps < 1:
        raise ValueError(f"curvature: steps must be at least 1, got {steps}")
    leaves, treedef = jax.tree.flatten(params)
    for path, leaf in named_leaves(params):
        if jnp.iscomplexobj(leaf):
            raise TypeError(f"curvature: parameter {path!r} is complex; split it into real parts")
        refuse_part(leaf, "curvature")
    where = [i for i, leaf in enumerate(leaves) if is_inexact(leaf)]
    kinds = [wide(jnp.result_type(leaves[i])) for i in where]
    widest = max(kinds, key=lambda kind: kind.itemsize, default=None)
    point, unravel = ravel_pytree([replicated(jnp.asarray(leaves[i], widest)) for i in where])
    if not point.size:
        raise ValueError("curvature: params must hold a floating-point parameter, got none")

    def loss(flat: jax.Array) -> jax.Array:
        whole = list(leaves)
        for i, x, kind in zip(where, unravel(flat), kinds, strict=True):
            whole[i] = placed_like(leaves[i], x.astype(kind))
        return loss_fn(treedef.unflatten(whole))

    def product(v: jax.Array) -> jax.Array:
        return jax.jvp(jax.grad(loss), (point,), (v,))[1]

    return _ends(product, point, key, min(steps, point.size))


def _ends(product: Matvec, like: jax.Array, key: jax.Array, steps: int) -> Curvature:
    """The extreme Ritz values of a symmetric operator."""

    def orthogonal(v: jax.Array, basis: jax.Array) -> jax.Array:
        for _ in range(2):  # A single pass leaves rounding errors of the size of the removed part.
            v = v - (basis @ v) @ basis
        return v

    def fresh(key: jax.Array, basis: jax.Array) -> jax.Array:
        v = orthogonal(jax.random.normal(key, like.shape, like.dtype), basis)
        return v / jnp.linalg.norm(v)

    def body(i: jax.Array, carry: Any) -> Any:
        basis, v, alphas, betas = carry
        basis = basis.at[i].set(v)
        w = product(v)
        alphas = alphas.at[i].set(v @ w)
        w = orthogonal(w, basis)
        length = jnp.linalg.norm(w)
        # The remainder of an invariant subspace is rounding error; the other subspace has its own
        # ends.
        size = jnp.maximum(jnp.max(jnp.abs(alphas)), jnp.max(betas))
        ended = length <= 20 * jnp.finfo(like.dtype).eps * size
        v = jax.lax.cond(
            ended,
            lambda: fresh(jax.random.fold_in(key, i + 1), basis),
            lambda: w / jnp.where(length > 0, length, 1),
        )
        return basis, v, alphas, betas.at[i].set(jnp.where(ended, 0, length))

    basis = jnp.zeros((steps, like.size), like.dtype)
    numbers = jnp.zeros(steps, like.dtype)
    start = basis, fresh(key, basis), numbers, numbers
    _, _, alphas, betas = jax.lax.fori_loop(0, steps, body, start)
    off = betas[:-1]
    ritz, vectors = jnp.linalg.eigh(jnp.diag(alphas) + jnp.diag(off, 1) + jnp.diag(off, -1))
    # The residual of a Ritz pair; it is zero if the subspace is everything.
    rest = betas[-1] if steps < like.size else jnp.zeros_like(betas[-1])
    error = rest * jnp.maximum(jnp.abs(vectors[-1, 0]), jnp.abs(vectors[-1, -1]))
    return Curvature(ritz[0], ritz[-1], error)
