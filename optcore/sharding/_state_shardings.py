"""The shardings of a state, and a state made with them."""

from collections.abc import Sequence
from typing import Any

import jax

from .._core import (
    GradientTransformation,
    Params,
    State,
    cut_further,
    named_shardings,
    sharding_of,
    slot_axes,
)


def state_shardings(
    tx: GradientTransformation,
    params: Params,
    shardings: Any = None,
    *,
    zero: str | Sequence[str] | None = None,
) -> Any:
    """The sharding of every array of a state, derived from those of the parameters.

    An array that belongs to a parameter is cut like the parameter, along the axes that it keeps
    (see `slot_axes`), if the number of devices divides its length: a factored, reduced, blocked or
    quantised slot omits the mesh axes that no longer fit. Counts, keys and other scalars are on all
    devices of the parameters' mesh. Nothing is computed or guessed from shapes. The states of other
    libraries are unknown and are copied to all devices.

    Args:
      tx: the transformation.
      params: a tree of arrays or of `jax.ShapeDtypeStruct`s, with a `NamedSharding` each.
      shardings: a tree like `params` with a `NamedSharding` for each, instead of their own.
      zero: a mesh axis, or several, along which the parameters are copied; the state is cut along
        it, at the longest axis of each parameter that the devices divide (Rajbhandari et al., arXiv
        1910.02054, stage 1). An array that they do not divide is left whole, as is a slot that does
        not keep that axis; an array already cut along this mesh axis does not change. On explicit
        mesh axes, a parameter axis that is already cut is not cut further.

    Returns:
      A tree like the state, with a `NamedSharding` for every array.

    Raises:
      ValueError: a parameter has no named sharding, parameters are on several meshes, `shardings`
        does not fit `params`, or the mesh has no axis of that name.

    >>> import jax.numpy as jnp, optcore
    >>> from jax.sharding import AxisType, NamedSharding, PartitionSpec
    >>> mesh = jax.make_mesh((1, 1), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    >>> params = {"w": jax.ShapeDtypeStruct((8, 4), jnp.float32)}
    >>> cut = {"w": NamedSharding(mesh, PartitionSpec(None, "model"))}
    >>> found = state_shardings(optcore.scale_by_adam(), params, cut, zero="data")
    >>> tuple(found.count.spec), tuple(found.mu["w"].spec)
    ((), ('data', 'model'))
    """
    by_path, mesh = named_shardings("state_shardings", params, shardings)
    along = (zero,) if isinstance(zero, str) else tuple(zero or ())
    for name in along:
        if name not in mesh.shape:
            raise ValueError(
                f"state_shardings: zero must name axes of the mesh, of {tuple(mesh.shape)}, "
                f"got {name!r}"
            )
    for path, p in jax.tree_util.tree_flatten_with_path(params)[0]:
        by_path[path] = cut_further(by_path[path], p.shape, along)
    return jax.tree.map(
        lambda axes, x: sharding_of(axes, x.shape, by_path, mesh),
        slot_axes(tx, params),
        jax.eval_shape(tx.init, params),
    )


def init_sharded(
    tx: GradientTransformation,
    params: Params,
    *,
    zero: str | Sequence[str] | None = None,
) -> State:
    """The state of these parameters, with each array made where `state_shardings` places it.

    On automatic mesh axes, `jax.jit(tx.init)(params)` would copy the state to all devices, because
    traced arrays have no sharding there.

    Args:
      tx: the transformation.
      params: a tree of arrays with a `NamedSharding` each.
      zero: see `state_shardings`.

    Raises:
      ValueError: see `state_shardings`.

    >>> import jax.numpy as jnp, optcore
    >>> from jax.sharding import NamedSharding, PartitionSpec
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> w = jax.device_put(jnp.ones(4), NamedSharding(mesh, PartitionSpec("data")))
    >>> tuple(init_sharded(optcore.scale_by_adam(), w).mu.sharding.spec)
    ('data',)
    """
    made = jax.jit(tx.init, out_shardings=state_shardings(tx, params, zero=zero))
    state: State = made(params)
    return state
