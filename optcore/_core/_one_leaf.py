"""Nodes that count as one leaf: updates in a form other than an array."""

import abc
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


class OneLeaf(abc.ABC):
    """A pytree node among the updates that represents one array of its shape and dtype.

    Trees of updates are compared, named and checked as if the array itself were there. Only these
    methods need to know the form.
    """

    advice = ""
    """Advice for places that take only arrays."""

    shape: tuple[int, ...]

    @property
    @abc.abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The shape of the array that it represents."""

    @property
    def ndim(self) -> int:
        """The number of axes of that array."""
        return len(self.shape)

    @abc.abstractmethod
    def problem(self) -> str | None:
        """A problem with it, as the rest of a sentence; `None` if there is none."""

    @abc.abstractmethod
    def astype(self, dtype: Any) -> "OneLeaf":
        """The same with another dtype."""

    @abc.abstractmethod
    def norm_part(self) -> jax.Array:
        """An array with the same Euclidean norm."""

    @abc.abstractmethod
    def added_to(self, p: Any) -> jax.Array:
        """`p` plus the array that it represents, rounded once to the dtype of `p`."""

    @abc.abstractmethod
    def mapped(self, leaf: Callable[[jax.Array, Any], jax.Array], reads: Any) -> "OneLeaf":
        """`leaf(elements, reads)` on the stored elements, with `reads` at the same elements."""


class OneLeafError(TypeError):
    """An update in another form reached a place that takes only arrays."""
