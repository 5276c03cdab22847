"""Slots: one array per parameter, and the axes of the parameter that it keeps."""

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
"""For each axis of an array, the axis of the parameter that it runs along, or `None`."""


@dataclasses.dataclass(frozen=True)
class SlotAxes:
    """The parameter that an array of a state belongs to, and the axes that it keeps.

    `slot_axes` says it.

    Attributes:
      path: the path of the parameter, with keys as in `jax.tree_util.tree_flatten_with_path`;
        `None` for an array that belongs to no parameter, such as a count.
      axes: for each axis of the array, the axis of the parameter that it runs along; `None` for any
        other axis, such as one of length 1 for a mean. An axis may be shorter than the parameter's,
        if an element represents a block.

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
    """A tree like `params` with one state array per parameter, at least float32.

    Args:
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.
      dtype: the dtype of the slots; by default that of the parameter, widened to float32. For a
        complex parameter a real `dtype` gives its complex counterpart.
      fill: the initial value of every element.
      real: whether the slots of complex parameters are real, for squares of absolute values.
      axes: the axes of the parameter that a slot keeps, as a function of the parameter: for each
        axis of the slot, in order, the axis of the parameter, or `None` for an axis of length 1.
        For a parameter without a slot the function returns `None`. By default a slot keeps all
        axes. An algorithm that needs several arrays per parameter uses several trees.

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
            # A single number for the whole parameter has the same value on all devices.
            like = jax.ShapeDtypeStruct(like.shape, like.dtype)
        made = jnp.zeros_like(like, kind) if zero else jnp.full_like(like, fill, kind)
        return slot_of(p, made, kept)

    return jax.tree.map(slot, params)


def _part(p: Any, kept: Axes) -> jax.ShapeDtypeStruct:
    """The abstract array of a slot with these axes."""
    lost = tuple(i for i in range(np.ndim(p)) if i not in kept)
    added = tuple(j for j, i in enumerate(kept) if i is None)
    # Made by reductions of the parameter, because these know the shardings of abstract arrays.
    part: jax.ShapeDtypeStruct = jax.eval_shape(
        lambda p: jnp.expand_dims(jnp.sum(p, lost), added), p
    )
    if is_concrete(p):
        # Its sharding would have an abstract mesh, on which arrays cannot be made.
        return jax.ShapeDtypeStruct(part.shape, part.dtype)
    return part


def is_concrete(x: Any) -> bool:
    """Whether it is an array with values, on devices."""
    return isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)


def copies(params: Any, *, widened: bool = False) -> Any:
    """A tree like `params` with a copy of each parameter, in its own dtype, without shared buffers.

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
    """The owners and axes of the arrays that an `init` has made so far, by identity."""

    def __init__(self, params: Any) -> None:
        paths, _ = jax.tree_util.tree_flatten_with_path(params)
        # Keeps the arrays themselves, so that an identity cannot be reused.
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
    """Record that `array` was made from `owner`, and return it.

    `slots` and `copies` call it. A wrapper calls it for arrays that it makes from a parameter
    before passing it on, or from a slot before storing it.

    Args:
      owner: a parameter, or an array that was made from one.
      array: the array made from it.
      axes: for each axis of the array, the axis of the owner, or `None`; by default the same axes.

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
    """For every array of a state, the parameter that it belongs to and the axes that it keeps.

    It allows shardings and transfers of states to follow those of the parameters. Nothing is
    computed or guessed from shapes.

    Args:
      tx: the transformation. The states of other libraries are unknown.
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.

    Returns:
      A tree like the state, with a `SlotAxes` for every array.

    >>> import jax.numpy as jnp
    >>> from optcore.optimizers import scale_by_factored_rms
    >>> params = {"w": jnp.ones((2, 3))}
    >>> state = slot_axes(scale_by_factored_rms(min_dim_size_to_factor=2), params)
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
