"""The Euclidean norm of a tree."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from ._agreement import Names, over_parts, parts, refuse_part, sum_over_parts
from ._numerics import abs_sq, is_inexact, safe_divide, wide
from ._one_leaf import OneLeaf
from ._paths import is_leaf
from ._tape import any_tracer, real_dtype, settle

LARGE = 1 << 16
"""The number of elements from which a leaf's running time matters more than its compile time."""

FEW = 8
"""Arrays that XLA for CPUs would stack in its summing loop, which is slow to compile."""

Alike = tuple[jax.Array, ...]
"""Arrays of the same type, whose squares are added before they are summed."""


def _plus_squares(total: jax.Array, *alike: jax.Array) -> jax.Array:
    squares = functools.reduce(jnp.add, (abs_sq(_wide(x)) for x in alike))
    return total + jnp.sum(squares).astype(total.dtype)


def _plus_scaled_squares(total: jax.Array, factor: jax.Array, *alike: jax.Array) -> jax.Array:
    return _plus_squares(total, *(x * factor.astype(x.dtype) for x in map(_wide, alike)))


def _plus_separately(total: jax.Array, factor: jax.Array, *alike: jax.Array) -> jax.Array:
    return _plus_scaled_squares(total, *lax.optimization_barrier((factor, *alike)))


def _wide(x: jax.Array) -> jax.Array:
    return x if x.dtype == wide(x.dtype) else x.astype(wide(x.dtype))


class _Sum:
    """Sums of squares, plain or each number times a factor; one trace per kind of leaf."""

    def __init__(self, leaves: list[jax.Array], separately: bool):
        self.plus = _plus_squares
        # On a CPU, XLA would store the factor broadcast to a whole leaf for all of one shape.
        self.plus_scaled = _plus_separately if separately else _plus_scaled_squares
        if any_tracer(leaves):
            self.plus, self.plus_scaled = jax.jit(self.plus), jax.jit(self.plus_scaled)
        widths = [real_dtype(wide(x.dtype)) for x in leaves]
        self.one = jnp.ones((), max(widths, key=lambda dtype: dtype.itemsize))

    def __call__(self, groups: list[Alike], factor: jax.Array | None = None) -> jax.Array:
        total = jnp.zeros_like(self.one)
        for alike in groups:
            if factor is None:
                total = self.plus(total, *alike)
            else:
                total = self.plus_scaled(total, factor, *alike)
        return total


