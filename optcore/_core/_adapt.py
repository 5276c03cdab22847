"""Adapters that make transformations of other libraries keep the contract."""

from typing import Any

import jax
import jax.numpy as jnp

from ._paths import refuse_one_leaf
from ._structure import extras_of
from ._tape import settle
from ._types import GradientTransformation, Params, State, Updates
from ._walk import is_declared


def adapt(tx: Any) -> GradientTransformation:
    """The transformation itself if it is from optcore, otherwise one that keeps our contract.

    A foreign `update` gets the extra arguments that its signature accepts, and its state keeps the
    dtypes from its `init`.
    """
    if is_declared(tx):
        return tx
    names, others = extras_of(tx.update)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        extra = {k: v for k, v in extra.items() if others or k in names}
        updates = settle(updates)
        refuse_one_leaf(updates)
        updates, new_state = tx.update(updates, state, params, **extra)
        return updates, jax.tree.map(_like, state, new_state)

    # Its signature shows the extra arguments that it takes.
    update.__wrapped__ = tx.update  # type: ignore[attr-defined]
    return GradientTransformation(tx.init, update)


def _like(old: Any, new: Any) -> Any:
    if hasattr(old, "dtype") and hasattr(new, "dtype") and old.dtype != new.dtype:
        return jnp.asarray(new).astype(old.dtype)
    return new
