"""A tape that records leafwise stages and plays them in one function per leaf.

A stage is an algorithm for one array with the trees that it reads. Played together, the stages of a
chain are traced once per distinct signature of a leaf and called once per leaf, like a hand-written
fused step. The caller that begins a tape (`begin`) gets waiting trees, and settles the trees that
it returns.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._flatten_like import flatten_like
from ._numerics import is_inexact, wide
from ._one_leaf import OneLeaf
from ._paths import is_leaf


@dataclasses.dataclass(frozen=True)
class Recorded:
    """An algorithm for one array, and one column of arrays per tree that it reads."""

    leaf: Callable[..., Any]
    slots: Sequence[list[Any]]
    reads: Sequence[list[Any]]
    scalars: tuple[Any, ...]


class Tape:
    """Stages over the leaves of one tree of updates, and whether any of their inputs is traced.

    `whole` tells whether some leaves are nodes that count as one leaf.
    """

    def __init__(self, updates: Any):
        self.leaves, self.treedef = jax.tree.flatten(updates, is_leaf=is_leaf)
        self.whole = any(isinstance(x, OneLeaf) for x in self.leaves)
        self.stages: list[Recorded] = []
        self.traced = any_tracer(self.leaves)
        self._played: tuple[Any, list[tuple[Any, ...]]] | None = None

    def append(
        self, leaf: Callable[..., Any], slots: Sequence[Any], reads: Sequence[Any], scalars: Any
    ) -> tuple["Waiting", ...]:
        """Add a stage; returns its updates and slots, still to be played."""
        columns = [flatten_like(self.treedef, tree) for tree in (*slots, *reads)]
        count = len(slots)
        scalars = tuple(scalars)
        self.stages.append(Recorded(leaf, columns[:count], columns[count:], scalars))
        self.traced = self.traced or any_tracer((columns, scalars))
        step = len(self.stages)
        return Waiting(self, step, None), *(Waiting(self, step, i) for i in range(count))

    def is_open_at(self, step: int) -> bool:
        """Whether the next stage can follow on `step`."""
        return self._played is None and step == len(self.stages)

    def value(self, step: int, slot: int | None) -> Any:
        """The updates after a stage, or one of its trees of slots."""
        if slot is None and step == 0:
            return self.treedef.unflatten(self.leaves)
        if slot is None and step < len(self.stages):
            return self._prefix(step).value(step, None)
        if self._played is None:
            self._played = self._play()
        updates, slots = self._played
        return updates if slot is None else slots[step - 1][slot]

    def _prefix(self, step: int) -> "Tape":
        prefix = Tape(self.treedef.unflatten(self.leaves))
        prefix.stages, prefix.traced = self.stages[:step], self.traced
        return prefix

    def _play(self) -> tuple[Any, list[tuple[Any, ...]]]:
        stages = self.stages
        scalars = tuple(stage.scalars for stage in stages)
        play: Any = self._kernel
        if self.traced:
            play = jax.jit(play)
            # Behind a barrier; otherwise XLA computes the scalars again in every kernel.
            scalars = lax.optimization_barrier(scalars) if jax.tree.leaves(scalars) else scalars

        updates: list[Any] = []
        slots: list[tuple[Any, ...]] = []
        for i, g in enumerate(self.leaves):
            old = tuple(tuple(column[i] for column in stage.slots) for stage in stages)
            if is_absent(g):
                updates.append(None)
                slots.append(old)
                continue
            reads = tuple(tuple(column[i] for column in stage.reads) for stage in stages)
            if isinstance(g, OneLeaf):
                kernel = functools.partial(_without_slots, play, old, scalars)
                update, new = g.mapped(kernel, reads), old
            else:
                update, new = play(g, old, reads, scalars)
            updates.append(update)
            slots.append(new)
        return self.treedef.unflatten(updates), [
            tuple(
                self.treedef.unflatten([row[s][k] for row in slots])
                for k in range(len(stage.slots))
            )
            for s, stage in enumerate(stages)
        ]

    def _kernel(self, g: Any, slots: Any, reads: Any, scalars: Any) -> tuple[Any, Any]:
        """All stages for one leaf, computed in float32 or wider; slots keep their dtypes."""
        width = _width((g, slots, reads))
        g = _widened(g, width)
        kept = []
        for stage, old, read, step in zip(self.stages, slots, reads, scalars, strict=True):
            # All widths are equal by now; a mix of real and complex numbers is intended.
            with jax.numpy_dtype_promotion("standard"):
                out = stage.leaf(g, *_widened((*old, *read, *step), width))
            g, *new = _results(out, len(old))
            kept.append(tuple(_stored(o, n) for o, n in zip(old, new, strict=True)))
        return g, tuple(kept)


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A tree that a tape still has to compute: updates after a stage, or one tree of its slots."""

    tape: Tape
    step: int
    slot: int | None

    def settle(self) -> Any:
        """The tree itself."""
        return self.tape.value(self.step, self.slot)