def _lost(squares: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether squares overflowed, and whether so many vanished that the sum is useless."""
    smallest = 2.0 ** (-0.78 * jnp.finfo(squares.dtype).maxexp)
    return ~(squares < np.inf), squares < smallest


def _factors(one: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Powers of two that scale the largest and the smallest numbers so that they can be squared.

    Their own squares do not overflow: XLA may multiply the factors before the numbers.
    """
    half = int(jnp.finfo(one.dtype).maxexp) // 2
    return one * 2.0**-half, one * 2.0 ** (half - 1)


def _gathered(leaves: list[jax.Array]) -> list[Alike]:
    """Leaves by type, many as one array: XLA compiles a reduction for each array that it meets."""
    alike: dict[Any, list[jax.Array]] = {}
    for x in leaves:
        alike.setdefault(jax.typeof(x), []).append(x)
    return [tuple(g) if len(g) <= FEW else (jnp.stack(g),) for g in alike.values()]


def _alone(leaves: list[jax.Array]) -> list[Alike]:
    return [(x,) for x in leaves]


def _again_if_lost(leaves: list[jax.Array], total: _Sum) -> tuple[jax.Array, jax.Array]:
    """The sum over whole arrays, computed again with a factor only if the first was lost."""
    down, up = _factors(total.one)
    small = _gathered([x for x in leaves if x.size < LARGE])
    large = _alone([x for x in leaves if x.size >= LARGE])
    # XLA reduces plain squares twice as fast as scaled ones; a small leaf is not worth the
    # compilation of both.
    plain = total(large)

    def attempt(carry: Any) -> Any:
        tries, factor, _ = carry
        squares = total(small, factor)
        if large:
            squares += lax.cond(tries == 0, lambda: plain, lambda: total(large, factor))
        overflowed, underflowed = _lost(squares)
        lost = (tries == 0) & (overflowed | underflowed)
        rescue = jnp.where(overflowed, down, up)
        return tries + jnp.where(lost, 1, 2), jnp.where(lost, rescue, factor), squares

    start = (0, total.one, total.one)
    _, factor, squares = lax.while_loop(lambda carry: carry[0] < 2, attempt, start)
    return squares, factor


def _all_at_once(
    leaves: list[jax.Array], total: _Sum, over: tuple[Names, ...]
) -> tuple[jax.Array, jax.Array]:
    """The sum with three factors, of which one is selected, without waiting for a first result.

    For leaves that are parts of a whole it includes the other parts, along the axes `over`.
    """
    # XLA turns (x·f)² into x²·f² where f is a known constant and a device holds one number, which
    # makes the factor useless.
    down, up = lax.optimization_barrier(_factors(total.one))
    sums = []
    for names, members in _by_names(leaves, over).items():
        groups = _alone(members)
        three = total(groups), total(groups, down), total(groups, up)
        sums.append((names, three))
    plain, shrunk, grown = _agreed(sums)
    return _chosen(plain, shrunk, grown, (down, up))


def _chosen(
    plain: jax.Array, shrunk: jax.Array, grown: jax.Array, factors: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The sum of squares without overflow or underflow, and its factor."""
    down, up = factors
    overflowed, underflowed = _lost(plain)
    rescued = jnp.where(overflowed, shrunk, grown)
    lost = overflowed | underflowed
    factor = jnp.where(overflowed, down, jnp.where(underflowed, up, jnp.ones_like(plain)))
    return jnp.where(lost, rescued, plain), factor


def _by_names(leaves: list[jax.Array], over: tuple[Names, ...]) -> dict[Names, list[jax.Array]]:
    found: dict[Names, list[jax.Array]] = {}
    for x, names in zip(leaves, over, strict=True):
        found.setdefault(names, []).append(x)
    return found


def _agreed(sums: Sequence[tuple[Names, tuple[jax.Array, ...]]]) -> tuple[jax.Array, ...]:
    """Sums over the parts, each over its own mesh axes, of several numbers in one collective."""
    totals = [tuple(over_parts(jnp.stack(xs), names)) if names else xs for names, xs in sums]
    return tuple(functools.reduce(jnp.add, column) for column in zip(*totals, strict=True))


def _branches() -> bool:
    """Whether recomputing a lost norm is faster than computing all three sums at once."""
    # On a CPU a second pass over memory is expensive and a branch is free; on accelerators a branch
    # makes the host wait, and reductions of the same array share one pass. Between several devices
    # each sum is a collective: those in a loop can neither be combined nor overlap.
    return jax.default_backend() == "cpu" and jax.device_count() == 1


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _norm(branches: bool, over: tuple[Names, ...], leaves: list[jax.Array]) -> jax.Array:
    """√Σ|x|², safe against over- and underflow of the squares."""
    total = _Sum(leaves, separately=jax.default_backend() == "cpu")
    squares, factor = (
        _again_if_lost(leaves, total) if branches else _all_at_once(leaves, total, over)
    )
    return jnp.sqrt(squares) / factor


@_norm.defjvp
def _norm_jvp(
    branches: bool, over: tuple[Names, ...], primals: Any, tangents: Any
) -> tuple[jax.Array, jax.Array]:
    (leaves,), (leaves_dot,) = primals, tangents
    norm = _norm(branches, over, leaves)
    reciprocal = safe_divide(1, norm)
    slopes = []
    for names, x, x_dot in zip(over, leaves, leaves_dot, strict=True):
        x = _wide(x)
        direction = (x * reciprocal.astype(x.dtype)).conj()
        slope = jnp.sum((direction * x_dot.astype(x.dtype)).real).astype(norm.dtype)
        slopes.append((names, slope))
    return norm, sum_over_parts(slopes)


# Op by op, the loop in it would be compiled in each call.
_compiled_norm = jax.jit(_norm, static_argnums=(0, 1))


def global_norm(tree: Any) -> jax.Array:
    """The Euclidean norm over all floating-point leaves of a tree.

    It is computed in at least float32, does not overflow or vanish if the result is representable,
    and has derivative 0 at 0. A tree without leaves has norm 0. Repeated rows of a `RowSparse` are
    summed first. Inside `shard_map` it is the norm of the whole, of which a device holds a part
    along the mesh axes over which a leaf varies.

    Raises:
      ValueError: inside `shard_map` with `check_vma=False`, where these axes are not known.

    >>> import jax.numpy as jnp
    >>> float(global_norm({"a": jnp.array([3.0]), "b": jnp.array([4.0]), "c": None}))
    5.0
    >>> float(global_norm(jnp.array([1e30, 0.0])))
    1.0000000150474662e+30
    """
    found = [x for x in jax.tree.leaves(settle(tree), is_leaf=is_leaf) if is_inexact(x)]
    arrays = [x.norm_part() if isinstance(x, OneLeaf) else jnp.asarray(x) for x in found]
    leaves = [x for x in arrays if x.size]
    if not leaves:
        return jnp.zeros((), jnp.float32)
    over = tuple(map(parts, leaves))
    return (_norm if any_tracer(leaves) else _compiled_norm)(_branches(), over, leaves)


def norm_along(x: jax.Array, axes: int | tuple[int, ...]) -> jax.Array:
    """The Euclidean norm along some axes, which are kept with length 1; safe like `global_norm`.

    Raises:
      ValueError: inside `shard_map`, a device holds a part of `x`, and the axes are not all.

    >>> import jax.numpy as jnp
    >>> norm_along(jnp.array([[3e25], [4e25]]), 0).tolist()
    [[4.999999989293751e+25]]
    """
    if parts(x) and len(np.unique(axes)) == x.ndim:
        return global_norm(x).reshape((1,) * x.ndim)
    refuse_part(x, "a norm along some axes of an array")
    return _norm_along(_branches(), axes, jnp.asarray(x))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _norm_along(branches: bool, axes: int | tuple[int, ...], x: jax.Array) -> jax.Array:
    def squares(factor: ArrayLike) -> jax.Array:
        return jnp.sum(abs_sq(x * factor), axis=axes, keepdims=True)

    if branches:
        largest = jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0)
        down, up = _factors(jnp.ones_like(largest))
        # Powers of two far from the ends of the range: division by the largest number is a
        # multiplication by its reciprocal, which may vanish.
        factor = jnp.where(largest > 2.0**40, down, jnp.where(largest < 2.0**-40, up, 1))
        return jnp.sqrt(squares(factor)) / factor
    # Independent sums: on several devices, one agreement instead of two.
    down, up = lax.optimization_barrier(_factors(jnp.ones((), x.real.dtype)))
    chosen, factor = _chosen(squares(1), squares(down), squares(up), (down, up))
    return jnp.sqrt(chosen) / factor


@_norm_along.defjvp
def _norm_along_jvp(
    branches: bool, axes: int | tuple[int, ...], primals: Any, tangents: Any
) -> tuple[jax.Array, jax.Array]:
    (x,), (x_dot,) = primals, tangents
    norm = _norm_along(branches, axes, x)
    direction = (x * safe_divide(1, norm)).conj()
    return norm, jnp.sum((direction * x_dot).real, axis=axes, keepdims=True)
