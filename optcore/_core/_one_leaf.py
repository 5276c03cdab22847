"""Nodes that count as one leaf: updates that are kept in another form than an array."""

import abc
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


class OneLeaf(abc.ABC):
    """A pytree node that stands among the updates for one array of its shape and dtype.

    Trees of updates are compared, named and checked as if the array itself stood there. Only
    what is asked for here needs to know the form.
    """

    advice = ""
    """What to do where only arrays are taken."""

    shape: tuple[int, ...]

    @property
    @abc.abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of the array that it stands for."""

    @property
    def ndim(self) -> int:
        """The number of axes of that array."""
        return len(self.shape)

    @abc.abstractmethod
    def problem(self) -> str | None:
        """What is wrong with it, as the rest of a sentence; `None` if nothing is."""

    @abc.abstractmethod
    def astype(self, dtype: Any) -> "OneLeaf":
        """The same with another dtype."""

    @abc.abstractmethod
    def norm_part(self) -> jax.Array:
        """An array with the same Euclidean norm."""

    @abc.abstractmethod
    def added_to(self, p: Any) -> jax.Array:
        """`p` plus the array that it stands for, rounded once to the dtype of `p`."""

    @abc.abstractmethod
    def mapped(self, leaf: Callable[[jax.Array, Any], jax.Array], reads: Any) -> "OneLeaf":
        """`leaf(elements, reads)` on the elements that are kept, with what it reads at them."""


class OneLeafError(TypeError):
    """An update in another form came to where only arrays are taken."""
