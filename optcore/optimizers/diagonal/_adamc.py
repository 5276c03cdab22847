"""AdamC: Adam with a decay that is corrected for the schedule of the learning rate."""

from typing import Annotated

from ..._core import (
    Decay,
    DType,
    GradientTransformation,
    Hyperparameter,
    Mask,
    Range,
    Rate,
    transformation,
)
from ...compose import chain
from ...transforms import add_corrected_decayed_weights, scale_by_learning_rate
from ._adam import scale_by_adam


@transformation(
    "optimizer",
    example={"learning_rate": 0.01, "peak_learning_rate": 0.02},
    needs=("params",),
)
def adamc(
    learning_rate: Rate,
    peak_learning_rate: Annotated[Hyperparameter, Range(0, open_low=True)],
    b1: Decay = 0.9,
    b2: Decay = 0.999,
    eps: Rate = 1e-8,
    eps_root: Rate = 0.0,
    mu_dtype: DType | None = None,
    weight_decay: Rate = 1e-4,
    mask: Mask | None = None,
) -> GradientTransformation:
    r"""AdamW whose decay is proportional to the square of the learning rate.

    .. math:: w \leftarrow w - \gamma_t u_t - \lambda \frac{\gamma_t^2}{\gamma_{max}} w

    with the direction `u_t` of `scale_by_adam` and the decay of `add_corrected_decayed_weights`
    (Defazio, arXiv 2506.02285, algorithm 1). At the peak it is `adamw`, whose defaults it shares.
    The paper corrects the decay of normalised layers only; this function corrects it for all
    parameters that decay.

    Args:
      learning_rate: `γ_t`, ≥ 0.
      peak_learning_rate: `γ_max`, the largest that the schedule reaches, > 0.
      b1: see `scale_by_adam`, like the four that follow.
      b2: decay of the second moment.
      eps: outside the root.
      eps_root: inside the root.
      mu_dtype: of the first moment.
      weight_decay: `λ`, ≥ 0.
      mask: which parameters decay, see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`.

    At half of the peak a weight loses `weight_decay / 2` of itself per unit of learning rate:

    >>> import jax.numpy as jnp
    >>> tx = adamc(0.1, peak_learning_rate=0.2, weight_decay=0.5)
    >>> w = jnp.array([4.0])
    >>> (w + tx.update(jnp.zeros(1), tx.init(w), params=w)[0]).round(6).tolist()
    [3.9000000953674316]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype),
        add_corrected_decayed_weights(weight_decay, learning_rate, peak_learning_rate, mask),
        scale_by_learning_rate(learning_rate),
    )
