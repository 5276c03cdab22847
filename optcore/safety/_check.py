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
    """Raise if any part of a state has skipped `consecutive` steps in a row.

    Steps are skipped by `guard`, `accumulate`, `dynamic_loss_scale` and `skip_on_spike`, and by
    optax's `apply_if_finite`. The check changes nothing: parameters and state are those of the
    last step taken.

    On the host it waits for the state, so call it only every hundred steps or so. Inside a jitted
    function it is a check of `jax.experimental.checkify`, and the function must be transformed:
    `checkify.checkify(step)` returns an error value that the caller can throw.

    Args:
      state: the state of an optimizer, or any tree that contains it; in a state of several members,
        made under `vmap`, one member is enough to raise.
      consecutive: ≥ 1.

    Raises:
      FloatingPointError: on the host, `consecutive` steps in a row were skipped.
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
    """An integer field with one of these names; a parameter of that name is floating-point."""
    integer = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.integer)
    return integer and path.rpartition("/")[2] in WORDS
