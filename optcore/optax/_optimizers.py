"""Optimizers composed as in optax, from the replacements of its parts."""

import warnings
from collections.abc import Callable
from typing import Any

import optax
from optax import contrib

from .._core import GradientTransformation
from ._combining import chain
from ._door import instead_of
from ._factored import scale_by_factored_rms, scale_by_sm3
from ._handed_on import (
    add_noise,
    masked,
    scale_by_adan,
    scale_by_lbfgs,
    scale_by_polyak,
    scale_by_rprop,
    scale_by_zoom_linesearch,
)
from ._transforms import (
    add_decayed_weights,
    clip_by_block_rms,
    ema,
    identity,
    in_masked_state,
    scale,
    scale_by_acprop,
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_ademamix,
    scale_by_adopt,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_madgrad,
    scale_by_novograd,
    scale_by_optimistic_gradient,
    scale_by_param_block_rms,
    scale_by_radam,
    scale_by_rms,
    scale_by_rss,
    scale_by_sign,
    scale_by_simplified_ademamix,
    scale_by_stddev,
    scale_by_trust_ratio,
    scale_by_yogi,
    trace,
)

Pair = GradientTransformation


def _rated(original: Any, name: str, direction: Callable[..., Pair], **facts: Any) -> Any:
    """An optimizer that is a direction and a rate; for the facts see `instead_of`."""

    def made(learning_rate: Any, **options: Any) -> Pair:
        return chain(direction(**options), scale_by_learning_rate(learning_rate))

    return instead_of(original, name, **facts)(made)


def _decayed(original: Any, name: str, direction: Callable[..., Pair]) -> Any:
    """An optimizer that is a direction, decoupled decay of the weights and a rate."""

    def made(learning_rate: Any, weight_decay: Any, mask: Any, **options: Any) -> Pair:
        return chain(
            direction(**options),
            add_decayed_weights(weight_decay, mask),
            scale_by_learning_rate(learning_rate),
        )

    return instead_of(original, name)(made)


sign_sgd = _rated(optax.sign_sgd, "sign_sgd", scale_by_sign)
noisy_sgd = _rated(optax.noisy_sgd, "noisy_sgd", add_noise, static=("key",))
optimistic_gradient_descent = _rated(
    optax.optimistic_gradient_descent,
    "optimistic_gradient_descent",
    scale_by_optimistic_gradient,
)
adagrad = _rated(optax.adagrad, "adagrad", scale_by_rss)
adam = _rated(optax.adam, "adam", scale_by_adam)
nadam = _rated(optax.nadam, "nadam", scale_by_adam)
adamax = _rated(optax.adamax, "adamax", scale_by_adamax)
amsgrad = _rated(optax.amsgrad, "amsgrad", scale_by_amsgrad)
adabelief = _rated(optax.adabelief, "adabelief", scale_by_belief)
yogi = _rated(optax.yogi, "yogi", scale_by_yogi)
radam = _rated(optax.radam, "radam", scale_by_radam)
novograd = _rated(optax.novograd, "novograd", scale_by_novograd)
adopt = _rated(contrib.adopt, "adopt", scale_by_adopt, defaults={"clip_value_fn": None})

adamw = _decayed(optax.adamw, "adamw", scale_by_adam)
nadamw = _decayed(optax.nadamw, "nadamw", scale_by_adam)
adamaxw = _decayed(optax.adamaxw, "adamaxw", scale_by_adamax)
lion = _decayed(optax.lion, "lion", scale_by_lion)
adan = _decayed(optax.adan, "adan", scale_by_adan)
acprop = _decayed(contrib.acprop, "acprop", scale_by_acprop)
ademamix = _decayed(contrib.ademamix, "ademamix", scale_by_ademamix)
simplified_ademamix = _decayed(
    contrib.simplified_ademamix, "simplified_ademamix", scale_by_simplified_ademamix
)


@instead_of(optax.sgd)
def sgd(learning_rate: Any, momentum: Any, **options: Any) -> Pair:
    direction = identity() if momentum is None else trace(momentum, **options)
    return chain(direction, scale_by_learning_rate(learning_rate))


@instead_of(optax.signum)
def signum(learning_rate: Any, beta: Any, accumulator_dtype: Any) -> Pair:
    return chain(
        ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        scale_by_sign(),
        scale_by_learning_rate(learning_rate),
    )


@instead_of(optax.polyak_sgd)
def polyak_sgd(scaling: Any, **options: Any) -> Pair:
    return chain(sgd(scaling), scale_by_polyak(**options))


@instead_of(optax.fromage)
def fromage(learning_rate: Any, min_norm: Any) -> Pair:
    def shrink(rate: Any) -> Any:
        return 1 / (1 + rate**2) ** 0.5

    rate, decay = _derived(learning_rate, lambda r: r * shrink(r), lambda r: shrink(r) - 1)
    return chain(
        scale_by_trust_ratio(min_norm), scale_by_learning_rate(rate), add_decayed_weights(decay)
    )


