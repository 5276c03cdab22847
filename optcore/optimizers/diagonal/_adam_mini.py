"""Adam-mini: Adam whose second moment is shared by blocks of coordinates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Params,
    Rate,
    Updates,
    abs_sq,
    debias,
    flatten_like,
    is_inexact,
    over_root,
    own_axes,
    per_leaf,
    refuse_part,
    saturated,
    slots,
    squarable,
    sum_along,
    transformation,
    whole_length,
    zero_count,
)
from ..._core._paths import path_name
from ...compose import descend
from ._shared import without

SharedAxes = Any | Callable[[str, Any], tuple[int, ...] | None]
"""A tree of tuples of axes (or `None`), a prefix of the parameters, or a function to them."""


class ScaleByAdamMiniState(NamedTuple):
    """The moments.

    Attributes:
      count: int32, updates made so far.
      mu: first moment, like the parameters.
      nu: second moment, real, with length 1 along the axes that share it.
    """

    count: jax.Array  # type: ignore[assignment]
    mu: Updates
    nu: Updates


def _outputs(ndim: int) -> tuple[int, ...]:
    """All axes but that of the outputs, the last one of a matrix."""
    return tuple(range(ndim - 1 if ndim > 1 else ndim))


def _is_axes(x: Any) -> bool:
    return x is None or (isinstance(x, (tuple, list)) and all(isinstance(i, int) for i in x))


def _resolved(axes: SharedAxes | None, params: Params) -> list[tuple[int, ...]]:
    """For every parameter the axes along which it shares one second moment."""
    flatten = jax.tree_util.tree_flatten_with_path

    def checked(path, chosen, p):
        ndim, name = jnp.ndim(p), path_name(path)
        if not _is_axes(chosen):
            raise TypeError(
                f"scale_by_adam_mini: the axes of {name!r} must be a tuple of ints, got {chosen!r}"
            )
        if chosen is None:
            return _outputs(ndim)
        where = f"scale_by_adam_mini: the axes of {name!r}"
        return own_axes(where, tuple(chosen), jax.eval_shape(jnp.asarray, p))

    if callable(axes):
        return [checked(path, axes(path_name(path), p), p) for path, p in flatten(params)[0]]

    given, treedef = flatten(axes, is_leaf=_is_axes)
    try:
        subtrees = flatten_like(treedef, params)
    except ValueError as error:
        raise ValueError(
            "scale_by_adam_mini: the axes must be a tree of tuples with the structure of the "
            f"parameters, or of a part of it from the root; expected {jax.tree.structure(params)}, "
            f"got {treedef}"
        ) from error
    return [
        checked((*prefix, *path), chosen, p)
        for (prefix, chosen), subtree in zip(given, subtrees, strict=True)
        for path, p in flatten(subtree)[0]
    ]


@transformation("direction", example={}, all_reduces=1, whole=True)
def scale_by_adam_mini(
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    *,
    axes: SharedAxes | None = None,
) -> GradientTransformation:
    r"""The direction of Adam-mini (Zhang et al., arXiv 2406.16793, algorithm 1).

    Adam with one second moment for each block :math:`B` of coordinates:

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad
        v_t = b_2 v_{t-1} + (1 - b_2) \,\mathrm{mean}_{i \in B} |g_t(i)|^2

        u_t = \hat m_t / (\sqrt{\hat v_t + eps_{root}} + eps)

    with the corrections of `scale_by_adam`. The given axes of an array span a block; each index of
    the other axes has a block of its own. The paper has one block for each token of an embedding,
    each head of queries and keys, and each output neuron of all other matrices: an embedding of
    shape (tokens, features) has axes `(1,)`, queries of shape (features, heads, size) `(0, 2)`, and
    a kernel of shape (inputs, outputs) `(0,)`. With no axes, `()`, this is Adam.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root, ≥ 0.
      eps_root: added inside the root, ≥ 0.
      mu_dtype: of the first moment; by default the parameter's, at least float32.
      axes: a tree of tuples of ints, which may stop at a subtree, or a function of a
        parameter's name (like `"encoder/0/bias"`) and the parameter to one. `None`, for one
        parameter or for all, selects every axis of a vector and all axes but the last of other
        arrays.

    Raises:
      TypeError: axes are not a tuple of ints.
      ValueError: a parameter has no such axis, an axis is named twice, or the tree does not
        fit the parameters.

    The state has one number per output neuron, and relative gradients within a neuron stay:

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adam_mini()
    >>> g = jnp.array([[1.0, 30.0], [7.0, 30.0]])
    >>> u, state = tx.update(g, tx.init(jnp.zeros((2, 2))))
    >>> [[round(x, 4) for x in row] for row in u.tolist()], state.nu.shape
    ([[0.2, 1.0], [1.4, 1.0]], (1, 2))
    """

    def init(params):
        found = zip(jax.tree.leaves(params), _resolved(axes, params), strict=True)
        shared = iter([mine for p, mine in found if is_inexact(p)])
        nu = slots(params, real=True, axes=lambda p: without(jnp.ndim(p), next(shared)))
        return ScaleByAdamMiniState(zero_count(), slots(params, mu_dtype), nu)

    def corrections(t):
        return 1 / debias(b1, t), 1 / debias(b2, t)

    def leaf(g, m, v, c1, c2):
        # The moment has length 1 along the axes that share it.
        shared = tuple(i for i in range(g.ndim) if g.shape[i] != v.shape[i])
        if len(shared) < g.ndim and 1 in v.shape:
            refuse_part(g, "a second moment that some axes share")
        weight = (1 - b2) / max(whole_length(g, shared), 1)
        m = b1 * m + (1 - b1) * squarable(g, spoilt=True)
        square = sum_along(abs_sq(g, weight, summed=True), shared)
        v = b2 * v + saturated(square, 1 - b2)
        return over_root(c1 * m, c2 * v, eps, eps_root), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)


@transformation("optimizer", example={"learning_rate": 0.01}, needs=("params",))
def adam_mini(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
    *,
    axes: SharedAxes | None = None,
) -> GradientTransformation:
    """Adam-mini with decoupled weight decay: `w ← w - learning_rate · (u_t + weight_decay · w)`.

    The direction `u_t` is that of `scale_by_adam_mini`. Its state is about half the size of Adam's.

    Args:
      learning_rate: ≥ 0.
      b1: see `scale_by_adam_mini`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.
      axes: which axes share a second moment, see `scale_by_adam_mini`.

    Raises:
      ValueError: `update` was not given `params`, or the axes do not fit them.

    >>> import jax.numpy as jnp
    >>> params = {"embed": jnp.zeros((9, 2)), "out": {"kernel": jnp.zeros((2, 9))}}
    >>> tx = adam_mini(0.1, axes={"embed": (1,), "out": None})
    >>> nu = tx.init(params)[0].nu
    >>> nu["embed"].shape, nu["out"]["kernel"].shape
    ((9, 1), (1, 9))
    """
    direction = scale_by_adam_mini(b1, b2, eps, eps_root, mu_dtype, axes=axes)
    return descend(direction, learning_rate, weight_decay, mask)
