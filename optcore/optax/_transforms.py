"""Transformations of one tree: optax's names and states, native algorithms."""

from typing import Any

import optax
from optax._src import transform as _transform
from optax.transforms import _adding

from .. import transforms
from .._core import EmptyState, GradientTransformation, per_leaf, zero_count
from ..optimizers import diagonal, momentum
from ._door import body, given, instead_of
from ._states import with_state

Pair = GradientTransformation


def same(
    original: Any,
    native: Any,
    kind: Any = optax.EmptyState,
    own: Any = EmptyState,
    *,
    fixed: dict[str, Any] | None = None,
    **states: Any,
) -> Any:
    """Ours for a factory of optax's with the same arguments; for the states see `with_state`.

    Args:
      original: optax's.
      native: ours.
      kind: optax's class of the state.
      own: ours.
      fixed: arguments of the native one that make it optax's.
      **states: more that `with_state` takes.
    """

    def made(**arguments: Any) -> Pair:
        return with_state(body(native)(**arguments, **(fixed or {})), kind, own, **states)

    return instead_of(original, native.__name__)(made)


identity = same(optax.identity, transforms.identity)
set_to_zero = same(optax.set_to_zero, transforms.set_to_zero)
scale = same(optax.scale, transforms.scale)
scale_by_sign = same(optax.scale_by_sign, transforms.scale_by_sign)
scale_by_trust_ratio = same(optax.scale_by_trust_ratio, transforms.scale_by_trust_ratio)
scale_by_param_block_norm = same(
    optax.scale_by_param_block_norm, transforms.scale_by_param_block_norm
)
scale_by_param_block_rms = same(optax.scale_by_param_block_rms, transforms.scale_by_param_block_rms)
normalize_by_update_norm = same(optax.normalize_by_update_norm, transforms.normalize_by_update_norm)
centralize = same(optax.centralize, transforms.centralize, fixed={"output_axis": 0})
clip = same(optax.clip, transforms.clip)
clip_by_block_rms = same(optax.clip_by_block_rms, transforms.clip_by_block_rms)
clip_by_global_norm = same(optax.clip_by_global_norm, transforms.clip_by_global_norm)
adaptive_grad_clip = same(optax.adaptive_grad_clip, transforms.adaptive_grad_clip)
keep_params_nonnegative = same(
    optax.keep_params_nonnegative, transforms.keep_params_nonnegative, optax.NonNegativeParamsState
)
zero_nans = same(
    optax.zero_nans, transforms.zero_nans, optax.ZeroNansState, transforms.ZeroNansState
)
trace = same(optax.trace, transforms.trace, optax.TraceState, transforms.TraceState)
ema = same(optax.ema, transforms.ema, optax.EmaState, transforms.EmaState, ema="mu")
reduce_on_plateau = same(
    optax.contrib.reduce_on_plateau,
    transforms.reduce_on_plateau,
    optax.contrib.ReduceLROnPlateauState,
    transforms.ReduceLROnPlateauState,
)
scale_by_rss = same(
    optax.scale_by_rss,
    diagonal.scale_by_rss,
    optax.ScaleByRssState,
    diagonal.ScaleByRssState,
    fixed={"eps_in_sqrt": True},
    sum_of_squares="nu",
)
scale_by_adam = same(
    optax.scale_by_adam, diagonal.scale_by_adam, optax.ScaleByAdamState, diagonal.ScaleByAdamState
)
scale_by_amsgrad = same(
    optax.scale_by_amsgrad,
    diagonal.scale_by_amsgrad,
    optax.ScaleByAmsgradState,
    diagonal.ScaleByAmsgradState,
    fixed={"max_of": "corrected"},
)
scale_by_adamax = same(
    optax.scale_by_adamax,
    diagonal.scale_by_adamax,
    optax.ScaleByAdamState,
    diagonal.ScaleByAdamaxState,
)
scale_by_belief = same(
    optax.scale_by_belief,
    diagonal.scale_by_belief,
    optax.ScaleByBeliefState,
    diagonal.ScaleByBeliefState,
)
scale_by_yogi = same(
    optax.scale_by_yogi, diagonal.scale_by_yogi, optax.ScaleByAdamState, diagonal.ScaleByYogiState
)
scale_by_radam = same(
    optax.scale_by_radam,
    diagonal.scale_by_radam,
    optax.ScaleByAdamState,
    diagonal.ScaleByRadamState,
)
scale_by_adadelta = same(
    optax.scale_by_adadelta,
    diagonal.scale_by_adadelta,
    optax.ScaleByAdaDeltaState,
    diagonal.ScaleByAdaDeltaState,
    e_g="nu",
)
scale_by_acprop = same(
    optax.contrib.scale_by_acprop,
    diagonal.scale_by_acprop,
    optax.ScaleByBeliefState,
    diagonal.ScaleByAcpropState,
    fixed={"previous_mean": True},
)
scale_by_adopt = same(
    optax.contrib.scale_by_adopt,
    diagonal.scale_by_adopt,
    optax.ScaleByAdamState,
    diagonal.ScaleByAdamState,
)


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


@instead_of(optax.scale_by_lion)
def scale_by_lion(mode: str, **options: Any) -> Pair:
    if mode not in ("hard", "smooth", "refined"):
        # optax, too, says so in the first update.
        return optax.stateless(lambda updates, params: _refuse_mode(mode))
    pair = body(momentum.scale_by_lion)(mode=mode, **options)
    return with_state(pair, optax.ScaleByLionState, momentum.ScaleByLionState, counted=True)


def _refuse_mode(mode: Any) -> Any:
    raise ValueError(f"scale_by_lion: mode must be 'hard', 'smooth' or 'refined', got {mode!r}")


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