def _derived(rate: Any, *functions: Callable[[Any], Any]) -> list[Any]:
    """Functions of a rate, which are schedules if it is one."""
    if not callable(rate):
        return [f(rate) for f in functions]
    return [lambda count, f=f: f(rate(count)) for f in functions]


@instead_of(optax.lars)
def lars(
    learning_rate: Any,
    weight_decay: Any,
    weight_decay_mask: Any,
    trust_coefficient: Any,
    eps: Any,
    trust_ratio_mask: Any,
    momentum: Any,
    nesterov: bool,
) -> Pair:
    trust = scale_by_trust_ratio(trust_coefficient=trust_coefficient, eps=eps)
    return chain(
        add_decayed_weights(weight_decay, mask=weight_decay_mask),
        in_masked_state(trust) if trust_ratio_mask is True else masked(trust, trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
        trace(momentum, nesterov=nesterov),
    )


@instead_of(optax.rmsprop)
def rmsprop(
    learning_rate: Any, centered: bool, momentum: Any, nesterov: bool, **options: Any
) -> Pair:
    return chain(
        (scale_by_stddev if centered else scale_by_rms)(**options),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov=nesterov),
    )


@instead_of(optax.adadelta)
def adadelta(learning_rate: Any, weight_decay: Any, weight_decay_mask: Any, **options: Any) -> Pair:
    return chain(
        add_decayed_weights(weight_decay, mask=weight_decay_mask),
        scale_by_adadelta(**options),
        scale_by_learning_rate(learning_rate),
    )


@instead_of(optax.lamb)
def lamb(learning_rate: Any, weight_decay: Any, mask: Any, **options: Any) -> Pair:
    return chain(
        scale_by_adam(**options),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


@instead_of(optax.sm3)
def sm3(learning_rate: Any, momentum: Any) -> Pair:
    return chain(scale_by_sm3(momentum), scale(-learning_rate))


@instead_of(optax.rprop)
def rprop(**options: Any) -> Pair:
    return chain(scale_by_rprop(**options), scale(-1.0))


@instead_of(contrib.madgrad)
def madgrad(weight_decay: Any, **options: Any) -> Pair:
    return chain(add_decayed_weights(weight_decay), scale_by_madgrad(**options))


@instead_of(optax.optimistic_adam)
def optimistic_adam(learning_rate: Any, optimism: Any, **options: Any) -> Pair:
    warnings.warn(
        "`optimistic_adam` is deprecated, please use `optimistic_adam_v2` instead.",
        DeprecationWarning,
        stacklevel=2,
    )
    if callable(learning_rate):
        raise ValueError(
            "optimistic_adam: learning_rate must be a number, got a schedule; optimistic_adam_v2 "
            "takes one"
        )
    beta = learning_rate if optimism is None else optimism
    return chain(
        scale_by_adam(**options),
        scale_by_optimistic_gradient(alpha=learning_rate, beta=beta),
        scale_by_learning_rate(1.0),
    )


@instead_of(optax.optimistic_adam_v2)
def optimistic_adam_v2(learning_rate: Any, alpha: Any, beta: Any, **options: Any) -> Pair:
    return chain(
        scale_by_adam(**options),
        scale_by_optimistic_gradient(alpha=alpha, beta=beta),
        scale_by_learning_rate(learning_rate),
    )


@instead_of(optax.adafactor)
def adafactor(
    learning_rate: Any,
    min_dim_size_to_factor: int,
    decay_rate: Any,
    decay_offset: Any,
    multiply_by_parameter_scale: bool,
    clipping_threshold: Any,
    momentum: Any,
    dtype_momentum: Any,
    weight_decay_rate: Any,
    eps: Any,
    factored: bool,
    weight_decay_mask: Any,
) -> Pair:
    parts = [scale_by_factored_rms(factored, decay_rate, decay_offset, min_dim_size_to_factor, eps)]
    if clipping_threshold is not None:
        parts.append(clip_by_block_rms(clipping_threshold))
    if learning_rate is not None:
        parts.append(scale_by_learning_rate(learning_rate, flip_sign=False))
    if multiply_by_parameter_scale:
        parts.append(scale_by_param_block_rms())
    if momentum is not None:
        parts.append(ema(momentum, debias=False, accumulator_dtype=dtype_momentum))
    if weight_decay_rate is not None:
        parts.append(add_decayed_weights(weight_decay_rate, mask=weight_decay_mask))
    return chain(*parts, scale(-1))


_SEARCH = scale_by_zoom_linesearch(max_linesearch_steps=20, initial_guess_strategy="one")


@instead_of(optax.lbfgs, defaults={"linesearch": _SEARCH})
def lbfgs(learning_rate: Any, memory_size: int, scale_init_precond: bool, linesearch: Any) -> Pair:
    return chain(
        scale_by_lbfgs(memory_size=memory_size, scale_init_precond=scale_init_precond),
        scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate),
        identity() if linesearch is None else linesearch,
    )
