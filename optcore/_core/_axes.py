"""Axes that an argument names, checked against an array."""

from typing import Any

import numpy as np

from ._paths import what_it_is


def own_axes(where: str, axes: int | tuple[int, ...] | None, x: Any) -> tuple[int, ...]:
    """The axes of `x` that an argument names, counted from 0; all of them for `None`.

    Args:
      where: the argument's full name, for messages.
      axes: the value of the argument.
      x: an array, or an abstract one.

    Raises:
      ValueError: `x` has no such axis, or one is named twice.

    >>> import jax.numpy as jnp
    >>> own_axes("f: axes", (-2, -1), jnp.zeros((2, 3, 4)))
    (1, 2)
    """
    ndim = len(x.shape)
    if axes is None:
        return tuple(range(ndim))
    chosen = (axes,) if isinstance(axes, (int, np.integer)) else tuple(axes)
    if not all(-ndim <= i < ndim for i in chosen):
        raise ValueError(
            f"{where} must lie in [{-ndim}, {ndim}) for an array {what_it_is(x)}, got {axes}"
        )
    found = tuple(int(i) % ndim for i in chosen)
    if len(set(found)) < len(found):
        raise ValueError(f"{where} must name each axis of {what_it_is(x)} once, got {axes}")
    return found
