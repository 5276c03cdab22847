"""Sparse gradients of tables from which a loss only gathers rows."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    Mask,
    flatten_like,
    is_inexact,
    is_leaf,
    named_leaves,
    replicated,
    select,
)
from ._gathers import Gather, TableInput, on_mesh, run_jaxpr
from ._row_sparse import RowSparse, or_none


def sparse_value_and_grad(
    fun: Callable[..., Any], tables: Mask, *, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Like `jax.value_and_grad`, with `RowSparse` gradients for tables.

    The function is traced once to find the rows that it gathers from the tables, and differentiated
    with respect to those rows. No array of a table's size is made.

    The code of the model does not change: `table[indices]`, `jnp.take(table, indices, axis=0)` and
    `flax.linen.Embed` gather rows, also under `vmap` and inside jitted functions. Any other use of
    a table is an error: tied output weights need a dense gradient. Cast to another dtype after the
    gather.

    Args:
      fun: `fun(params, *args, **kwargs)` returns a real scalar, or a pair of it and auxiliary
        output.
      tables: a tree of booleans, or a function from the parameters to one, that marks the
        parameters that are tables; it may stop at a subtree.
      has_aux: whether `fun` returns a pair.

    Returns:
      A function with the arguments of `fun` that returns `(value, grads)`, or
      `((value, aux), grads)`; the gradients are a tree like `params`. Rows outside the table, which
      `fun` can read with `table.at[indices].get(mode="fill", fill_value=0)`, have no gradient.

    Raises:
      ValueError: a table is used for anything but gathering rows, or inside a loop or a checkpoint,
        or cannot be a table; the message names it.
      TypeError: a parameter that is not a table is an integer, as with `jax.grad`.

    >>> import jax.numpy as jnp
    >>> def loss(params, words):
    ...     return jnp.sum(params["table"][words] * params["w"])
    >>> params = {"table": jnp.ones((5, 2)), "w": jnp.array([2.0, 3.0])}
    >>> value, grads = sparse_value_and_grad(loss, {"table": True, "w": False})(
    ...     params, jnp.array([4, 1, 4])
    ... )
    >>> grads["table"]
    RowSparse(indices=int32[3], values=float32[3,2], shape=(5, 2))
    >>> grads["w"].tolist(), grads["table"].todense()[4].tolist()
    ([3.0, 3.0], [4.0, 6.0])
    """

    def value_and_grad(params: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        leaves, treedef = jax.tree.flatten(params, is_leaf=is_leaf)
        chosen = flatten_like(treedef, select("sparse_value_and_grad", tables, params, params))
        named = zip(named_leaves(params), chosen, strict=True)
        taken = {i: TableInput(*pair) for i, (pair, c) in enumerate(named) if c is not None}
        for table in taken.values():
            if not np.ndim(table.array) or not is_inexact(table.array):
                raise ValueError(
                    f"sparse_value_and_grad: {table.name!r} cannot be a table: expected a "
                    f"floating-point array with rows, got {jax.typeof(table.array)}"
                )
        dense = [None if i in taken else leaf for i, leaf in enumerate(leaves)]

        def merged(special: dict[int, Any], dense: list[Any]) -> Any:
            return treedef.unflatten([special.get(i, leaf) for i, leaf in enumerate(dense)])

        traced, shape = jax.make_jaxpr(
            lambda arrays, dense: fun(merged(arrays, dense), *args, **kwargs), return_shape=True
        )({i: table.array for i, table in taken.items()}, dense)

        def evaluated(dense: list[Any], gathered: Callable[[Gather], Any]) -> Any:
            inputs = [*taken.values(), *jax.tree.leaves(dense)]
            outputs = run_jaxpr(traced.jaxpr, traced.consts, inputs, gathered)
            outputs = [x.array if isinstance(x, TableInput) else x for x in outputs]
            return jax.tree.structure(shape).unflatten(outputs)

        meshes = [jax.typeof(table.array).sharding.mesh for table in taken.values()]
        mesh = meshes[0] if meshes else None
        kinds: list[Gather] = []

        def unshifted(gather: Gather) -> Any:
            kinds.append(dataclasses.replace(gather, indices=None, rows=jax.typeof(gather.rows)))
            return gather.rows

        jax.eval_shape(lambda dense: evaluated(dense, unshifted), dense)

        def shifted(shifts: list[Any], dense: list[Any]) -> Any:
            """The value with all rows shifted; its derivative is the gradient of the rows."""
            left, indices = iter(shifts), []

            def gathered(gather: Gather) -> Any:
                indices.append(on_mesh(gather.indices, mesh))
                return gather.rows + on_mesh(next(left), jax.typeof(gather.rows).sharding.mesh)

            value = evaluated(dense, gathered)
            value, aux = value if has_aux else (value, None)
            return value, (aux, indices)

        zeros = [jnp.zeros(kind.rows.shape, kind.rows.dtype) for kind in kinds]
        derivative = jax.value_and_grad(shifted, argnums=(0, 1), has_aux=True)
        (value, (aux, indices)), (by_rows, by_dense) = derivative(zeros, dense)
        pieces = list(zip(kinds, indices, by_rows, strict=True))
        sparse = {
            i: _joined(table, [piece for piece in pieces if piece[0].table.name == table.name])
            for i, table in taken.items()
        }
        return (value, aux) if has_aux else value, merged(sparse, by_dense)

    return value_and_grad


def _joined(table: TableInput, pieces: list[tuple[Gather, Any, Any]]) -> RowSparse:
    """The gradient of one table, from those of all rows gathered from it."""
    shape, dtype = np.shape(table.array), table.array.dtype
    indices = [jnp.zeros(0, jnp.int32)]
    indices += [or_none(replicated(i), shape[0]).reshape(-1) for _, i, _ in pieces]
    rows = [jnp.zeros((0, *shape[1:]), dtype)]
    rows += [replicated(g).transpose(kind.axes).reshape(-1, *shape[1:]) for kind, _, g in pieces]
    both = jnp.concatenate(indices), jnp.concatenate(rows)
    return RowSparse.tree_unflatten((shape, False), both)
