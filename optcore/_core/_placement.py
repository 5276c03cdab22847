"""The placement of a state's arrays: on the mesh of the parameters, along the axes they keep."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ._keys import is_key
from ._paths import path_name
from ._slots import SlotAxes, is_concrete, recording, slot_axes

Entry = str | tuple[str, ...] | None
"""The entry of a partition spec for one axis of an array."""


def explicit_sharding(x: Any) -> NamedSharding | None:
    """The sharding of an array if axes of its mesh are explicit, to pass to operations."""
    sharding = x.sharding if is_concrete(x) else jax.typeof(x).sharding
    named = isinstance(sharding, NamedSharding)
    return sharding if named and AxisType.Explicit in sharding.mesh.axis_types else None


def replicated(x: jax.Array) -> jax.Array:
    """The array replicated on all devices of an explicit mesh, to combine it with others."""
    sharding = explicit_sharding(x)
    if sharding is None:
        return x
    return jax.sharding.reshard(x, NamedSharding(sharding.mesh, PartitionSpec()))


def placed_like(like: Any, x: jax.Array) -> jax.Array:
    """The array with the sharding of another on an explicit mesh."""
    sharding = None if like is None else explicit_sharding(like)
    return x if sharding is None else jax.sharding.reshard(x, sharding)


def beside_slots(tx: Any, updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
    """Updates and parameters, each cut like its slots, on a mesh of explicit axes.

    They can then be combined with a state that is cut further than the parameters, as with `zero`.
    """
    like = updates if params is None else params
    own = {_type(x) for x in jax.tree.leaves(like)} - {None}
    if not own or {_type(x) for x in jax.tree.leaves(state)} - {None} <= own:
        return updates, params
    wanted: dict[Any, tuple[tuple[int, ...], NamedSharding]] = {}
    axes = jax.tree.leaves(slot_axes(tx, like))
    for slot, x in zip(axes, jax.tree.leaves(state), strict=True):
        sharding = explicit_sharding(x) if _type(x) is not None else None
        if slot.path is not None and None not in slot.axes and sharding is not None:
            wanted[slot.path] = x.shape, sharding

    def moved(path: Any, x: Any) -> Any:
        shape, there = wanted.get(path, (None, None))
        # Not the gradients of single examples.
        if _type(x) is None or np.shape(x) != shape:
            return x
        return jax.sharding.reshard(x, there)

    return tuple(jax.tree_util.tree_map_with_path(moved, tree) for tree in (updates, params))


def _type(x: Any) -> Any:
    """Shape and sharding of an array on an explicit mesh; `None` for others."""
    sharding = explicit_sharding(x) if hasattr(x, "dtype") and not is_key(x) else None
    if sharding is None:
        return None
    return (x.shape, _entries(sharding, x.ndim)) if x.ndim else None


def _entries(sharding: NamedSharding, ndim: int) -> tuple[Any, ...]:
    """The partition spec with an entry for every axis."""
    return (*sharding.spec, *(None,) * (ndim - len(sharding.spec)))


def split_last(x: jax.Array, count: int, size: int) -> jax.Array:
    """Split the last axis into two of lengths `count` and `size`, padded with zeros.

    On an explicit mesh the first of the two is cut as far as the devices divide it.
    """
    missing = count * size - x.shape[-1]
    sharding = explicit_sharding(x)
    if sharding is None:
        return _split(x, count, size, missing)
    entries = _entries(sharding, x.ndim)
    if entries[-1] is None:
        return _split(x, count, size, missing)
    mesh, fitting = sharding.mesh, _fitting(entries[-1], count, sharding.mesh)
    if missing or fitting != _entry(_names(entries[-1:])):
        x = jax.sharding.reshard(x, NamedSharding(mesh, PartitionSpec(*entries[:-1], None)))
    blocks = PartitionSpec(*entries[:-1], fitting, None)
    return jax.sharding.reshard(_split(x, count, size, missing), NamedSharding(mesh, blocks))


def _split(x: jax.Array, count: int, size: int, missing: int) -> jax.Array:
    if missing:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
    return x.reshape(*x.shape[:-1], count, size)


def placed_init(init: Any, params: Any) -> Any:
    """The state of `init`, with each array on the mesh of the parameters, if they have one.

    An array that is already there is not moved.
    """
    shardings = {
        path: x.sharding
        for path, x in jax.tree_util.tree_flatten_with_path(params)[0]
        if is_concrete(x) and isinstance(x.sharding, NamedSharding)
    }
    meshes = {sharding.mesh for sharding in shardings.values()}
    if len(meshes) != 1 or next(iter(meshes)).size == 1:
        return init(params)
    (mesh,) = meshes
    with recording(params) as record:
        state = init(params)

    def put(x: Any) -> Any:
        if isinstance(x, jax.core.Tracer):
            return x
        if isinstance(getattr(x, "sharding", None), NamedSharding) and x.sharding.mesh == mesh:
            return x
        return jax.device_put(x, sharding_of(record.of(x), np.shape(x), shardings, mesh))

    return jax.tree.map(put, state)


def sharding_of(
    axes: SlotAxes,
    shape: tuple[int, ...],
    shardings: dict[tuple[Any, ...], NamedSharding],
    mesh: Any,
) -> NamedSharding:
    """The sharding of an array of a state.

    Args:
      axes: the `SlotAxes` of the array.
      shape: the shape of the array.
      shardings: the shardings of the parameters, by path.
      mesh: the mesh of the parameters.
    """
    if axes.path is None or axes.path not in shardings:
        return NamedSharding(mesh, PartitionSpec())
    owner = shardings[axes.path]
    entries = (*owner.spec, *(None,) * len(shape))
    own = [
        None if i is None else _fitting(entries[i], n, mesh)
        for i, n in zip(axes.axes, shape, strict=True)
    ]
    # Without trailing `None`: a compiled function treats two specs as one only if they are equal.
    while own and own[-1] is None:
        own.pop()
    return NamedSharding(mesh, PartitionSpec(*own), memory_kind=owner.memory_kind)


def _fitting(entry: Any, length: int, mesh: Any) -> Entry:
    """The leading mesh axes of an entry that divide the length."""
    names: tuple[str, ...] = ()
    for name in _names((entry,)):
        if length % _size((*names, name), mesh):
            break
        names = (*names, name)
    return _entry(names)


def cut_further(
    sharding: NamedSharding, shape: tuple[int, ...], along: tuple[str, ...]
) -> NamedSharding:
    """The sharding with more mesh axes, at the longest axis of the array that they divide.

    On explicit axes, only array axes that are not cut yet are used: adding two arrays that are cut
    differently along one axis is an error there.
    """
    mesh, spec = sharding.mesh, _entries(sharding, len(shape))
    free = tuple(name for name in along if name not in _names(spec))
    rest = [n // _size(_names((entry,)), mesh) for n, entry in zip(shape, spec, strict=True)]
    explicit = AxisType.Explicit in mesh.axis_types
    divided = [
        i
        for i, n in enumerate(rest)
        if n and n % _size(free, mesh) == 0 and not (explicit and spec[i])
    ]
    if not (free and divided):
        return sharding
    longest = max(divided, key=rest.__getitem__)
    entries = list(spec)
    entries[longest] = _entry(_names((spec[longest],)) + free)
    return NamedSharding(mesh, PartitionSpec(*entries), memory_kind=sharding.memory_kind)


def _names(entries: tuple[Any, ...]) -> tuple[str, ...]:
    """The mesh axes in a partition spec."""
    found: list[str] = []
    for entry in entries:
        if isinstance(entry, str):
            found.append(entry)
        elif isinstance(entry, tuple):
            found.extend(entry)
    return tuple(found)


def _entry(names: tuple[str, ...]) -> Entry:
    return names if len(names) > 1 else names[0] if names else None


def _size(names: tuple[str, ...], mesh: Any) -> int:
    return math.prod(mesh.shape[name] for name in names)


def named_shardings(
    owner: str, params: Any, shardings: Any = None
) -> tuple[dict[tuple[Any, ...], NamedSharding], Any]:
    """The shardings of the parameters by path, and their mesh.

    Args:
      owner: for messages.
      params: arrays, or shapes that have shardings.
      shardings: a tree like `params`, instead of their own.

    Raises:
      ValueError: a parameter has no named sharding, or parameters are on several meshes.
    """
    given = params if shardings is None else shardings
    found: dict[tuple[Any, ...], Any] = {
        path: x if isinstance(x, NamedSharding) else getattr(x, "sharding", None)
        for path, x in jax.tree_util.tree_flatten_with_path(given)[0]
    }
    if shardings is not None:
        wanted = {path for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]}
        if found.keys() != wanted:
            odd = path_name(min(found.keys() ^ wanted, key=str))
            raise ValueError(
                f"{owner}: shardings must be a tree like params, with a NamedSharding for each; "
                f"only one of them has {odd!r}"
            )
    for path, sharding in found.items():
        if not isinstance(sharding, NamedSharding):
            raise ValueError(
                f"{owner}: the parameter {path_name(path)!r} has the sharding {sharding}, expected "
                "a NamedSharding; put it on a mesh with jax.device_put(params, shardings), or say "
                "shardings="
            )
    meshes = {sharding.mesh: path for path, sharding in found.items()}
    if len(meshes) > 1:
        first, second = map(path_name, list(meshes.values())[:2])
        raise ValueError(f"{owner}: {first!r} and {second!r} are on different meshes")
    if not meshes:
        raise ValueError(f"{owner}: params must hold an array with a mesh, got none")
    return found, next(iter(meshes))
