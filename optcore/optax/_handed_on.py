"""Transformations that optax computes, because optcore lacks them or behaves differently.

They are declared like all others: they have a config, compare by value, and show their parts.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optax
from optax import contrib

from ._door import OURS, declared

# Wrappers that exist only in optax.
masked = declared(optax.masked)
partition = declared(optax.partition)
freeze = declared(optax.transforms.freeze)
selective_transform = declared(optax.transforms.selective_transform)
apply_if_finite = declared(optax.apply_if_finite)
conditionally_mask = declared(optax.conditionally_mask)
conditionally_transform = declared(optax.conditionally_transform)
flatten = declared(optax.flatten)
lookahead = declared(optax.lookahead, "sync_period", "slow_step_size")
apply_every = declared(optax.apply_every)
monitor = declared(optax.monitor)
snapshot = declared(optax.snapshot)
measure_with_ema = declared(optax.measure_with_ema)
stateless = declared(optax.stateless)
stateless_with_tree_map = declared(optax.stateless_with_tree_map)
sam = declared(contrib.sam)
normalize = declared(contrib.normalize)
split_real_and_imaginary = declared(contrib.split_real_and_imaginary)

# Random numbers from optax's keys.
add_noise = declared(optax.add_noise)
differentially_private_aggregate = declared(contrib.differentially_private_aggregate)
dpsgd = declared(contrib.dpsgd)

# The native ones follow the papers, and no argument reproduces optax.
scale_by_adan = declared(optax.scale_by_adan)
scale_by_rprop = declared(optax.scale_by_rprop)
hutchinson_estimator_diag_hessian = declared(contrib.hutchinson_estimator_diag_hessian)
sophia = declared(
    contrib.sophia,
    defaults={"hessian_diagonal_fn": hutchinson_estimator_diag_hessian()},
)

# Not in optcore yet.
scale_by_polyak = declared(optax.scale_by_polyak)
scale_by_lbfgs = declared(optax.scale_by_lbfgs)
scale_by_backtracking_linesearch = declared(optax.scale_by_backtracking_linesearch)
scale_by_zoom_linesearch = declared(optax.scale_by_zoom_linesearch)
scale_by_distance_over_gradients = declared(optax.scale_by_distance_over_gradients)
scale_by_cocob = declared(contrib.scale_by_cocob)
cocob = declared(contrib.cocob)
dadapt_adamw = declared(contrib.dadapt_adamw)
dog = declared(contrib.dog, "init_step")
dowg = declared(contrib.dowg)
scale_by_galore = declared(contrib.scale_by_galore)
galore = declared(contrib.galore)
mechanize = declared(contrib.mechanize)
momo = declared(contrib.momo)
momo_adam = declared(contrib.momo_adam)
scale_by_muon = declared(contrib.scale_by_muon, "ns_coeffs")
muon = declared(contrib.muon, "ns_coeffs")
prodigy = declared(contrib.prodigy)
schedule_free = declared(contrib.schedule_free)
schedule_free_adamw = declared(contrib.schedule_free_adamw)
schedule_free_sgd = declared(contrib.schedule_free_sgd)


class MultiSteps(optax.MultiSteps):  # type: ignore[misc]
    """Accumulation of gradients over several calls: optax's object, with a declared transformation.

    >>> import jax.numpy as jnp
    >>> steps = MultiSteps(optax.sgd(0.5), every_k_schedule=2)
    >>> tx = steps.gradient_transformation()
    >>> state = tx.init(jnp.float32(0.0))
    >>> for g in (1.0, 3.0):
    ...     update, state = tx.update(jnp.float32(g), state)
    ...     print(update.item(), bool(steps.has_updated(state)))
    0.0 False
    -1.0 True
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.declared = _multi_steps(*args, **kwargs)

    __init__.__signature__ = inspect.signature(optax.MultiSteps.__init__)  # type: ignore[attr-defined]

    def gradient_transformation(self) -> Any:
        """The transformation of this object's `init` and `update`."""
        return self.declared

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MultiSteps) and bool(self.declared == other.declared)

    def __hash__(self) -> int:
        return hash(self.declared)

    def __repr__(self) -> str:
        return repr(self.declared)

    def __reduce__(self) -> Any:
        return _steps_of, (self.declared,)


