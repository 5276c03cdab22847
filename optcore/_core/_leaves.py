"""One map over leaves: it alone owns precision, `None`, and one trace per distinct leaf."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._numerics import is_inexact, wide
from ._paths import is_none

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


def slot_dtype(p: Any, dtype: Any) -> np.dtype:
    """The dtype of a slot for the parameter `p`."""
    own = np.dtype(p.dtype) if hasattr(p, "dtype") else np.dtype(jnp.result_type(p))
    if dtype is None:
        return wide(own)
    if jnp.issubdtype(own, jnp.complexfloating) and not jnp.issubdtype(dtype, jnp.complexfloating):
        return complex_dtype(wide(dtype))
    return np.dtype(dtype)


def real_dtype(dtype: Any) -> np.dtype:
    """float32 for complex64, float64 for complex128, and a real dtype itself."""
    return np.zeros((), dtype).real.dtype


def complex_dtype(dtype: Any) -> np.dtype:
    """complex64 for float32, complex128 for float64."""
    return np.dtype(np.complex128 if np.dtype(dtype).itemsize == 8 else np.complex64)


def map_leaves(
    leaf: Leaf,
    updates: Any,
    slots: Sequence[Any] = (),
    reads: Sequence[Any] = (),
    scalars: Iterable[jax.Array] = (),
) -> Any:
    """Lift an algorithm written for one array to trees.

    `leaf(g, *slots, *reads, *scalars)` returns the update, or `(update, *slots)` if there are
    slots; the result is the tree of updates, or a tuple with one tree per slot behind it.

    * Everything is computed in float32 or wider. Each slot keeps the dtype it has; updates
      come out in the dtype of computation.
    * Where the update is `None` (or float0), the result is `None` and the slots stay.
    * Under tracing, `leaf` is traced once per distinct signature of its arrays.
    * `scalars` are values of the step, computed once and not again in every kernel.

    Args:
      leaf: the algorithm for one array; it may close over hyper-parameters.
      updates: a tree of arrays.
      slots: trees of state; each has an array, a subtree or `None` per update.
      reads: trees that are only read, like the parameters.
      scalars: traced scalars of the step, such as bias corrections.

    >>> import jax.numpy as jnp
    >>> def momentum(g, m):
    ...     m = 0.5 * m + g
    ...     return -m, m
    >>> map_leaves(momentum, {"w": jnp.float32(1.0)}, ({"w": jnp.float32(2.0)},))
    ({'w': Array(-2., dtype=float32)}, {'w': Array(2., dtype=float32)})
    """
    leaves, treedef = jax.tree.flatten(updates, is_leaf=is_none)
    columns = [treedef.flatten_up_to(tree) for tree in (*slots, *reads)]
    scalars = tuple(scalars)
    count = len(slots)

    def kernel(g: Any, state: tuple[Any, ...], read: tuple[Any, ...], step: tuple[Any, ...]) -> Any:
        width = _width((g, state, read))
        # All widths are equal by now; a real number times a complex one is no accident.
        with jax.numpy_dtype_promotion("standard"):
            out = leaf(*_widened((g, *state, *read), width), *_widened(step, width))
        if not count:
            return out
        update, *new = out
        return update, *(_stored(old, n) for old, n in zip(state, new, strict=True))

    tracing = _any_tracer((leaves, columns, scalars))
    if tracing:
        kernel.__name__ = getattr(leaf, "__name__", "leaf")
        kernel = jax.jit(kernel)
        scalars = lax.optimization_barrier(scalars) if scalars else scalars

    rows = []
    for g, *others in zip(leaves, *columns, strict=True):
        state, read = tuple(others[:count]), tuple(others[count:])
        if is_absent(g):
            rows.append((None, *state) if count else None)
        else:
            rows.append(kernel(g, state, read, scalars))

    if not count:
        return treedef.unflatten(rows)
    outputs = zip(*rows, strict=True) if rows else ((),) * (count + 1)
    return tuple(treedef.unflatten(column) for column in outputs)


def is_absent(g: Any) -> bool:
    """Whether there is no update here: `None`, or the float0 that JAX gives for integers."""
    return g is None or getattr(g, "dtype", None) == jax.dtypes.float0


def _any_tracer(tree: Any) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


def _width(tree: Any) -> int:
    """Bytes of the real numbers to compute with: 4, or 8 if any leaf has them."""
    sizes = [
        real_dtype(wide(x.dtype)).itemsize
        for x in jax.tree.leaves(tree)
        if hasattr(x, "dtype") and is_inexact(x)
    ]
    return max([4, *sizes])


def _widened(trees: Sequence[Any], width: int) -> Any:
    real = np.dtype(f"float{8 * width}")

    def widen(x: Any) -> Any:
        if not is_inexact(x) or not hasattr(x, "dtype"):
            return x
        return x.astype(complex_dtype(real) if jnp.iscomplexobj(x) else real)

    return jax.tree.map(widen, tuple(trees))


def _stored(old: Any, new: Any) -> Any:
    return jax.tree.map(lambda o, n: jnp.asarray(n).astype(o.dtype), old, new)
