"""Transformations of one tree: optax's names and states, native algorithms."""

from typing import Any

import optax
from optax._src import transform as _transform
from optax.transforms import _adding

from .. import transforms
from .._core import GradientTransformation, per_leaf, zero_count
from ..optimizers import diagonal, momentum
from ._door import body, given, instead_of
from ._states import with_state

Pair = GradientTransformation


@instead_of(optax.identity)
def identity() -> Pair:
    return with_state(body(transforms.identity)(), optax.EmptyState)


@instead_of(optax.set_to_zero)
def set_to_zero() -> Pair:
    return with_state(body(transforms.set_to_zero)(), optax.EmptyState)


@instead_of(optax.scale)
def scale(step_size: Any) -> Pair:
    return with_state(body(transforms.scale)(step_size), optax.EmptyState)


@instead_of(optax.scale_by_schedule)
def scale_by_schedule(step_size_fn: Any) -> Pair:
    return per_leaf(
        lambda params: optax.ScaleByScheduleState(zero_count()),
        lambda g, s: s * g,
        scalars=lambda t: (step_size_fn(t - 1),),
    )


@instead_of(optax.scale_by_learning_rate)
def scale_by_learning_rate(learning_rate: Any, flip_sign: bool) -> Pair:
    if learning_rate is None:
        return identity()
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return scale(sign * learning_rate)


@instead_of(optax.add_decayed_weights)
def add_decayed_weights(weight_decay: Any, mask: Any) -> Pair:
    if mask is not None:
        return optax.masked(add_decayed_weights(weight_decay), mask)
    if callable(weight_decay):
        return per_leaf(
            lambda params: _adding.WeightDecaySchedule(zero_count()),
            lambda g, p, s: g + s * p,
            scalars=lambda t: (weight_decay(t - 1),),
            reads=lambda params: (given(params),),
        )
    return with_state(body(transforms.add_decayed_weights)(weight_decay), optax.EmptyState)


@instead_of(optax.scale_by_sign)
def scale_by_sign() -> Pair:
    return with_state(body(transforms.scale_by_sign)(), optax.EmptyState)


@instead_of(optax.scale_by_trust_ratio)
def scale_by_trust_ratio(**options: Any) -> Pair:
    return with_state(body(transforms.scale_by_trust_ratio)(**options), optax.EmptyState)


@instead_of(optax.scale_by_param_block_norm)
def scale_by_param_block_norm(**options: Any) -> Pair:
    return with_state(body(transforms.scale_by_param_block_norm)(**options), optax.EmptyState)


@instead_of(optax.scale_by_param_block_rms)
def scale_by_param_block_rms(**options: Any) -> Pair:
    return with_state(body(transforms.scale_by_param_block_rms)(**options), optax.EmptyState)


@instead_of(optax.normalize_by_update_norm)
def normalize_by_update_norm(**options: Any) -> Pair:
    return with_state(body(transforms.normalize_by_update_norm)(**options), optax.EmptyState)


@instead_of(optax.centralize)
def centralize() -> Pair:
    return with_state(body(transforms.centralize)(output_axis=0), optax.EmptyState)


@instead_of(optax.clip)
def clip(max_delta: Any) -> Pair:
    return with_state(body(transforms.clip)(max_delta), optax.EmptyState)


@instead_of(optax.clip_by_block_rms)
def clip_by_block_rms(threshold: Any) -> Pair:
    return with_state(body(transforms.clip_by_block_rms)(threshold), optax.EmptyState)


@instead_of(optax.clip_by_global_norm)
def clip_by_global_norm(max_norm: Any) -> Pair:
    return with_state(body(transforms.clip_by_global_norm)(max_norm), optax.EmptyState)


@instead_of(optax.adaptive_grad_clip)
def adaptive_grad_clip(**options: Any) -> Pair:
    return with_state(body(transforms.adaptive_grad_clip)(**options), optax.EmptyState)


@instead_of(optax.zero_nans)
def zero_nans() -> Pair:
    return with_state(body(transforms.zero_nans)(), optax.ZeroNansState, transforms.ZeroNansState)


@instead_of(optax.keep_params_nonnegative)
def keep_params_nonnegative() -> Pair:
    return with_state(body(transforms.keep_params_nonnegative)(), optax.NonNegativeParamsState)


