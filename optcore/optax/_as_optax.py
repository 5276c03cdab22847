"""Native transformations for programs that ask whether something is optax's."""

from typing import Any

import jax
import optax

from .._core import is_declared


class _AsOptax(optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """A native transformation, with its checks, as an instance of optax's class."""

    native: Any

    def __new__(cls, native: Any) -> "_AsOptax":
        self: _AsOptax = tuple.__new__(cls, (native.init, native.update))
        self.native = native
        return self

    @classmethod
    def _make(cls, iterable: Any) -> Any:
        return optax.GradientTransformationExtraArgs._make(iterable)

    @property
    def declaration(self) -> Any:
        """What the native wrappers know it by."""
        return self.native.declaration

    def __repr__(self) -> str:
        return f"as_optax({self.native!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _AsOptax) and bool(self.native == other.native)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.native)

    def __reduce__(self) -> Any:
        return as_optax, (self.native,)


jax.tree_util.register_pytree_node(
    _AsOptax, lambda tx: ((tx.native,), None), lambda _, children: _AsOptax(*children)
)


def as_optax(tx: Any) -> Any:
    """A native transformation as an instance of `optax.GradientTransformationExtraArgs`.

    `optax.chain` then hands extra arguments on to it, and libraries that ask
    `isinstance(tx, optax.GradientTransformation)` take it. Its state, its checks and its numbers
    stay as they are.

    Args:
      tx: made by a factory of `optcore`, or of `optcore.optax`, which is such an instance already.

    Raises:
      TypeError: it was made by neither.

    >>> import optax, optcore
    >>> tx = as_optax(optcore.adam(1e-3))
    >>> isinstance(tx, optax.GradientTransformationExtraArgs), tx
    (True, as_optax(adam(learning_rate=0.001)))
    """
    if isinstance(tx, optax.GradientTransformation):
        return tx
    if not is_declared(tx):
        raise TypeError(
            f"as_optax: expected a transformation of optcore's, got {type(tx).__name__}; for any "
            "other pair write optax.GradientTransformationExtraArgs(tx.init, tx.update)"
        )
    return _AsOptax(tx)
