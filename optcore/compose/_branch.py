"""A transformation in a branch: it runs, or gives zeros and keeps its state."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    aggregates,
    cond,
    without_examples,
)


def run_if(
    condition: jax.Array,
    inner: GradientTransformation,
    updates: Updates,
    state: State,
    params: Params | None,
    extra: Mapping[str, Any],
) -> tuple[Updates, State]:
    """`inner.update` in a real branch; in the other one, exact zeros and the unchanged state.

    Under `vmap` with a condition per member the branch is a selection, and `inner` always runs.
    """

    def run(updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        steps, new = inner.update(updates, state, params, **extra)
        return like(updates, steps), new

    def wait(updates: Updates, state: State, params: Params) -> tuple[Updates, State]:
        if aggregates(inner):
            return without_examples(updates), state
        return jax.tree.map(jnp.zeros_like, updates), state

    return cond(condition, run, wait, updates, state, params)


def like(updates: Updates, steps: Updates) -> Updates:
    """The steps in the dtypes of the updates, because both branches must give the same types."""
    return jax.tree.map(lambda g, u: jnp.asarray(u).astype(g.dtype), updates, steps)
