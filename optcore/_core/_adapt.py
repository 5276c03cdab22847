"""Transformations of other libraries, made to keep the contract."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ._declared import DeclaredTransformation
from ._paths import refuse_one_leaf
from ._tape import record, settle
from ._types import GradientTransformation, Params, State, Updates


def adapt(tx: Any) -> GradientTransformation:
    """The transformation itself if it is ours, otherwise one that keeps our contract.

    A foreign `update` gets the extra arguments that its signature has room for, and its state
    keeps the dtypes that its `init` gave it.
    """
    if isinstance(tx, DeclaredTransformation):
        return tx
    takes = _accepted(tx.update)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        extra = extra if takes is None else {k: v for k, v in extra.items() if k in takes}
        updates = settle(updates)
        refuse_one_leaf(updates)
        with record(False):
            updates, new_state = tx.update(updates, state, params, **extra)
        return updates, jax.tree.map(_like, state, new_state)

    return GradientTransformation(tx.init, update)


def _accepted(update: Callable[..., Any]) -> set[str] | None:
    """The extra arguments that a function takes by name; `None` for any."""
    try:
        parameters = inspect.signature(update).parameters.values()
    except (TypeError, ValueError):
        return set()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return {p.name for p in parameters} - {"updates", "state", "params"}


def _like(old: Any, new: Any) -> Any:
    if hasattr(old, "dtype") and hasattr(new, "dtype") and old.dtype != new.dtype:
        return jnp.asarray(new).astype(old.dtype)
    return new