def begin(updates: Any) -> Any:
    """The updates as the start of a tape, on which leafwise stages wait for later ones.

    Outside a trace, nothing waits.
    """
    if isinstance(updates, Waiting) or not any_tracer(updates):
        return updates
    return Waiting(Tape(updates), 0, None)


def settle(tree: Any) -> Any:
    """The tree with all waiting parts computed."""
    try:
        return jax.tree.map(lambda x: x.settle() if isinstance(x, Waiting) else x, tree)
    except ValueError:
        # A dict whose keys cannot be sorted, which optax may return in a state of an eager call.
        if type(tree) is dict:
            return {key: settle(member) for key, member in tree.items()}
        if isinstance(tree, tuple):
            members = map(settle, tree)
            return type(tree)(*members) if hasattr(tree, "_fields") else tuple(members)
        raise


def _results(out: Any, slots: int) -> tuple[Any, ...]:
    """The results of an algorithm for one array: the update, then each slot."""
    several = isinstance(out, (tuple, list))
    if not slots and not several:
        return (out,)
    if slots and several and len(out) == slots + 1:
        return tuple(out)
    got = f"{len(out)} results" if several else type(out).__name__
    expected = f"the update and {slots} slots, in a tuple" if slots else "the update alone"
    raise TypeError(f"the function for a leaf must return {expected}, got {got}")


def _without_slots(play: Any, nothing: Any, scalars: Any, g: jax.Array, reads: Any) -> jax.Array:
    """The update from stages without slots, as needed for the stored elements of a node."""
    update: jax.Array = play(g, nothing, reads, scalars)[0]
    return update


def is_absent(g: Any) -> bool:
    """Whether it is not an update: `None`, or the float0 that JAX gives for integers."""
    return g is None or getattr(g, "dtype", None) == jax.dtypes.float0


def real_dtype(dtype: Any) -> np.dtype[Any]:
    """float32 for complex64, float64 for complex128, and a real dtype itself."""
    return np.zeros((), dtype).real.dtype


def complex_dtype(dtype: Any) -> np.dtype[Any]:
    """complex64 for float32, complex128 for float64."""
    return np.dtype(np.complex128 if np.dtype(dtype).itemsize == 8 else np.complex64)


def any_tracer(tree: Any) -> bool:
    """Whether any leaf is being traced."""
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(tree))


def _width(tree: Any) -> int:
    """Bytes of the real numbers to compute with: 4, or 8 if any leaf has them."""
    sizes = [
        real_dtype(wide(x.dtype)).itemsize
        for x in jax.tree.leaves(tree)
        if hasattr(x, "dtype") and is_inexact(x)
    ]
    return max([4, *sizes])


def _widened(tree: Any, width: int) -> Any:
    real = np.dtype(f"float{8 * width}")

    def widen(x: Any) -> Any:
        if not is_inexact(x) or not hasattr(x, "dtype"):
            return x
        return x.astype(complex_dtype(real) if jnp.iscomplexobj(x) else real)

    return jax.tree.map(widen, tree)


def _stored(old: Any, new: Any) -> Any:
    return jax.tree.map(lambda o, n: jnp.asarray(n).astype(o.dtype), old, new)
