"""Adding updates to parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from . import _checks
from ._flatten_like import flatten_like
from ._one_leaf import OneLeaf
from ._paths import is_leaf
from ._types import Params, Updates


def apply_updates(params: Params, updates: Updates) -> Params:
    """`params + updates`, added in at least float32 and rounded once to the parameter's dtype.

    Args:
      params: a tree of arrays.
      updates: a tree of the same structure and shapes; where it is `None`, the parameter does not
        change, and a `RowSparse` is added only to its rows.

    Raises:
      ValueError: the trees, a shape or a kind of number differs; the message names the path.

    >>> import jax.numpy as jnp
    >>> params = {"w": jnp.ones(2, jnp.bfloat16), "frozen": jnp.ones(1)}
    >>> apply_updates(params, {"w": jnp.array([0.5, -1.0]), "frozen": None})
    {'frozen': Array([1.], dtype=float32), 'w': Array([1.5, 0], dtype=bfloat16)}
    """
    updates = _checks.check_updates("apply_updates", updates, params, caller=_checks.APPLY)
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
    pairs = zip(flatten_like(treedef, params), leaves, strict=True)
    return treedef.unflatten([p if u is None else _added(p, u) for p, u in pairs])


def _added(p: Any, u: Any) -> jax.Array:
    """`p + u` in the wider dtype of the update."""
    if isinstance(u, OneLeaf):
        return u.added_to(p)
    p = jnp.asarray(p)
    return lax.add(p, u) if p.dtype == u.dtype else lax.add(p.astype(u.dtype), u).astype(p.dtype)
