"""Decay of moments for the steps that their rows missed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    debias,
    flatten_like,
    increment,
    is_inexact,
    is_leaf,
    slot_of,
    wide,
    zero_count,
)
from ._row_slots import field_names, slot_owners


class CatchUpState(NamedTuple):
    """The last step of each row, for moments that decay over missed steps.

    Attributes:
      inner: the state of the optimizer.
      count: int32, updates made so far.
      last_seen: int32, for each row, the count after the update that last touched it.
    """

    inner: State
    count: jax.Array  # type: ignore[assignment]
    last_seen: Any


def catching_up(inner: GradientTransformation, decays: Mapping[str, Any]) -> GradientTransformation:
    """`inner`, with slots that first decay for the steps that a row missed.

    If no step was missed, as with dense gradients, nothing changes.

    Args:
      inner: an optimizer or direction that treats rows independently.
      decays: numbers in [0, 1] by slot name.

    Raises:
      ValueError: the state has no slot with such a name.
    """

    def init(params: Params) -> CatchUpState:
        state = inner.init(params)
        names = {name for slot in _slot_names(state) for name in slot}
        if missing := sorted(set(decays) - names):
            raise ValueError(
                f"lazy_rows: decays names {missing[0]!r}, which is not a slot of inner: it has "
                f"{', '.join(sorted(names))}"
            )
        return CatchUpState(state, zero_count(), jax.tree.map(_never, params))

    def update(
        updates: Updates, state: CatchUpState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, CatchUpState]:
        grads, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
        values, seen = flatten_like(treedef, params), flatten_like(treedef, state.last_seen)
        tables = [i for i, (g, s) in enumerate(zip(grads, seen, strict=True)) if _both(g, s)]
        owners = slot_owners(inner, state.inner, tables, values, treedef)
        slots, structure = jax.tree.flatten(state.inner)
        slots = [
            slot if owner is None else _decayed(slot, state.count - seen[owner], name, decays)
            for slot, owner, name in zip(slots, owners, _slot_names(state.inner), strict=True)
        ]
        updates, new = inner.update(updates, structure.unflatten(slots), params, **extra)

        count = increment(state.count)
        # A parameter without a gradient is frozen, so its steps do not count as missed.
        after = [
            jnp.full_like(s, count) if i in tables else jax.tree.map(increment, s)
            for i, s in enumerate(seen)
        ]
        return updates, CatchUpState(new, count, treedef.unflatten(after))

    return GradientTransformation(init, update)


def _never(p: Any) -> jax.Array | None:
    """No step for any row; `None` where there are no rows, or no slots."""
    if not is_inexact(p) or not np.ndim(p):
        return None
    return slot_of(p, jnp.zeros(np.shape(p)[:1], jnp.int32), (0,))


def _both(g: Any, seen: Any) -> bool:
    return g is not None and seen is not None


def _slot_names(state: State) -> list[set[str]]:
    """The fields that contain each leaf of a state."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return [field_names(path) for path, _ in paths]


def _decayed(
    slot: jax.Array, missed: jax.Array, names: set[str], decays: Mapping[str, Any]
) -> jax.Array:
    """The rows of a slot after `missed` steps without a gradient."""
    for name in names & decays.keys():
        factor = 1 - debias(decays[name], missed)
        factor = factor.reshape(-1, *[1] * (slot.ndim - 1)).astype(wide(slot.dtype))
        slot = (factor * slot.astype(wide(slot.dtype))).astype(slot.dtype)
    return slot
