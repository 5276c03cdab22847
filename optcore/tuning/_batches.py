"""The sources of batches: stacked arrays, a function of a key, or an iterable."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import is_key

Batches = Any
"""Batches, in one of three forms:

* a tree of arrays whose first axis counts batches (a tuple is such a tree);
* a function of a typed key, which can be traced: `lambda key: images[randint(key, …)]`;
* a list of batches, or an iterator over them (such as a data loader's).
"""


@dataclasses.dataclass(frozen=True)
class Source:
    """Batches for a scan.

    Attributes:
      data: the arrays for the compiled program, or `None`.
      draw: `(start, number)` to the input of a scan over `number` steps from `start` on.
      pick: `(data, x)` to the batch of one step, within the scan.
    """

    data: Any
    draw: Callable[[int, int], Any]
    pick: Callable[[Any, Any], Any]


def source(owner: str, batches: Batches, key: jax.Array | None) -> Source:
    """The source for one run.

    Args:
      owner: the name of the caller, for messages.
      batches: see `Batches`; `None` for none.
      key: shuffles stacked batches in every pass; a function of a key requires it.
    """
    if key is not None and not (is_key(key) and key.ndim == 0):
        raise TypeError(
            f"{owner}: key must be one typed random key, such as jax.random.key(0), got {key!r}"
        )
    if batches is None:
        return Source(None, lambda start, number: None, lambda data, x: None)
    if callable(batches):
        if key is None:
            raise ValueError(f"{owner}: batches is a function of a key, so key must be given")
        return _of_function(batches, key)
    if isinstance(batches, list):
        return _of_stacked(owner, _stack(owner, batches), key)
    if isinstance(batches, Iterator):
        return _of_iterator(owner, batches)
    return _of_stacked(owner, batches, key)


def first(owner: str, batches: Batches, number: int) -> Batches:
    """The same batches in a form that can be drawn repeatedly; at most `number` are taken."""
    if isinstance(batches, Iterator):
        return list(itertools.islice(batches, number))
    return batches


def _of_function(function: Callable[[jax.Array], Any], key: jax.Array) -> Source:
    def pick(data: jax.Array, step: jax.Array) -> Any:
        return function(jax.random.fold_in(data, step))

    return Source(key, lambda start, n: np.arange(start, start + n, dtype=np.int32), pick)


def _of_stacked(owner: str, batches: Any, key: jax.Array | None) -> Source:
    sizes = {np.shape(x)[:1] for x in jax.tree.leaves(batches)}
    if len(sizes) != 1 or not all(size and size[0] for size in sizes):
        raise ValueError(
            f"{owner}: batches must be arrays with a common first axis that counts batches, a "
            f"list or iterator of batches, or a function of a key; got first axes {sorted(sizes)}"
        )
    ((size,),) = sizes

    def order(epoch: int) -> np.ndarray[Any, Any]:
        if key is None:
            return np.arange(size)
        return np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), size))

    def draw(start: int, number: int) -> np.ndarray[Any, Any]:
        epochs = range(start // size, (start + number - 1) // size + 1)
        rows = np.concatenate([order(epoch) for epoch in epochs])
        return rows[start - epochs[0] * size :][:number].astype(np.int32)

    data = jax.tree.map(jnp.asarray, batches)
    return Source(data, draw, lambda data, row: jax.tree.map(lambda x: x[row], data))


def _of_iterator(owner: str, batches: Iterator[Any]) -> Source:
    def draw(start: int, number: int) -> Any:
        taken = list(itertools.islice(batches, number))
        if len(taken) < number:
            raise ValueError(
                f"{owner}: batches ran out after {start + len(taken)}; at least "
                f"{start + number} are needed; itertools.cycle goes through a list again"
            )
        return _stack(owner, taken)

    return Source(None, draw, lambda data, batch: batch)


def _stack(owner: str, batches: list[Any]) -> Any:
    if not batches:
        raise ValueError(f"{owner}: batches must hold at least one, got none")
    try:
        return jax.tree.map(lambda *x: np.stack([np.asarray(a) for a in x]), *batches)
    except ValueError as error:
        raise ValueError(
            f"{owner}: all batches must be alike, in structure and shape; leave out the last, "
            "smaller one"
        ) from error
