"""What nearly every optimizer is: a direction, a decay of the weights, a rate."""

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
      weight_decay: decoupled; `None` for an optimizer that has none, and no state for it.
      mask: which parameters decay, see `add_decayed_weights`.
    """
    decay = () if weight_decay is None else (add_decayed_weights(weight_decay, mask),)
    return chain(direction, *decay, scale_by_learning_rate(learning_rate))
