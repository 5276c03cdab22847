"""One map over leaves: it alone owns precision, `None`, and one trace per distinct leaf."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._numerics import is_inexact, wide
from ._paths import refuse_one_leaf
from ._tape import Tape, Waiting, complex_dtype, real_dtype, settle

Leaf = Callable[..., Any]


def slots(params: Any, dtype: Any = None, *, fill: Any = 0.0, real: bool = False) -> Any:
    """A tree like `params` to remember one array per parameter, at least float32.

    Args:
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.
      dtype: of the slots; by default that of the parameter, widened to float32. For a complex
        parameter a real `dtype` gives its complex counterpart.
      fill: the initial value of every element.
      real: make the slots of complex parameters real, for squares of absolute values.

    Returns:
      A tree of arrays with the shapes and shardings of the parameters, and `None` where there
      is no floating-point parameter.

    >>> import jax.numpy as jnp
    >>> slots({"w": jnp.ones(2, jnp.bfloat16), "step": jnp.int32(3)})
    {'step': None, 'w': Array([0., 0.], dtype=float32)}
    """
    zero = isinstance(fill, (int, float)) and fill == 0

    def slot(p: Any) -> Any:
        if not is_inexact(p):
            return None
        kind = real_dtype(slot_dtype(p, dtype)) if real else slot_dtype(p, dtype)
        return jnp.zeros_like(p, kind) if zero else jnp.full_like(p, fill, kind)

    return jax.tree.map(slot, params)


def copies(params: Any, *, widened: bool = False) -> Any:
    """A tree like `params` with a copy of each, in its own dtype: no buffer is shared.

    With `widened` it is at least float32. `None` where there is no floating-point parameter, and
    zeros where only a shape is known.

    >>> import jax.numpy as jnp
    >>> copies({"w": jnp.ones(2), "step": jnp.int32(3)})
    {'step': None, 'w': Array([1., 1.], dtype=float32)}
    """

    def copied(p: Any) -> Any:
        if not is_inexact(p):
            return None
        dtype = slot_dtype(p, None if widened else jnp.result_type(p))
        abstract = isinstance(p, jax.ShapeDtypeStruct)
        return jnp.zeros_like(p, dtype) if abstract else jnp.array(p, dtype)

    return jax.tree.map(copied, params)


def slot_dtype(p: Any, dtype: Any) -> np.dtype:
    """The dtype of a slot for the parameter `p`."""
    own = np.dtype(p.dtype) if hasattr(p, "dtype") else np.dtype(jnp.result_type(p))
    if dtype is None:
        return wide(own)
    if jnp.issubdtype(own, jnp.complexfloating) and not jnp.issubdtype(dtype, jnp.complexfloating):
        return complex_dtype(wide(dtype))
    return np.dtype(dtype)


def map_leaves(
    leaf: Leaf,
    updates: Any,
    slots: Sequence[Any] = (),
    reads: Sequence[Any] = (),
    scalars: Iterable[jax.Array] = (),
    *,
    rows: bool = False,
) -> Any:
    """Lift an algorithm written for one array to trees.

    `leaf(g, *slots, *reads, *scalars)` returns the update, or `(update, *slots)` if there are
    slots; the result is the tree of updates, or a tuple with one tree per slot behind it.

    * Everything is computed in float32 or wider. Each slot keeps the dtype it has; updates
      come out in the dtype of computation.
    * Where the update is `None` (or float0), the result is `None` and the slots stay.
    * Under tracing, `leaf` is traced once per distinct signature of its arrays.
    * `scalars` are values of the step, computed once and not again in every kernel.
    * In a chain, calls that follow on each other are played as one.

    Args:
      leaf: the algorithm for one array; it may close over hyper-parameters.
      updates: a tree of arrays.
      slots: trees of state; each has an array, a subtree or `None` per update.
      reads: trees that are only read, like the parameters.
      scalars: traced scalars of the step, such as bias corrections.
      rows: whether `leaf` gives the same for rows that have a gradient, whatever rows have none;
        then it is applied to the rows of a `RowSparse`, and no others.

    Raises:
      TypeError: an update is a `RowSparse`, and there are slots or not `rows`.

    >>> import jax.numpy as jnp
    >>> def momentum(g, m):
    ...     m = 0.5 * m + g
    ...     return -m, m
    >>> map_leaves(momentum, {"w": jnp.float32(1.0)}, ({"w": jnp.float32(2.0)},))
    ({'w': Array(-2., dtype=float32)}, {'w': Array(2., dtype=float32)})
    """
    # What the stage reads comes first: to settle it may play the tape that the updates wait on.
    slots, reads = settle(tuple(slots)), settle(tuple(reads))
    follows = isinstance(updates, Waiting) and updates.tape.is_open_at(updates.step)
    tape = updates.tape if follows else Tape(settle(updates))
    if tape.whole and (slots or not rows):
        refuse_one_leaf(tape.treedef.unflatten(tape.leaves))
    results = tape.append(leaf, slots, reads, scalars)
    if not (isinstance(updates, Waiting) and tape.traced):
        results = tuple(waiting.settle() for waiting in results)
    return results if slots else results[0]
