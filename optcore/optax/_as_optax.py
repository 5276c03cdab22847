"""Native transformations for programs that ask whether something is optax's."""

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

    `optax.chain` then hands extra arguments on to it, and libraries that ask
    `isinstance(tx, optax.GradientTransformation)` take it. Its state, its checks and its numbers
    stay as they are.

    Args:
      tx: made by a factory of `optcore`. One of `optcore.optax` is such an instance already; one
        of optax's ignores extra arguments if it takes none.

    Raises:
      TypeError: it was made by neither.

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