@instead_of(optax.trace)
def trace(**options: Any) -> Pair:
    return with_state(body(transforms.trace)(**options), optax.TraceState, transforms.TraceState)


@instead_of(optax.ema)
def ema(**options: Any) -> Pair:
    return with_state(
        body(transforms.ema)(**options), optax.EmaState, transforms.EmaState, ema="mu"
    )


@instead_of(optax.scale_by_rss)
def scale_by_rss(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_rss)(**options, eps_in_sqrt=True)
    return with_state(pair, optax.ScaleByRssState, diagonal.ScaleByRssState, sum_of_squares="nu")


@instead_of(optax.scale_by_rms)
def scale_by_rms(bias_correction: bool, **options: Any) -> Pair:
    pair = body(diagonal.scale_by_rms)(bias_correction=bias_correction, **options)
    kind = _transform.ScaleByRmsWithCountState if bias_correction else optax.ScaleByRmsState
    return with_state(pair, kind, diagonal.ScaleByRmsState)


@instead_of(optax.scale_by_stddev)
def scale_by_stddev(bias_correction: bool, **options: Any) -> Pair:
    pair = body(diagonal.scale_by_stddev)(bias_correction=bias_correction, **options)
    counting, plain = _transform.ScaleByRStdDevWithCountState, optax.ScaleByRStdDevState
    return with_state(pair, counting if bias_correction else plain, diagonal.ScaleByStddevState)


@instead_of(optax.scale_by_adam)
def scale_by_adam(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_adam)(**options)
    return with_state(pair, optax.ScaleByAdamState, diagonal.ScaleByAdamState)


@instead_of(optax.scale_by_amsgrad)
def scale_by_amsgrad(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_amsgrad)(**options, max_of="corrected")
    return with_state(pair, optax.ScaleByAmsgradState, diagonal.ScaleByAmsgradState)


@instead_of(optax.scale_by_adamax)
def scale_by_adamax(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_adamax)(**options)
    return with_state(pair, optax.ScaleByAdamState, diagonal.ScaleByAdamaxState)


@instead_of(optax.scale_by_belief)
def scale_by_belief(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_belief)(**options)
    return with_state(pair, optax.ScaleByBeliefState, diagonal.ScaleByBeliefState)


@instead_of(optax.scale_by_yogi)
def scale_by_yogi(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_yogi)(**options)
    return with_state(pair, optax.ScaleByAdamState, diagonal.ScaleByYogiState)


@instead_of(optax.scale_by_radam)
def scale_by_radam(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_radam)(**options)
    return with_state(pair, optax.ScaleByAdamState, diagonal.ScaleByRadamState)


@instead_of(optax.scale_by_adadelta)
def scale_by_adadelta(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_adadelta)(**options)
    return with_state(pair, optax.ScaleByAdaDeltaState, diagonal.ScaleByAdaDeltaState, e_g="nu")


@instead_of(optax.scale_by_lion)
def scale_by_lion(mode: str, **options: Any) -> Pair:
    if mode not in ("hard", "smooth", "refined"):
        # optax, too, says so in the first update.
        return optax.stateless(lambda updates, params: _refuse_mode(mode))
    pair = body(momentum.scale_by_lion)(mode=mode, **options)
    return with_state(pair, optax.ScaleByLionState, momentum.ScaleByLionState, counted=True)


def _refuse_mode(mode: Any) -> Any:
    raise ValueError(f"scale_by_lion: mode must be 'hard', 'smooth' or 'refined', got {mode!r}")


@instead_of(optax.contrib.reduce_on_plateau)
def reduce_on_plateau(**options: Any) -> Pair:
    pair = body(transforms.reduce_on_plateau)(**options)
    kind = optax.contrib.ReduceLROnPlateauState
    return with_state(pair, kind, transforms.ReduceLROnPlateauState)


@instead_of(optax.contrib.scale_by_acprop)
def scale_by_acprop(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_acprop)(**options, previous_mean=True)
    return with_state(pair, optax.ScaleByBeliefState, diagonal.ScaleByAcpropState)


@instead_of(optax.contrib.scale_by_adopt)
def scale_by_adopt(**options: Any) -> Pair:
    pair = body(diagonal.scale_by_adopt)(**options)
    return with_state(pair, optax.ScaleByAdamState, diagonal.ScaleByAdamState)
