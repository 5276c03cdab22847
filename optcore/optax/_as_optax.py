"""Native transformations for programs that require instances of optax's classes."""

from typing import Any

import optax

from .._core import GradientTransformation, is_declared
from ._door import declared


def _as_optax(tx: optax.GradientTransformation) -> Any:
    """A native transformation, with its checks."""
    return optax.GradientTransformationExtraArgs(tx.init, tx.update)


_as_optax.__name__ = "as_optax"
_declared: Any = declared(_as_optax)


def as_optax(tx: Any) -> Any:
    """A native transformation as an instance of `optax.GradientTransformationExtraArgs`.

    `optax.chain` then passes extra arguments on to it, and libraries that check
    `isinstance(tx, optax.GradientTransformation)` accept it. Its state, its checks and its numbers
    do not change.

    Args:
      tx: a transformation from a factory of `optcore`. One from `optcore.optax` is already such an
        instance; one from optax ignores extra arguments if it takes none.

    Raises:
      TypeError: `tx` comes from none of these.

    >>> import optax, optcore
    >>> tx = as_optax(optcore.adam(1e-3))
    >>> isinstance(tx, optax.GradientTransformationExtraArgs), tx
    (True, as_optax(tx=adam(learning_rate=0.001)))
    """
    if isinstance(tx, optax.GradientTransformation):
        return optax.with_extra_args_support(tx)
    if not (is_declared(tx) and isinstance(tx, GradientTransformation)):
        raise TypeError(
            f"as_optax: expected a transformation of optcore's, got {type(tx).__name__}; for any "
            "other pair write optax.GradientTransformationExtraArgs(tx.init, tx.update)"
        )
    return _declared(tx)
