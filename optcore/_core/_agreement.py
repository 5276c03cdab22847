"""Inside `shard_map`: the mesh axes along which an array is a part of a whole, and agreement.

A device sees only its own part there. A property of the whole, like a norm or whether all is
finite, is a sum over the parts.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ._errors import ExplainedError
from ._flatten_like import flatten_like
from ._one_leaf import OneLeaf
from ._paths import is_leaf, named_leaves

Names = tuple[str, ...]

_OVER: contextvars.ContextVar[Names | None] = contextvars.ContextVar("over", default=None)
_UNTRACKED: contextvars.ContextVar[bool] = contextvars.ContextVar("untracked", default=False)


@contextlib.contextmanager
def agreeing_over(names: Names) -> Iterator[None]:
    """Treat arrays as parts of a whole along these mesh axes, and no others."""
    token = _OVER.set(names)
    try:
        yield
    finally:
        _OVER.reset(token)


@contextlib.contextmanager
def whole_if_untracked() -> Iterator[None]:
    """Treat arrays as whole where it is not known whether or how they are cut, as optax does."""
    token = _UNTRACKED.set(True)
    try:
        yield
    finally:
        _UNTRACKED.reset(token)


def told() -> Names | None:
    """The axes of `agreeing_over`, or `None` outside it."""
    return _OVER.get()


def manual_axes() -> Names:
    """The mesh axes of the `shard_map` that is being traced."""
    return tuple(jax.sharding.get_abstract_mesh().manual_axes)


def varying_axes(x: Any) -> frozenset[str]:
    """The mesh axes along which devices hold different values, as far as JAX tracks it."""
    kind = jax.typeof(x)
    found: frozenset[str] = kind.manual_axis_type.varying if hasattr(kind, "mat") else kind.vma
    return found


def are_tracked() -> bool:
    """Whether JAX tracks here along which mesh axes values vary (`check_vma=True`)."""
    return bool(varying_axes(lax.axis_index(manual_axes()[0])))


def parts(x: Any) -> Names:
    """The mesh axes over which parts like `x` make up a whole; none outside `shard_map`.

    Raises:
      ExplainedError: that is not known.
    """
    manual = manual_axes()
    if not manual:
        return ()
    over = _OVER.get()
    unknown = [name for name in over or () if name not in manual]
    if unknown:
        raise ExplainedError(
            f"agree: axis_name has {unknown[0]!r}, but the manual axes of the mesh here are "
            f"{manual}"
        )
    if are_tracked():
        found = varying_axes(x)
        return tuple(name for name in manual if name in found and (over is None or name in over))
    if over is None and _UNTRACKED.get():
        return ()
    if over is None:
        raise ExplainedError(
            "this needs a property of a whole array, such as a norm or whether all of it is "
            f"finite, but here, where mesh axes are manual ({', '.join(manual)}), it is not known "
            "whether a device holds a whole or a part: use shard_map with check_vma=True, or "
            "declare it: optcore.sharding.agree(tx, axis_name): axis_name=() if each device holds "
            "whole arrays, as under pmap"
        )
    return over


def joint(*arrays: Any) -> Names:
    """The mesh axes over which at least one of the arrays is a part."""
    if not manual_axes():
        return ()
    found = {name for x in arrays for name in parts(x)}
    return tuple(name for name in manual_axes() if name in found)


def over_parts(total: jax.Array, names: Names) -> jax.Array:
    """The sum over all parts."""
    return lax.psum(total, names) if names else total


def axes_size(names: Names) -> int:
    """The number of devices along mesh axes of a `shard_map`."""
    shape = jax.sharding.get_abstract_mesh().shape
    return math.prod(shape[name] for name in names)


def sum_over_parts(sums: Sequence[tuple[Names, jax.Array]]) -> jax.Array:
    """The sum of sums, each over its own parts: one collective for each set of mesh axes."""
    by_names: dict[Names, list[jax.Array]] = {}
    for names, x in sums:
        by_names.setdefault(names, []).append(x)
    totals = [over_parts(functools.reduce(jnp.add, xs), names) for names, xs in by_names.items()]
    return functools.reduce(jnp.add, totals)


def whole_size(x: jax.Array) -> int:
    """The number of elements of the whole."""
    return int(x.size) * axes_size(parts(x))


def whole_sum(x: jax.Array) -> jax.Array:
    """The sum over all elements of the whole."""
    return over_parts(jnp.sum(x), parts(x))


def whole_count(x: jax.Array) -> jax.Array:
    """The number of true elements of the whole, float32."""
    if whole_size(x) <= jnp.iinfo(jnp.int32).max:
        count = over_parts(jnp.sum(x, dtype=jnp.int32), parts(x))
        return count.astype(jnp.float32)
    # int32 wraps, and a float32 count stops at 2**24: count rows first, then add them.
    rows = jnp.sum(jnp.atleast_1d(x), axis=-1, dtype=jnp.int32)
    return over_parts(jnp.sum(rows.astype(jnp.float32)), parts(x))


def whole_length(x: jax.Array, axes: tuple[int, ...]) -> int:
    """The number of elements that `sum_along` adds."""
    names = parts(x) if axes and len(axes) == x.ndim else ()
    return math.prod(x.shape[i] for i in axes) * axes_size(names)


def sum_along(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """The sum along axes, which are kept with length 1; over the whole if they are all axes."""
    total = jnp.sum(x, axes, keepdims=True)
    return over_parts(total, parts(x)) if axes and len(axes) == x.ndim else total


def refuse_part(x: jax.Array, what: str) -> None:
    """Raise if `x` is a part, for operations that depend on the axes along which it is cut.

    Args:
      x: an array.
      what: the operation, for the message.

    Raises:
      ExplainedError: `x` is a part.
    """
    names = () if _UNTRACKED.get() else parts(x)
    if names:
        raise ExplainedError(
            f"{what} needs the whole array, of which a device holds a part here, cut along the "
            f"mesh {'axes' if len(names) > 1 else 'axis'} {', '.join(map(repr, names))} of a "
            "shard_map, and the cut axes of the array are not known: run this update outside "
            "shard_map, under jit with sharded arrays, or gather the array first"
        )


def refuse_differing(name: str, what: str, x: jax.Array) -> None:
    """Raise if a number of the step differs between devices.

    Args:
      name: the name of the transformation.
      what: the argument, or the function that returned it.
      x: its value.

    Raises:
      ExplainedError: devices that must decide alike hold different values, or it is not known
        whether they do.
    """
    if not manual_axes() or (_OVER.get() is not None and not are_tracked()):
        return
    names = parts(x)
    if names:
        raise ExplainedError(
            f"{name}: {what} differs between the devices along the mesh axes {names} of a "
            f"shard_map, so that each would decide for itself: make it the same on all of "
            f"them, such as their mean, jax.lax.pmean({what}, {names})"
        )


def parted_like(updates: Any, params: Any) -> Any:
    """Mark updates as varying wherever their parameters do, because they are parts like them."""
    if params is None or not manual_axes() or not are_tracked():
        return updates
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
    return treedef.unflatten(
        g if g is None or isinstance(g, OneLeaf) else varying_like(g, p)
        for g, p in zip(leaves, flatten_like(treedef, params), strict=True)
    )


def check_summed(name: str, updates: Any, params: Any) -> None:
    """Updates must not vary along mesh axes along which their parameters do not.

    Raises:
      ValueError: they do, so the parameters would become different on each device.
    """
    if params is None or not manual_axes() or not are_tracked():
        return
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
    for i, (u, p) in enumerate(zip(leaves, flatten_like(treedef, params), strict=True)):
        found = frozenset().union(*map(varying_axes, jax.tree.leaves(u)))
        names = tuple(sorted(found - varying_axes(p))) if found else ()
        if names:
            path = named_leaves(updates)[i][0]
            cause = (
                "gather the rows of all devices first, updates.gathered(axis_name)"
                if isinstance(u, OneLeaf)
                else "are these the gradients of a device's own examples? Average them first, "
                f"jax.lax.pmean(grads, {names})"
            )
            raise ValueError(
                f"{name}.update: inside shard_map, the update of {path!r} varies along the mesh "
                f"axes {names}, but the parameter does not, and would become different on each "
                f"device: {cause}"
            )


# The former name of `pcast`.
_vary: Any = (
    functools.partial(lax.pcast, to="varying")
    if hasattr(lax, "pcast")
    else getattr(lax, "pvary", None)
)


def varying_like(x: jax.Array, *others: Any) -> jax.Array:
    """The same values, marked as varying wherever the others do."""
    names = frozenset().union(*map(varying_axes, others)) - varying_axes(x)
    if not names:
        return x
    return _vary(x, tuple(names))


def shard_index(x: Any) -> list[jax.Array]:
    """The index of the part `x` along each mesh axis over which it is a part."""
    return [lax.axis_index(name) for name in parts(x)]