def _steps_of(declared: Any) -> MultiSteps:
    """The object of a transformation."""
    return MultiSteps(**declared.arguments)


def _of_multi_steps(*args: Any, **kwargs: Any) -> Any:
    return optax.MultiSteps(*args, **kwargs).gradient_transformation()


_of_multi_steps.__name__ = "MultiSteps"
_of_multi_steps.__signature__ = inspect.signature(optax.MultiSteps)  # type: ignore[attr-defined]
_multi_steps = declared(_of_multi_steps, "every_k_schedule")
OURS[id(optax.MultiSteps)] = MultiSteps


_NONE: Mapping[str, Any] = {}


def _inject_hyperparams(
    inner_factory: Callable[..., Any],
    static_args: Any = (),
    hyperparam_dtype: Any = None,
    args: Any = (),
    kwargs: Any = _NONE,
) -> Any:
    """The transformation that `inject_hyperparams` makes of a factory and its arguments."""
    make = optax.inject_hyperparams(inner_factory, static_args, hyperparam_dtype)
    return make(*args, **kwargs)


def _shown(
    inner_factory: Any, static_args: Any, hyperparam_dtype: Any, args: Any, kwargs: Any
) -> str:
    """The two calls."""
    name = getattr(inner_factory, "__name__", repr(inner_factory))
    options = [f"static_args={static_args!r}"] if static_args else []
    if hyperparam_dtype is not None:
        options.append(f"hyperparam_dtype={hyperparam_dtype!r}")
    given = [*map(repr, args), *(f"{n}={v!r}" for n, v in kwargs.items())]
    return f"inject_hyperparams({', '.join([name, *options])})({', '.join(given)})"


_inject_hyperparams.__name__ = "inject_hyperparams"
_injected = declared(_inject_hyperparams, shown=_shown)


def inject_hyperparams(
    inner_factory: Callable[..., Any], static_args: Any = (), hyperparam_dtype: Any = None
) -> Callable[..., Any]:
    """Put numbers and schedules of a factory into the state, as optax does, with a declared result.

    >>> import jax.numpy as jnp
    >>> tx = inject_hyperparams(optax.sgd)(learning_rate=0.5)
    >>> tx.init(jnp.zeros(2)).hyperparams["learning_rate"].item(), tx
    (0.5, inject_hyperparams(sgd)(learning_rate=0.5))
    """
    static = (static_args,) if isinstance(static_args, str) else tuple(static_args)
    original = optax.inject_hyperparams(inner_factory, static, hyperparam_dtype)

    @functools.wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return _injected(inner_factory, static, hyperparam_dtype, args, kwargs)

    return wrapped


def inject_stateful_hyperparams(
    inner_factory: Callable[..., Any], static_args: Any = (), hyperparam_dtype: Any = None
) -> Callable[..., Any]:
    """The former optax name of `inject_hyperparams`.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     inject_stateful_hyperparams(optax.scale)(step_size=0.5)
    inject_hyperparams(scale)(step_size=0.5)
    """
    warnings.warn(
        "inject_stateful_hyperparams is deprecated, use inject_hyperparams instead",
        DeprecationWarning,
        stacklevel=2,
    )
    return inject_hyperparams(inner_factory, static_args, hyperparam_dtype)


for _ours in (inject_hyperparams, inject_stateful_hyperparams):
    _original = getattr(optax.schedules, _ours.__name__)
    _ours.__signature__ = inspect.signature(_original)  # type: ignore[attr-defined]
    OURS[id(_original)] = _ours
