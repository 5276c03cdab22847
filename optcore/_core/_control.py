"""`lax` branches that run directly if the choice is known: JAX would compile each new closure."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import lax


def cond(
    condition: jax.Array, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any
) -> Any:
    """`lax.cond`; a condition that is not traced runs the branch it chooses, op by op."""
    if isinstance(condition, jax.core.Tracer):
        return lax.cond(condition, yes, no, *operands)
    return (yes if condition else no)(*operands)


def select_branch(index: jax.Array, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`lax.switch`, likewise; the index is in range."""
    if isinstance(index, jax.core.Tracer):
        return lax.switch(index, branches, *operands)
    return branches[int(index)](*operands)
