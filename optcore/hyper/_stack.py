"""Several optimizers that differ only in numbers, as one."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp

from .._core import Declared

T = TypeVar("T")


def stack(transformations: Sequence[T]) -> T:
    """One declared transformation whose hyper-parameters are stacked along a first axis.

    Use it under `jax.vmap`, mapped over axis 0, to train one model per member at once.

    Args:
      transformations: declared transformations (or schedules) that differ only in their
        numeric hyper-parameters.

    Returns:
      The same kind of object, with float32 arrays of shape `(len(transformations),)`.

    Raises:
      TypeError: a member is not declared.
      ValueError: there are no members, or they differ in more than numbers.

    >>> import jax, jax.numpy as jnp, optcore
    >>> sweep = stack([optcore.sgd(rate) for rate in (0.1, 0.2, 0.3)])
    >>> params, grads = jnp.zeros(2), jnp.ones(2)
    >>> def step(tx):
    ...     return tx.update(grads, tx.init(params))[0]
    >>> jax.vmap(step)(sweep).round(4).tolist()[1]
    [-0.20000000298023224, -0.20000000298023224]
    """
    members = list(transformations)
    if not members:
        raise ValueError("stack: expected at least one transformation, got none")
    for member in members:
        if not isinstance(member, Declared):
            raise TypeError(
                f"stack: expected declared transformations, got {type(member).__name__}"
            )
    first = jax.tree.structure(members[0])
    for member in members[1:]:
        if jax.tree.structure(member) != first:
            raise ValueError(
                f"stack: members must differ only in their numbers, got {members[0]!r} and "
                f"{member!r}; stack those of the same kind, and train the others separately"
            )
    return jax.tree.map(
        lambda *values: jnp.stack([jnp.asarray(v, jnp.float32) for v in values]), *members
    )
