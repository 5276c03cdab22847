"""An error after too many skipped steps in a row."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import checkify

from .._core import State, named_leaves

WORDS = ("skipped", "notfinite_count")
"""The fields in which wrappers count steps skipped in a row."""


def check(state: State, consecutive: int = 10) -> None:
    """Raise if as many steps in a row were skipped, by anything inside a state that skips.

    Those are `guard`, `accumulate`, `MultiSteps`, `dynamic_loss_scale`, `apply_if_finite` and
    `skip_on_spike`. Nothing is changed: parameters and state are those of the last step that
    was taken.

    On the host it waits for the state, so call it now and then, say every hundred steps. Inside
    a jitted function it is a check of `jax.experimental.checkify`, for which the function must
    be transformed: `checkify.checkify(step)` gives an error value to be thrown, or not, by the
    caller.

    Args:
      state: the state of an optimizer, or any tree that contains it; under `vmap`, of all
        members, of which one is enough.
      consecutive: ≥ 1.

    Raises:
      FloatingPointError: on the host, so many steps in a row were skipped.
      ValueError: nothing in the state counts skipped steps, or `consecutive` is less than 1.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.guard(optcore.sgd(0.1))
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(3):
    ...     _, state = tx.update(jnp.array([1.0, jnp.nan]), state)
    >>> check(state, consecutive=4)
    >>> check(state, consecutive=3)
    Traceback (most recent call last):
    FloatingPointError: 3 steps in a row were skipped (at 'skipped')...
    """
    if consecutive < 1:
        raise ValueError(f"check: consecutive must be at least 1, got {consecutive}")
    found = [(path, leaf) for path, leaf in named_leaves(state) if _is_counter(path, leaf)]
    if not found:
        raise ValueError(
            "check: nothing in this state counts skipped steps; wrap the optimizer, as in "
            "guard(adam(1e-3))"
        )
    for path, leaf in found:
        most = jnp.max(leaf) if isinstance(leaf, jax.core.Tracer) else np.max(np.asarray(leaf))
        text = (
            f"steps in a row were skipped (at {path!r}); parameters and state are those of the "
            "last step that was taken; is the learning rate too high, or the input not finite?"
        )
        if isinstance(most, jax.core.Tracer):
            checkify.check(most < consecutive, "{skipped} " + text, skipped=most)
        elif most >= consecutive:
            raise FloatingPointError(f"{most} {text}")


def _is_counter(path: str, leaf: Any) -> bool:
    """An integer under one of the words; a parameter of that name is a floating-point number."""
    integer = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.integer)
    return integer and path.rpartition("/")[2] in WORDS
