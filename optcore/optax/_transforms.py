"""Transformations of one tree: optax's names and states, native algorithms."""

from typing import Any

import optax
from optax._src import transform as _transform
from optax.transforms import _adding

import optcore as native

from .._core import GradientTransformation, per_leaf, zero_count
from ._door import body, given, instead_of
from ._states import with_state

Pair = GradientTransformation


@instead_of(optax.identity)
def identity() -> Pair:
    return with_state(body(native.identity)(), optax.EmptyState)


@instead_of(optax.set_to_zero)
def set_to_zero() -> Pair:
    return with_state(body(native.set_to_zero)(), optax.EmptyState)


@instead_of(optax.scale)
def scale(step_size: Any) -> Pair:
    return with_state(body(native.scale)(step_size), optax.EmptyState)


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
    return with_state(body(native.add_decayed_weights)(weight_decay), optax.EmptyState)


@instead_of(optax.scale_by_sign)
def scale_by_sign() -> Pair:
    return with_state(body(native.scale_by_sign)(), optax.EmptyState)


@instead_of(optax.scale_by_trust_ratio)
def scale_by_trust_ratio(**options: Any) -> Pair:
    return with_state(body(native.scale_by_trust_ratio)(**options), optax.EmptyState)


@instead_of(optax.scale_by_param_block_norm)
def scale_by_param_block_norm(**options: Any) -> Pair:
    return with_state(body(native.scale_by_param_block_norm)(**options), optax.EmptyState)


@instead_of(optax.scale_by_param_block_rms)
def scale_by_param_block_rms(**options: Any) -> Pair:
    return with_state(body(native.scale_by_param_block_rms)(**options), optax.EmptyState)


@instead_of(optax.normalize_by_update_norm)
def normalize_by_update_norm(**options: Any) -> Pair:
    return with_state(body(native.normalize_by_update_norm)(**options), optax.EmptyState)


@instead_of(optax.centralize)
def centralize() -> Pair:
    return with_state(body(native.centralize)(), optax.EmptyState)


@instead_of(optax.clip)
def clip(max_delta: Any) -> Pair:
    return with_state(body(native.clip)(max_delta), optax.EmptyState)


@instead_of(optax.clip_by_block_rms)
def clip_by_block_rms(threshold: Any) -> Pair:
    return with_state(body(native.clip_by_block_rms)(threshold), optax.EmptyState)


@instead_of(optax.clip_by_global_norm)
def clip_by_global_norm(max_norm: Any) -> Pair:
    return with_state(body(native.clip_by_global_norm)(max_norm), optax.EmptyState)


@instead_of(optax.adaptive_grad_clip)
def adaptive_grad_clip(**options: Any) -> Pair:
    return with_state(body(native.adaptive_grad_clip)(**options), optax.EmptyState)


@instead_of(optax.zero_nans)
def zero_nans() -> Pair:
    return with_state(body(native.zero_nans)(), optax.ZeroNansState, native.ZeroNansState)


@instead_of(optax.keep_params_nonnegative)
def keep_params_nonnegative() -> Pair:
    return with_state(body(native.keep_params_nonnegative)(), optax.NonNegativeParamsState)


@instead_of(optax.trace)
def trace(**options: Any) -> Pair:
    return with_state(body(native.trace)(**options), optax.TraceState, native.TraceState)


@instead_of(optax.ema)
def ema(debias: bool, **options: Any) -> Pair:
    pair = body(native.ema)(debias=debias, **options)
    return with_state(pair, optax.EmaState, native.EmaState, counted=not debias, ema="mu")


@instead_of(optax.scale_by_rss)
def scale_by_rss(**options: Any) -> Pair:
    pair = body(native.scale_by_rss)(**options, eps_in_sqrt=True)
    return with_state(
        pair, optax.ScaleByRssState, native.ScaleByRssState, sum_of_squares="nu"
    )


