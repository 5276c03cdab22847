"""Evaluation of a traced function that only gathers rows from some of its arrays."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.lax import GatherScatterMode
from jax.sharding import NamedSharding, PartitionSpec

CALLS = ("jit", "pjit")
"""Primitives that do nothing but call a function."""


@dataclasses.dataclass(frozen=True, eq=False)
class TableInput:
    """An array that rows are gathered from, and its name, which identifies it."""

    name: str
    array: Any


@dataclasses.dataclass(frozen=True)
class Gather:
    """Rows that were gathered from a table.

    Attributes:
      table: the table.
      indices: of the rows, integers of any shape.
      rows: the gathered rows.
      axes: the axes of `rows` that belong to the indices, then those that belong to a row.
    """

    table: TableInput
    indices: Any
    rows: Any
    axes: tuple[int, ...]


def run_jaxpr(
    jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any], gathered: Callable[[Gather], Any]
) -> list[Any]:
    """Evaluate a traced function, some of whose inputs are tables.

    Args:
      jaxpr: the function.
      consts: its constants.
      inputs: arrays, and `TableInput`s.
      gathered: returns the value to use for each gather from a table.

    Raises:
      ValueError: a table is used for something else.
    """
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *inputs), strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else known[atom]

    for equation in jaxpr.eqns:
        with equation.ctx.manager:
            values = [value(atom) for atom in equation.invars]
            tables = [x for x in values if isinstance(x, TableInput)]
            if not tables:
                outputs = _alone(jaxpr, equation, values)
            elif equation.primitive.name in CALLS:
                called = equation.params["jaxpr"]
                outputs = run_jaxpr(called.jaxpr, called.consts, values, gathered)
            elif equation.primitive.name == "reshard":
                moved = _alone(jaxpr, equation, [tables[0].array])[0]
                outputs = [TableInput(tables[0].name, moved)]
            else:
                outputs = [gathered(_gather(jaxpr, equation, values, tables[0]))]
            known.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def on_mesh(x: jax.Array, mesh: Any) -> jax.Array:
    """The array on this mesh; inside a gather with `out_sharding`, its axes are automatic."""
    if mesh.empty or jax.typeof(x).sharding.mesh == mesh:
        return x
    with jax.sharding.use_abstract_mesh(mesh):
        return jax.sharding.reshard(x, NamedSharding(mesh, PartitionSpec()))


def _alone(jaxpr: Any, equation: Any, values: list[Any]) -> list[Any]:
    """The outputs of one equation."""
    variables = {
        atom: value
        for atom, value in zip(equation.invars, values, strict=True)
        if not isinstance(atom, core.Literal)
    }
    single = jaxpr.replace(
        constvars=[], invars=list(variables), outvars=equation.outvars, eqns=[equation]
    )
    return core.jaxpr_as_fun(core.ClosedJaxpr(single, []))(*variables.values())


def _gather(jaxpr: Any, equation: Any, values: list[Any], table: TableInput) -> Gather:
    """The rows that an equation gathers from a table, or an error."""
    found = _places(equation, values, np.shape(table.array)) if values[0] is table else None
    if found is None:
        raise ValueError(
            f"sparse_value_and_grad: {table.name!r} is used by {equation.primitive.name}, but the "
            "only allowed use of a table is gathering rows: table[indices]; cast and scale the "
            "rows, gather them before a loop or a checkpoint, and use jax.grad for a table that "
            "is multiplied as a whole"
        )
    indices, row_axes = found
    rows = _alone(jaxpr, equation, [table.array, *values[1:]])[0]
    others = tuple(axis for axis in range(np.ndim(rows)) if axis not in row_axes)
    return Gather(table, indices, rows, others + tuple(row_axes))


def _places(equation: Any, values: list[Any], shape: tuple[int, ...]) -> Any:
    """The indices at which an equation takes rows, and the axes of a row in its output.

    The result is `None` if it does something else.
    """
    name, params, one_row = equation.primitive.name, equation.params, (1, *shape[1:])
    if name == "gather" and params["slice_sizes"] == one_row:
        numbers, clips = params["dimension_numbers"], params["mode"] == GatherScatterMode.CLIP
        starts = numbers.start_index_map
        # All axes after the first are taken whole: an index there is clipped to 0, or was 0.
        within = clips or params["mode"] == GatherScatterMode.PROMISE_IN_BOUNDS
        if starts == (0,) or (within and 0 in starts):
            indices = lax.index_in_dim(
                values[1], starts.index(0), values[1].ndim - 1, keepdims=False
            )
            indices = jnp.clip(indices, 0, shape[0] - 1) if clips else indices
            return indices, numbers.offset_dims
    if name == "dynamic_slice" and params["slice_sizes"] == one_row:
        return jnp.clip(values[1], 0, shape[0] - 1), range(len(shape))
    if name == "slice":
        starts, limits = params["start_indices"], params["limit_indices"]
        steps = params["strides"] or (1,) * len(shape)
        if limits[1:] == shape[1:] and not any(starts[1:]) and set(steps[1:]) <= {1}:
            return jnp.arange(starts[0], limits[0], steps[0]), range(1, len(shape))
    return None
