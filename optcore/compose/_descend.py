"""The form of nearly every optimizer: a direction, a weight decay, a rate."""

from typing import Any

from .._core import GradientTransformation, Mask
from ..transforms import add_decayed_weights, scale_by_learning_rate
from ._chain import chain


def descend(
    direction: GradientTransformation,
    learning_rate: Any,
    weight_decay: Any | None = None,
    mask: Mask | None = None,
) -> GradientTransformation:
    """The chain of `w ← w - learning_rate · (u + weight_decay · w)` with the direction `u`.

    Args:
      direction: without rate and sign.
      learning_rate: a number; the body of a factory has no schedules.
      weight_decay: decoupled; with `None` the optimizer has neither a decay nor a state for it.
      mask: which parameters decay, see `add_decayed_weights`.

    With the gradient as the direction, a step from `w = 4` has length `0.5 · (2 + 0.25 · 4)`:

    >>> import jax.numpy as jnp
    >>> from optcore import identity
    >>> tx, w = descend(identity(), 0.5, weight_decay=0.25), jnp.float32(4.0)
    >>> tx.update(jnp.float32(2.0), tx.init(w), params=w)[0].item()
    -1.5
    """
    decay = () if weight_decay is None else (add_decayed_weights(weight_decay, mask),)
    return chain(direction, *decay, scale_by_learning_rate(learning_rate))
