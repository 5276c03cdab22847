"""Sophia: momentum over an average of the Hessian's diagonal, clipped in every coordinate."""

import functools
import zlib
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Bound,
    Decay,
    DType,
    GradientTransformation,
    Hyperparameter,
    Length,
    Mask,
    Params,
    Range,
    Rate,
    State,
    Updates,
    abs_sq,
    cond,
    increment,
    is_inexact,
    is_key,
    map_leaves,
    shard_index,
    slots,
    squarable,
    transformation,
    wide,
    zero_count,
)
from ..._core._paths import what_it_is
from ...compose import descend
from ...transforms import stateless

Floor = Annotated[Hyperparameter, Range(2.0**-126)]
"""A positive lower bound that float32 does not round to 0."""


class HutchinsonState(NamedTuple):
    """The count that gives every estimate new signs.

    Attributes:
      count: int32, estimates made so far.
    """

    count: jax.Array  # type: ignore[assignment]


class SophiaState(NamedTuple):
    """The averages.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      hessian: average of estimates of the Hessian's diagonal, like the parameters.
      inner: the state of the estimator.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    hessian: Updates
    inner: State


@transformation("transform", example={}, needs=("params", "obj_fn", "key"), real_only=True)
def hutchinson_estimator_diag_hessian() -> GradientTransformation:
    r"""Replace the updates by an estimate of the Hessian's diagonal (Hutchinson, 1989).

    The mean of `s ⊙ (H s)` is the diagonal of `H`, with `H` the Hessian of `obj_fn` at the
    parameters and `s` random signs; its variance comes from the other elements. It costs one
    product of the Hessian with a vector, and never forms the Hessian.

    `update` takes, besides the parameters, `obj_fn`, the loss as a function of the parameters
    alone, and a typed random `key`. The same key may be given at every step: the signs depend on
    the key, the number of the estimate and the name of the parameter.

    Raises:
      TypeError: `key` is not a typed key.
      ValueError: `update` was not given `params`, `obj_fn` or `key`.

    For a diagonal Hessian the estimate is exact:

    >>> import jax, jax.numpy as jnp
    >>> tx, w = hutchinson_estimator_diag_hessian(), jnp.array([1.0, 2.0])
    >>> def loss(w):
    ...     return jnp.sum(w**3)
    >>> grads, state, key = jax.grad(loss)(w), tx.init(w), jax.random.key(0)
    >>> tx.update(grads, state, params=w, obj_fn=loss, key=key)[0].tolist()
    [6.0, 12.0]
    """

    def init(params):
        return HutchinsonState(zero_count())

    def update(updates, state, params=None, **extra):
        key = extra["key"]
        if not is_key(key) or key.ndim:
            raise TypeError(
                "hutchinson_estimator_diag_hessian: key must be one typed random key, such as "
                f"jax.random.key(0), got {what_it_is(key)}"
            )
        key = jax.random.fold_in(key, state.count)
        estimate = _hutchinson(extra["obj_fn"], params, key)
        present = jax.tree.map(
            lambda g, h: None if g is None else h, updates, estimate, is_leaf=lambda x: x is None
        )
        return present, HutchinsonState(increment(state.count))

    return GradientTransformation(init, update)


_HUTCHINSON = hutchinson_estimator_diag_hessian()


def _hutchinson(obj_fn: Any, params: Params, key: Any) -> Any:
    """`s ⊙ (H s)` for floating-point parameters, and `None` for others."""
    paths, treedef = jax.tree_util.tree_flatten_with_path(params)
    leaves = [p for _, p in paths]
    chosen = [i for i, p in enumerate(leaves) if is_inexact(p)]

    def loss(some):
        found = dict(zip(chosen, some, strict=True))
        return obj_fn(treedef.unflatten([found.get(i, p) for i, p in enumerate(leaves)]))

    def signs(path, p):
        name = zlib.crc32(jax.tree_util.keystr(path).encode())
        own = functools.reduce(jax.random.fold_in, shard_index(p), jax.random.fold_in(key, name))
        return jax.random.rademacher(own, p.shape, p.dtype)

    s = [signs(*paths[i]) for i in chosen]
    _, product = jax.jvp(jax.grad(loss), ([leaves[i] for i in chosen],), (s,))
    result: list[Any] = [None] * len(leaves)
    for i, x, y in zip(chosen, s, product, strict=True):
        dtype = wide(x.dtype)
        result[i] = x.astype(dtype) * y.astype(dtype)
    return treedef.unflatten(result)


def _squares(updates: Updates, params: Params) -> Updates:
    return jax.tree.map(lambda g: abs_sq(g, 1.0), updates)


@transformation(
    "direction",
    example={"update_interval": 2, "hessian_diagonal_fn": stateless(_squares)},
    needs=("params",),
    real_only=True,
)
def scale_by_sophia(
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: Floor = 1e-8,
    gamma: Rate = 0.01,
    clip_threshold: Bound | None = 1.0,
    update_interval: Length = 10,
    hessian_diagonal_fn: GradientTransformation = _HUTCHINSON,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    r"""The direction of Sophia (Liu et al., arXiv 2305.14342, algorithm 3).

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        h_t = b_2 h_{t-1} + (1 - b_2) \hat h_t \text{ at every } k\text{-th step, else } h_{t-1}

        u_t = \mathrm{clip}(m_t / \max(gamma \cdot h_t, eps), \, clip\_threshold)

    The first step makes the first estimate. Where the curvature is small or negative, the bound
    turns the step into sign descent. optax corrects `m` for its start, and uses each estimate only
    from the next step on.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the average of estimates, in [0, 1).
      eps: lower bound of the denominator, ≥ 2⁻¹²⁶.
      gamma: weight of the curvature, ≥ 0; a good value leaves 10 to 50 % of the coordinates
        unclipped.
      clip_threshold: ≥ 0, or `None` for none.
      update_interval: `k` ≥ 1.
      hessian_diagonal_fn: a transformation from the gradients to an estimate of the Hessian's
        diagonal; it gets the extra arguments of `update`. By default Hutchinson's, which needs
        `obj_fn` and `key`.
      mu_dtype: of the first moment; by default the parameter's, at least float32.

    Raises:
      ValueError: `update` was not given `params` or an argument that the estimator needs.

    On a quadratic with a diagonal Hessian, and without averages, it makes a Newton step:

    >>> import jax, jax.numpy as jnp
    >>> tx = scale_by_sophia(b1=0.0, b2=0.0, gamma=1.0, clip_threshold=None)
    >>> w, curvature = jnp.array([3.0, -4.0]), jnp.array([1.0, 100.0])
    >>> def loss(w):
    ...     return jnp.sum(0.5 * curvature * w**2)
    >>> extra = {"obj_fn": loss, "key": jax.random.key(0)}
    >>> tx.update(jax.grad(loss)(w), tx.init(w), params=w, **extra)[0].tolist()
    [3.0, -4.0]
    """

    def init(params):
        m, h = slots(params, mu_dtype), slots(params)
        return SophiaState(zero_count(), m, h, hessian_diagonal_fn.init(params))

    def leaf(g, m, h):
        g = squarable(g)
        m = b1 * m + (1 - b1) * g
        u = m / jnp.maximum(gamma * h, eps)
        if clip_threshold is not None:
            u = jnp.minimum(jnp.maximum(u, -clip_threshold), clip_threshold)
        return u, m

    def update(updates, state, params=None, **extra):
        def estimated():
            estimate, inner = hessian_diagonal_fn.update(updates, state.inner, params, **extra)
            _, h = map_leaves(lambda x, h: (x, b2 * h + (1 - b2) * x), estimate, (state.hessian,))
            return h, inner

        due = state.count % update_interval == 0
        h, inner = cond(due, estimated, lambda: (state.hessian, state.inner))
        updates, m = map_leaves(leaf, updates, (state.mu,), reads=(h,))
        return updates, SophiaState(increment(state.count), m, h, inner)

    return GradientTransformation(init, update)


@transformation(
    "optimizer",
    example={
        "learning_rate": 0.02,
        "update_interval": 2,
        "hessian_diagonal_fn": stateless(_squares),
    },
    needs=("params",),
    real_only=True,
)
def sophia(
    learning_rate: Rate,
    b1: Decay = 0.965,
    b2: Decay = 0.99,
    eps: Floor = 1e-8,
    weight_decay: Rate = 1e-4,
    weight_decay_mask: Mask | None = None,
    gamma: Rate = 0.01,
    clip_threshold: Bound | None = 1.0,
    update_interval: Length = 10,
    hessian_diagonal_fn: GradientTransformation = _HUTCHINSON,
    mu_dtype: DType | None = None,
) -> GradientTransformation:
    """Sophia: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_sophia`.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_sophia`, like all that follow except `weight_decay` and `mask`.
      b2: decay of the average of estimates.
      eps: lower bound of the denominator.
      weight_decay: decoupled, ≥ 0.
      weight_decay_mask: which parameters decay, see `add_decayed_weights`.
      gamma: weight of the curvature.
      clip_threshold: the largest coordinate of a direction.
      update_interval: steps from one estimate to the next.
      hessian_diagonal_fn: the estimator.
      mu_dtype: of the first moment.

    Raises:
      ValueError: `update` was not given `params` or an argument that the estimator needs.

    Apart from the decay, no coordinate moves farther than `learning_rate`:

    >>> import jax, jax.numpy as jnp
    >>> tx, w = sophia(0.25, weight_decay=0.0), jnp.array([3.0, -4.0])
    >>> def loss(w):
    ...     return jnp.sum(w**2)
    >>> extra = {"obj_fn": loss, "key": jax.random.key(0)}
    >>> tx.update(jax.grad(loss)(w), tx.init(w), params=w, **extra)[0].tolist()
    [-0.25, 0.25]
    """
    direction = scale_by_sophia(
        b1, b2, eps, gamma, clip_threshold, update_interval, hessian_diagonal_fn, mu_dtype
    )
    return descend(direction, learning_rate, weight_decay, weight_decay_mask)
