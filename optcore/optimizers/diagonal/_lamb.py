"""LAMB: Adam with one rate per leaf, in proportion to the norm of the weights."""

from ..._core import Decay, GradientTransformation, Mask, Rate, transformation
from ...compose import chain
from ...transforms import add_decayed_weights, scale_by_learning_rate, scale_by_trust_ratio
from ._adam import scale_by_adam


@transformation("optimizer", example={"learning_rate": 0.05}, needs=("params",))
def lamb(
    learning_rate: Rate,
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-6,
    eps_root: Rate = 0.0,
    weight_decay: Rate = 0.0,
    mask: Mask | None = None,
) -> GradientTransformation:
    """LAMB (You et al., arXiv 1904.00962, algorithm 2 with `φ(z) = z`).

    With `r_t` the direction of `scale_by_adam` and `d_t = r_t + weight_decay · w`, each leaf
    takes the step `w ← w - learning_rate · ‖w‖ / ‖d_t‖ · d_t`: the decay is inside the trust ratio
    and cannot make a step longer. Where `w` or `d_t` is 0 the ratio is 1.

    Args:
      learning_rate: ≥ 0, the length of a step relative to the weights.
      b1: see `scale_by_adam`, like the three that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      weight_decay: ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    >>> import jax.numpy as jnp
    >>> tx = lamb(0.1, weight_decay=0.5)
    >>> w = jnp.array([3.0, 4.0])
    >>> step, _ = tx.update(jnp.array([300.0, -0.2]), tx.init(w), params=w)
    >>> round(jnp.linalg.norm(step).item(), 6)
    0.5
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )
