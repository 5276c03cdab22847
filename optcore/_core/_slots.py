"""Where slots are made: one array per parameter, and from which of its axes."""

import contextlib
import contextvars
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._agreement import manual_axes
from ._numerics import is_inexact, wide
from ._paths import path_name
from ._tape import complex_dtype, real_dtype

Axes = tuple[int | None, ...]
"""For each axis of an array the axis of the parameter that it runs along, or `None`."""


@dataclasses.dataclass(frozen=True)
class SlotAxes:
    """Which parameter an array of a state belongs to, and which of its axes it keeps.

    `slot_axes` says it.

    Attributes:
      path: of the parameter, keys as in `jax.tree_util.tree_flatten_with_path`; `None` for what
        belongs to no parameter, such as a count.
      axes: for each axis of the array the axis of the parameter that it runs along; `None` for
        one along which something else stands, such as one mean. An axis may be shorter than the
        parameter's, where an element stands for a block.

    >>> import jax
    >>> SlotAxes((jax.tree_util.DictKey("w"),), axes=(0, None))
    SlotAxes('w', axes=(0, None))
    """

    path: tuple[Any, ...] | None
    axes: Axes

    def __repr__(self) -> str:
        name = None if self.path is None else path_name(self.path)
        return f"SlotAxes({name!r}, axes={self.axes})"


def slots(
    params: Any,
    dtype: Any = None,
    *,
    fill: Any = 0.0,
    real: bool = False,
    axes: Callable[[Any], Axes | None] | None = None,
) -> Any:
    """A tree like `params` to remember one array per parameter, at least float32.

    Args:
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.
      dtype: of the slots; by default that of the parameter, widened to float32. For a complex
        parameter a real `dtype` gives its complex counterpart.
      fill: the initial value of every element.
      real: make the slots of complex parameters real, for squares of absolute values.
      axes: what a slot keeps of its parameter, as a function of the parameter: for each axis of
        the slot, in order, the axis of the parameter, or `None` for one of length 1; instead of
        them `None` for a parameter that has no slot here. By default a slot keeps all axes. What
        needs several arrays for a parameter has several trees.

    Returns:
      A tree of arrays, and `None` where there is no slot or no floating-point parameter. Slots
      that keep all axes have the shardings of their parameters.

    >>> import jax.numpy as jnp
    >>> slots({"w": jnp.ones(2, jnp.bfloat16), "step": jnp.int32(3)})
    {'step': None, 'w': Array([0., 0.], dtype=float32)}
    >>> slots(jnp.ones((2, 3)), axes=lambda p: (None, 1))
    Array([[0., 0., 0.]], dtype=float32)
    """
    zero = isinstance(fill, (int, float)) and fill == 0

    def slot(p: Any) -> Any:
        if not is_inexact(p):
            return None
        every = tuple(range(np.ndim(p)))
        kept = every if axes is None else axes(p)
        if kept is None:
            return None
        kind = real_dtype(slot_dtype(p, dtype)) if real else slot_dtype(p, dtype)
        whole = axes is not None and manual_axes() and not any(isinstance(i, int) for i in kept)
        like = p if kept == every and not whole else _part(p, kept)
        if whole:
            # One number for all parts.
            like = jax.ShapeDtypeStruct(like.shape, like.dtype)
        made = jnp.zeros_like(like, kind) if zero else jnp.full_like(like, fill, kind)
        return slot_of(p, made, kept)

    return jax.tree.map(slot, params)


def _part(p: Any, kept: Axes) -> jax.ShapeDtypeStruct:
    """What a slot with these axes is like, abstractly."""
    lost = tuple(i for i in range(np.ndim(p)) if i not in kept)
    added = tuple(j for j, i in enumerate(kept) if i is None)
    # By reductions of the parameter, which know the shardings of abstract arrays.
    part: jax.ShapeDtypeStruct = jax.eval_shape(
        lambda p: jnp.expand_dims(jnp.sum(p, lost), added), p
    )
    if is_concrete(p):
        # Its sharding would be one of an abstract mesh, where no array can be made.
        return jax.ShapeDtypeStruct(part.shape, part.dtype)
    return part


def is_concrete(x: Any) -> bool:
    """Whether it is an array with values, on devices."""
    return isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)


