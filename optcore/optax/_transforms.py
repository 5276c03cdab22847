"""Transformations of one tree: optax's names and states, native algorithms."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import contrib
from optax._src import transform as _transform
from optax.contrib import _ademamix, _madgrad
from optax.transforms import _adding, _masking
from optax.tree_utils import _state_utils

from .. import transforms
from .._core import EmptyState, GradientTransformation
from ..optimizers import diagonal, momentum
from ._door import body, computed_by, instead_of
from ._states import by_count, translated, with_state

Pair = GradientTransformation


def same(
    original: Any,
    native: Any,
    kind: Any = optax.EmptyState,
    own: Any = EmptyState,
    *,
    fixed: dict[str, Any] | None = None,
    defaults: dict[str, Any] | None = None,
    **states: Any,
) -> Any:
    """Ours for a factory of optax's with the same arguments; for the states see `with_state`.

    Args:
      original: optax's.
      native: ours.
      kind: optax's class of the state.
      own: ours.
      fixed: arguments of the native one that make it optax's.
      defaults: see `instead_of`.
      **states: more that `with_state` takes.
    """

    def made(**arguments: Any) -> Pair:
        return with_state(body(native)(**arguments, **(fixed or {})), kind, own, **states)

    return instead_of(original, native.__name__, defaults=defaults)(made)


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
    contrib.reduce_on_plateau,
    transforms.reduce_on_plateau,
    contrib.ReduceLROnPlateauState,
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
scale_by_novograd = same(
    optax.scale_by_novograd,
    diagonal.scale_by_novograd,
    _transform.ScaleByNovogradState,
    diagonal.ScaleByNovogradState,
)
scale_by_adadelta = same(
    optax.scale_by_adadelta,
    diagonal.scale_by_adadelta,
    optax.ScaleByAdaDeltaState,
    diagonal.ScaleByAdaDeltaState,
    e_g="nu",
)
scale_by_acprop = same(
    contrib.scale_by_acprop,
    diagonal.scale_by_acprop,
    optax.ScaleByBeliefState,
    diagonal.ScaleByAcpropState,
    fixed={"previous_mean": True},
)
scale_by_adopt = same(
    contrib.scale_by_adopt,
    diagonal.scale_by_adopt,
    optax.ScaleByAdamState,
    diagonal.ScaleByAdamState,
    defaults={"clip_value_fn": None},
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
        # optax, too, raises in the first update.
        return optax.stateless(lambda updates, params: _refuse_mode(mode))
    pair = body(momentum.scale_by_lion)(mode=mode, **options)
    return with_state(pair, optax.ScaleByLionState, momentum.ScaleByLionState, counted=True)


def _refuse_mode(mode: Any) -> Any:
    raise ValueError(f"scale_by_lion: mode must be 'hard', 'smooth' or 'refined', got {mode!r}")


@instead_of(contrib.scale_by_ademamix)
def scale_by_ademamix(b3: Any, alpha: Any, **options: Any) -> Pair:
    def made(**weights: Any) -> Pair:
        return with_state(
            body(diagonal.scale_by_ademamix)(**options, **weights),
            _ademamix.ScaleByAdemamixState,
            diagonal.ScaleByAdemamixState,
            count_m2="count",
            m1="mu",
            m2="mu_slow",
        )

    return by_count(made, {"b3": b3, "alpha": alpha})


@instead_of(contrib.scale_by_simplified_ademamix)
def scale_by_simplified_ademamix(alpha: Any, **options: Any) -> Pair:
    def made(alpha: Any) -> Pair:
        return with_state(
            body(diagonal.scale_by_simplified_ademamix)(alpha=alpha, **options),
            _ademamix.ScaleBySimplifiedAdEMAMixState,
            diagonal.ScaleBySimplifiedAdEMAMixState,
            t="count",
            m="trace",
            n="nu",
        )

    return by_count(made, {"alpha": alpha}, count="t")


@instead_of(_madgrad.scale_by_madgrad)
def scale_by_madgrad(learning_rate: Any, **options: Any) -> Pair:
    def made(learning_rate: Any) -> Pair:
        if isinstance(learning_rate, (int, float)) and learning_rate < 0:
            return computed_by(_madgrad.scale_by_madgrad)(learning_rate, **options)
        # The native one does not move at a rate of 0, where optax uses `eps` as the rate.
        if isinstance(learning_rate, (int, float)):
            rate: Any = learning_rate or 1e-30
        else:
            rate = jnp.where(learning_rate == 0, 1e-30, learning_rate)
        return with_state(
            body(diagonal.madgrad)(rate, **options),
            _madgrad.MadgradState,
            diagonal.MadgradState,
            grad_sum_sq="nu",
            s="trace",
            x0="anchor",
        )

    return by_count(made, {"learning_rate": learning_rate})


@instead_of(optax.scale_by_optimistic_gradient)
def scale_by_optimistic_gradient(**options: Any) -> Pair:
    kind = _transform.ScaleByOptimisticGradientState

    def outside(new: Any, old: Any, params: Any) -> Any:
        return kind(new.count == 0, new.previous_gradient)

    def inside(state: Any, params: Any) -> Any:
        count = jnp.where(state.is_initial_step, 0, 1).astype(jnp.int32)
        return momentum.ScaleByOptimisticGradientState(count, state.previous_gradient)

    return translated(body(momentum.scale_by_optimistic_gradient)(**options), outside, inside)


@instead_of(optax.scale_by_schedule)
def scale_by_schedule(step_size_fn: Any) -> Pair:
    def made(step_size: Any) -> Pair:
        pair = body(transforms.scale)(step_size)
        return with_state(pair, optax.ScaleByScheduleState, counted=True)

    return by_count(made, {"step_size": step_size_fn})


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
    scheduled = callable(weight_decay)
    kind = _adding.WeightDecaySchedule if scheduled else optax.EmptyState
    which = None if mask is None else functools.partial(_spread, mask)

    def made(weight_decay: Any) -> Pair:
        pair = body(transforms.add_decayed_weights)(weight_decay, which)
        return with_state(pair, kind, counted=scheduled)

    pair = by_count(made, {"weight_decay": weight_decay})
    return pair if mask is None else in_masked_state(pair)


def _spread(mask: Any, params: Any) -> Any:
    """A mask from optax, which may be a function or cover whole branches, for each leaf."""
    if isinstance(params, _state_utils._ParamsPlaceholder):
        return True
    tree = mask(params) if _masking._mask_callable(mask) else mask
    return jax.tree.map(lambda m, p: jax.tree.map(lambda _: bool(m), p), tree, params)


def in_masked_state(pair: Pair) -> Pair:
    """The pair with its state in place of a masked state."""
    return translated(
        pair,
        lambda new, old, params: optax.MaskedState(new),
        lambda state, params: state.inner_state,
    )
