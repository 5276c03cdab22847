"""The state arrays with a row per row of a parameter, and a test that rows are independent."""

import functools
from collections.abc import Collection
from typing import Any

import jax
import numpy as np

from .._core import GradientTransformation, State

ACCUMULATORS = {"acc_grads", "grad_acc"}
"""Fields that accumulate gradients of several steps for one update."""
USE = "use an optimizer whose state is shaped like the parameters, such as adam or adagrad"


def slot_owners(
    inner: GradientTransformation,
    state: State,
    tables: Collection[int],
    params: list[Any],
    treedef: Any,
) -> list[int | None]:
    """For each leaf of a state, the number of the table whose rows it has, or `None`.

    The state is made again, abstractly, for tables with more rows and columns: arrays that grow
    with a table belong to it.

    Args:
      inner: the transformation that made the state.
      state: its state.
      tables: the indices of the parameters that are tables.
      params: the parameters.
      treedef: of the parameters.

    Raises:
      ValueError: an array grows with a table, but does not have a row for each of its rows; or the
        state accumulates gradients for a later update, when the batch uses other rows.
    """
    # Each table grows by a different number of rows, which identifies it.
    grown = {i: _grown(params[i], more) for more, i in enumerate(tables, start=1)}
    by_rows = {(np.shape(params[i])[0], grown[i].shape[0]): i for i in tables}
    larger = jax.eval_shape(
        inner.init, treedef.unflatten([grown.get(i, p) for i, p in enumerate(params)])
    )
    paths, structure = jax.tree_util.tree_flatten_with_path(state)
    others, other_structure = jax.tree.flatten(larger)
    if structure != other_structure:
        raise ValueError(
            "lazy_rows: inner is not per row: its state has a different structure for a table of "
            f"a different size; {USE}"
        )
    owners: list[int | None] = []
    for (path, leaf), other in zip(paths, others, strict=True):
        here, there = np.shape(leaf), np.shape(other)
        owner = by_rows.get((*here[:1], *there[:1]))
        if here != there and owner is None:
            raise ValueError(
                f"lazy_rows: inner is not per row: its state at {jax.tree_util.keystr(path)} has "
                f"shape {here} and grows with a table, but does not have one row per row; {USE}"
            )
        if owner is not None and field_names(path) & ACCUMULATORS:
            raise ValueError(
                f"lazy_rows: inner accumulates gradients, at {jax.tree_util.keystr(path)}: rows "
                "that are not in the batch of the update step would not be updated; use larger "
                "batches"
            )
        owners.append(owner)
    return owners


def field_names(path: tuple[Any, ...]) -> set[str]:
    """The state fields on a path."""
    return {key.name for key in path if isinstance(key, jax.tree_util.GetAttrKey)}


def _grown(p: Any, more: int) -> jax.ShapeDtypeStruct:
    """The same with more rows, and one more of everything along the other axes."""
    rows, *others = np.shape(p)
    return jax.ShapeDtypeStruct((rows + more, *(n + 1 for n in others)), p.dtype)


def check_independent(inner: GradientTransformation) -> None:
    """Refuse a transformation whose update of a row depends on other rows or on the order of rows.

    The trial runs on a table of three rows, and on two of them, swapped. If it cannot run (traced
    numbers, masks of other trees, further arguments), nothing is refused.

    Raises:
      ValueError: the rows are not updated in the same way.
    """
    # Outside the current trace: the trial, and a key in the message.
    with jax.ensure_compile_time_eval():
        try:
            independent = _are_rows_independent(inner)
        except TypeError:  # It holds arrays, and so has no hash.
            return
        if independent is False:
            raise ValueError(
                f"lazy_rows: {inner!r} is not per row: in a trial, the update of a row depended on "
                "its position and on a row without a gradient, as with a norm of the parameter, a "
                "mean over its elements, or noise for the whole array; "
                f"{USE}"
            )


@functools.lru_cache(maxsize=256)
def _are_rows_independent(inner: GradientTransformation) -> bool | None:
    p = np.array([[0.5, -1.25], [2.0, 0.75], [3.5, -4.0]], np.float32)
    g = np.array([[1.0, -0.5], [-0.25, 2.0], [0.0, 0.0]], np.float32)

    def second(rows: list[int]) -> Any:
        """The second step of some rows, because the first step of many optimizers is only a sign.

        Its gradients are large enough to exceed any bound on them.
        """
        few = p[rows]
        _, state = inner.update(g[rows], inner.init(few), few)
        return inner.update(1000 * g[rows] ** 2, state, few)[0]

    try:
        whole, part = jax.jit(lambda: (second([0, 1, 2])[:2], second([1, 0])[::-1]))()
        return bool(np.allclose(whole, part, rtol=1e-5, atol=0))
    except Exception:
        return None
