"""Adafactor: factored second moments, clipped updates, steps relative to the parameters."""

import jax.numpy as jnp

from ..._core import (
    Bound,
    Count,
    Decay,
    DType,
    GradientTransformation,
    Mask,
    Rate,
    transformation,
)
from ...compose import chain
from ...transforms import (
    add_decayed_weights,
    clip_by_block_rms,
    ema,
    scale,
    scale_by_learning_rate,
    scale_by_param_block_rms,
)
from ._factored import FactorAxes, scale_by_factored_rms


@transformation(
    "optimizer",
    example={"learning_rate": 0.05, "min_dim_size_to_factor": 2},
    needs=("params",),
)
def adafactor(
    learning_rate: Rate | None = None,
    min_dim_size_to_factor: Count = 128,
    decay_rate: Rate = 0.8,
    decay_offset: Count = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Bound | None = 1.0,
    momentum: Decay | None = None,
    dtype_momentum: DType = jnp.float32,
    weight_decay_rate: Rate | None = None,
    eps: Rate = 1e-30,
    factored: bool = True,
    weight_decay_mask: Mask | None = None,
    *,
    factor_axes: FactorAxes = "largest",
) -> GradientTransformation:
    r"""Adafactor (Shazeer and Stern, arXiv 1804.04235, algorithms 4 to 6).

    .. math::
        \hat U_t = U_t / \max(1, \mathrm{RMS}(U_t) / clipping\_threshold), \quad
        w \leftarrow w - learning\_rate \cdot \max(10^{-3}, \mathrm{RMS}(w)) \cdot \hat U_t

    with the direction `U_t` of `scale_by_factored_rms`. The paper's step size is
    `min(1e-2, 1/√t)`, a schedule, and so is torch's `min(lr, 1/√t)`; here, as in optax, the rate is
    used as given. With `factor_axes="last"`, `min_dim_size_to_factor=0` and that schedule this is
    `torch.optim.Adafactor`, except that torch has a lower bound on the mean squares in place of
    `eps`.

    Args:
      learning_rate: ≥ 0; `None` is 1.
      min_dim_size_to_factor: see `scale_by_factored_rms`.
      decay_rate: see `scale_by_factored_rms`.
      decay_offset: its `step_offset`.
      multiply_by_parameter_scale: make steps relative to `max(1e-3, RMS(w))`, see
        `scale_by_param_block_rms`.
      clipping_threshold: of the root mean square of each update, or `None`; see
        `clip_by_block_rms`.
      momentum: decay of an average of the steps, in [0, 1), or `None`.
      dtype_momentum: of that average.
      weight_decay_rate: ≥ 0, or `None`. It is *not* multiplied by the learning rate.
      eps: added to the squares, ≥ 0.
      factored: factor at all.
      weight_decay_mask: which parameters decay, see `add_decayed_weights`.
      factor_axes: see `scale_by_factored_rms`.

    Raises:
      ValueError: `update` was not given `params`.

    The first step of a parameter is `learning_rate` times its root mean square:

    >>> import jax.numpy as jnp
    >>> tx = adafactor(0.1)
    >>> w = jnp.array([20.0, -20.0])
    >>> tx.update(jnp.array([300.0, -0.2]), tx.init(w), w)[0].round(5).tolist()
    [-2.0, 2.0]
    """
    stages = [
        scale_by_factored_rms(
            factored,
            decay_rate,
            decay_offset,
            min_dim_size_to_factor,
            eps,
            factor_axes=factor_axes,
        )
    ]
    if clipping_threshold is not None:
        stages.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        stages.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        stages.append(scale_by_param_block_rms())
    if momentum is not None:
        stages.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        stages.append(add_decayed_weights(weight_decay_rate, weight_decay_mask))
    return chain(*stages, scale(-1.0))
