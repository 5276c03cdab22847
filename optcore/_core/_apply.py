"""Adding updates to parameters."""

from . import _checks
from ._leaves import map_leaves
from ._types import Params, Updates


def apply_updates(params: Params, updates: Updates) -> Params:
    """`params + updates`, added in at least float32 and rounded once to the parameter's dtype.

    Args:
      params: a tree of arrays.
      updates: a tree of the same structure and shapes; where it is `None`, the parameter stays.

    Raises:
      ValueError: the trees, a shape or a kind of number differ; the message names the path.

    >>> import jax.numpy as jnp
    >>> params = {"w": jnp.ones(2, jnp.bfloat16), "frozen": jnp.ones(1)}
    >>> apply_updates(params, {"w": jnp.array([0.5, -1.0]), "frozen": None})
    {'frozen': Array([1.], dtype=float32), 'w': Array([1.5, 0], dtype=bfloat16)}
    """
    updates = _checks.check_updates("apply_updates", updates, params)
    _, params = map_leaves(lambda u, p: (u, p + u), updates, (params,))
    return params