def copies(params: Any, *, widened: bool = False) -> Any:
    """A tree like `params` with a copy of each, in its own dtype: no buffer is shared.

    With `widened` it is at least float32. `None` where there is no floating-point parameter, and
    zeros where only a shape is known.

    >>> import jax.numpy as jnp
    >>> copies({"w": jnp.ones(2), "step": jnp.int32(3)})
    {'step': None, 'w': Array([1., 1.], dtype=float32)}
    """

    def copied(p: Any) -> Any:
        if not is_inexact(p):
            return None
        dtype = slot_dtype(p, None if widened else jnp.result_type(p))
        abstract = isinstance(p, jax.ShapeDtypeStruct)
        return slot_of(p, jnp.zeros_like(p, dtype) if abstract else jnp.array(p, dtype))

    return jax.tree.map(copied, params)


def slot_dtype(p: Any, dtype: Any) -> np.dtype:
    """The dtype of a slot for the parameter `p`."""
    own = np.dtype(p.dtype) if hasattr(p, "dtype") else np.dtype(jnp.result_type(p))
    if dtype is None:
        return wide(own)
    if jnp.issubdtype(own, jnp.complexfloating) and not jnp.issubdtype(dtype, jnp.complexfloating):
        return complex_dtype(wide(dtype))
    return np.dtype(dtype)


class _Record:
    """What is known of the arrays that an `init` has made so far, by identity."""

    def __init__(self, params: Any) -> None:
        paths, _ = jax.tree_util.tree_flatten_with_path(params)
        # With the arrays themselves, or an identity could be given away again.
        self.known = {id(p): (p, SlotAxes(path, _all_axes(p))) for path, p in paths}

    def add(self, owner: Any, array: Any, axes: Axes) -> None:
        if id(owner) in self.known:
            own = self.known[id(owner)][1]
            kept = tuple(None if i is None else own.axes[i] for i in axes)
            self.known[id(array)] = array, SlotAxes(own.path, kept)

    def of(self, array: Any) -> SlotAxes:
        nobody = array, SlotAxes(None, (None,) * np.ndim(array))
        return self.known.get(id(array), nobody)[1]


_RECORD: contextvars.ContextVar[_Record | None] = contextvars.ContextVar("record", default=None)


def slot_of(owner: Any, array: Any, axes: Axes | None = None) -> Any:
    """The array itself, of which it is noted that it was made of `owner`.

    `slots` and `copies` do so. A wrapper does for what it makes of a parameter before it hands
    it on, or of a slot before it keeps it.

    Args:
      owner: a parameter, or an array that was made of one.
      array: what was made of it.
      axes: for each axis of the array the axis of the owner, or `None`; by default the same.

    >>> import jax.numpy as jnp, optcore
    >>> def init(params):
    ...     return jax.tree.map(lambda p: slot_of(p, jnp.zeros((5, *p.shape)), (None, 0)), params)
    >>> last_five = optcore.GradientTransformation(init, lambda u, state, params=None: (u, state))
    >>> slot_axes(last_five, {"bias": jnp.ones(3)})
    {'bias': SlotAxes('bias', axes=(None, 0))}
    """
    record = _RECORD.get()
    if record is not None:
        record.add(owner, array, _all_axes(array) if axes is None else axes)
    return array


def _all_axes(array: Any) -> tuple[int, ...]:
    return tuple(range(np.ndim(array)))


@contextlib.contextmanager
def recording(params: Any) -> Iterator[_Record]:
    record = _Record(params)
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def slot_axes(tx: Any, params: Any) -> Any:
    """For every array of a state which parameter it belongs to, and which of its axes it keeps.

    With it shardings and transfers of states are made from those of the parameters: nothing is
    told from shapes. Nothing is computed either.

    Args:
      tx: the transformation. Of another library's states nothing is known.
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.

    Returns:
      A tree like the state, with a `SlotAxes` for every array.

    >>> import jax.numpy as jnp, optcore
    >>> params = {"w": jnp.ones((2, 3))}
    >>> state = slot_axes(optcore.scale_by_factored_rms(min_dim_size_to_factor=2), params)
    >>> state.nu_row["w"], state.nu_col["w"], state.count
    (SlotAxes('w', axes=(0, None)), SlotAxes('w', axes=(None, 1)), SlotAxes(None, axes=()))
    """
    found: list[SlotAxes] = []

    def init(params: Any) -> Any:
        with recording(params) as record:
            state = tx.init(params)
        found.extend(map(record.of, jax.tree.leaves(state)))
        return state

    return jax.tree.structure(jax.eval_shape(init, params)).unflatten(found)
