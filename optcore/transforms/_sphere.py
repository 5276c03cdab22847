"""Parameters that keep their initial norms."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Leafwise,
    Mask,
    Params,
    copies,
    map_leaves,
    named_leaves,
    norm_along,
    own_axes,
    safe_divide,
    select,
    slot_of,
    transformation,
    wide,
)


class KeepParamsNormState(NamedTuple):
    """The norms to keep.

    Attributes:
      radius: the norm of each initial parameter, with length 1 along the axes that it is taken
        over; `None` where the mask is False.
    """

    radius: Params


def matrices(params: Params) -> Any:
    """A mask: the parameters with two axes or more.

    >>> import jax.numpy as jnp
    >>> matrices({"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)})
    {'bias': False, 'kernel': True}
    """

    def has_two_axes(p):
        return len(getattr(p, "shape", ())) >= 2

    return jax.tree.map(has_two_axes, params, is_leaf=lambda p: p is None)


@transformation("transform", example={"mask": matrices}, needs=("params",), all_reduces=1)
def keep_params_norm(
    mask: Mask | None = None, axes: int | tuple[int, ...] | None = None
) -> GradientTransformation:
    r"""Change the updates so that every parameter keeps the norm that it had at `init`.

    .. math:: p + u \leftarrow R \frac{p + u}{\lVert p + u \rVert}, \quad R = \lVert p_0 \rVert

    The projection of Hyperball (Wen et al., arXiv 2606.16899). The state keeps `R`, so rounding
    errors do not add up over the steps. A step that would end at zero, which has no direction, is
    not made. Put it last in a chain, where it sees the final step.

    Args:
      mask: which parameters keep their norm, see `add_decayed_weights`. Vectors and embeddings
        are usually left out.
      axes: the axes that the norm is taken over; by default all axes of a leaf. For layers that are
        stacked on the first axis, `(-2, -1)` keeps the norm of each matrix.

    Raises:
      ValueError: `init` was given a zero parameter, which could never move (under `jit`, where its
        value is unknown, it stays zero); `update` was not given `params`; or the mask or the axes
        do not fit them.

    >>> import jax.numpy as jnp
    >>> tx = keep_params_norm()
    >>> params = jnp.array([5.0, 0.0])
    >>> step, _ = tx.update(jnp.array([-2.0, 4.0]), tx.init(params), params=params)
    >>> (params + step).tolist()
    [3.0, 4.0]
    """

    def norm(p):
        return norm_along(p, own_axes("keep_params_norm: axes", axes, p))

    def radius_of(p):
        size = norm(jnp.abs(p.astype(wide(p.dtype))))
        along = own_axes("keep_params_norm: axes", axes, p)
        return slot_of(p, size, tuple(None if i in along else i for i in range(p.ndim)))

    def init(params):
        chosen = select("keep_params_norm", mask, params, params)
        radius = jax.tree.map(radius_of, copies(chosen))
        for (path, p), (_, size) in zip(named_leaves(chosen), named_leaves(radius), strict=True):
            _refuse_zero(path, p, size)
        return KeepParamsNormState(radius)

    def leaf(u, p, radius):
        if radius is None:
            return u
        q = p + u
        size = norm(q)
        return jnp.where(size == 0, 0, safe_divide(q, size) * radius - p)

    def update(updates, state, params=None, **extra):
        return map_leaves(leaf, updates, reads=(params, state.radius)), state

    return Leafwise(init, update)


def _refuse_zero(path: str, p: Any, size: jax.Array | None) -> None:
    """A zero parameter has no direction: every step would end at zero again."""
    abstract = isinstance(p, jax.ShapeDtypeStruct) or isinstance(size, jax.core.Tracer)
    if size is None or abstract or not jnp.size(p):
        return
    zeros = int(jnp.sum(size == 0))
    if zeros:
        raise ValueError(
            f"keep_params_norm: the parameter at {path!r} has {zeros} of {size.size} norms equal "
            "to 0, which would stay 0; initialise it differently or exclude it with the mask"
        )