@instead_of(optax.scale_by_rms)
def scale_by_rms(bias_correction: bool, **options: Any) -> Pair:
    pair = body(native.scale_by_rms)(bias_correction=bias_correction, **options)
    kind = _transform.ScaleByRmsWithCountState if bias_correction else optax.ScaleByRmsState
    return with_state(pair, kind, native.ScaleByRmsState)


@instead_of(optax.scale_by_stddev)
def scale_by_stddev(bias_correction: bool, **options: Any) -> Pair:
    pair = body(native.scale_by_stddev)(bias_correction=bias_correction, **options)
    counting, plain = _transform.ScaleByRStdDevWithCountState, optax.ScaleByRStdDevState
    return with_state(pair, counting if bias_correction else plain, native.ScaleByStddevState)


@instead_of(optax.scale_by_adam)
def scale_by_adam(**options: Any) -> Pair:
    pair = body(native.scale_by_adam)(**options)
    return with_state(pair, optax.ScaleByAdamState, native.ScaleByAdamState)


@instead_of(optax.scale_by_amsgrad)
def scale_by_amsgrad(**options: Any) -> Pair:
    pair = body(native.scale_by_amsgrad)(**options, max_of="corrected")
    return with_state(pair, optax.ScaleByAmsgradState, native.ScaleByAmsgradState)


@instead_of(optax.scale_by_adamax)
def scale_by_adamax(**options: Any) -> Pair:
    pair = body(native.scale_by_adamax)(**options)
    return with_state(pair, optax.ScaleByAdamState, native.ScaleByAdamaxState)


@instead_of(optax.scale_by_belief)
def scale_by_belief(**options: Any) -> Pair:
    pair = body(native.scale_by_belief)(**options)
    return with_state(pair, optax.ScaleByBeliefState, native.ScaleByBeliefState)


@instead_of(optax.scale_by_yogi)
def scale_by_yogi(**options: Any) -> Pair:
    pair = body(native.scale_by_yogi)(**options)
    return with_state(pair, optax.ScaleByAdamState, native.ScaleByYogiState)


@instead_of(optax.scale_by_radam)
def scale_by_radam(**options: Any) -> Pair:
    pair = body(native.scale_by_radam)(**options)
    return with_state(pair, optax.ScaleByAdamState, native.ScaleByRadamState)


@instead_of(optax.scale_by_adadelta)
def scale_by_adadelta(**options: Any) -> Pair:
    pair = body(native.scale_by_adadelta)(**options)
    return with_state(pair, optax.ScaleByAdaDeltaState, native.ScaleByAdaDeltaState, e_g="nu")


@instead_of(optax.scale_by_lion)
def scale_by_lion(**options: Any) -> Pair:
    pair = body(native.scale_by_lion)(**options)
    return with_state(pair, optax.ScaleByLionState, native.ScaleByLionState, counted=True)


@instead_of(optax.scale_by_sm3)
def scale_by_sm3(**options: Any) -> Pair:
    pair = body(native.scale_by_sm3)(**options)
    return with_state(pair, optax.ScaleBySM3State, native.ScaleBySM3State)


@instead_of(optax.contrib.reduce_on_plateau)
def reduce_on_plateau(**options: Any) -> Pair:
    pair = body(native.reduce_on_plateau)(**options)
    kind = optax.contrib.ReduceLROnPlateauState
    return with_state(pair, kind, native.ReduceLROnPlateauState)


@instead_of(optax.contrib.scale_by_acprop)
def scale_by_acprop(**options: Any) -> Pair:
    pair = body(native.scale_by_acprop)(**options, previous_mean=True)
    return with_state(pair, optax.ScaleByBeliefState, native.ScaleByAcpropState)


@instead_of(optax.contrib.scale_by_adopt)
def scale_by_adopt(**options: Any) -> Pair:
    pair = body(native.scale_by_adopt)(**options)
    return with_state(pair, optax.ScaleByAdamState, native.ScaleByAdamState)
