"""Declare the mesh axes of a `shard_map` over which devices agree, where JAX cannot track it."""

from collections.abc import Sequence
from typing import Any

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    agreeing_over,
    settle,
    transformation,
)


@transformation("wrapper", example={"axis_name": ()}, per_example="inner")
def agree(inner: GradientTransformation, axis_name: str | Sequence[str]) -> GradientTransformation:
    """Declare the mesh axes of a `shard_map` over which the parts of an array make up the whole.

    Norms, means over a parameter, checks for finite values and decisions to skip a step concern the
    whole array. Without this wrapper, devices agree on them over the mesh axes along which an array
    varies, as JAX tracks it. In two cases JAX does not know the axes. With `check_vma=False`, and
    under `jax.pmap`, nothing is tracked, and every operation on a whole is refused. And devices
    that each train their own model do not hold parts.

    The state is that of `inner`.

    Args:
      inner: the transformation to run this way.
      axis_name: the mesh axis, or several, along which every parameter is cut. With `()` each
        device holds whole arrays and computes alone. If JAX tracks axes, an array that does not
        vary along one of them is whole there; otherwise, such an array among others would be
        counted once for each device.

    Raises:
      TypeError: `axis_name` is neither a string nor a sequence of strings.

    All devices hold parts of one vector, whose norm is 8:

    >>> import jax, jax.numpy as jnp, optcore
    >>> from jax.sharding import AxisType, PartitionSpec
    >>> tx, n = agree(optcore.clip_by_global_norm(2.0), "data"), jax.device_count()
    >>> mesh = jax.make_mesh((n,), ("data",), axis_types=(AxisType.Auto,))
    >>> def step(g):
    ...     return tx.update(g, tx.init(g))[0]
    >>> cut = {"in_specs": PartitionSpec("data"), "out_specs": PartitionSpec("data")}
    >>> inside = jax.shard_map(step, mesh=mesh, check_vma=False, **cut)
    >>> round(float(jnp.linalg.norm(jax.jit(inside)(jnp.full(n, 8.0 / n**0.5)))), 5)
    2.0
    """
    names = (axis_name,) if isinstance(axis_name, str) else axis_name
    if not isinstance(names, (tuple, list)) or not all(isinstance(n, str) for n in names):
        raise TypeError(f"agree: axis_name must be a mesh axis name, or several, got {axis_name!r}")
    over = tuple(names)
    inner = adapt(inner)

    def init(params: Params) -> State:
        with agreeing_over(over):
            return inner.init(params)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        with agreeing_over(over):
            new: tuple[Updates, State] = settle(inner.update(updates, state, params, **extra))
            return new

    return GradientTransformation(init, update)
