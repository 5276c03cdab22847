"""An example of each factory of the chapter: the arguments that it needs, or shows more with."""

import jax
import jax.numpy as jnp
import optax

import optcore
import optcore.optax as ours
from optcore.optax._door import FACTORIES

RATE = 0.01

ORIGINALS = {name: factory.declared_by.original for name, factory in FACTORIES.items()}


def _halved(updates, params):
    return jax.tree.map(lambda u: u / 2, updates)


def _norm(updates):
    return optax.tree.norm(updates)


def _matrices(params):
    return jax.tree.map(lambda p: jnp.ndim(p) > 1, params)


def _half(g, p):
    return g / 2


def _late(step, **extra):
    return step > 0


def _labels(params):
    return jax.tree.map(lambda p: "matrix" if jnp.ndim(p) > 1 else "other", params)


def _decay(count):
    return 0.5 / (1 + count)


ARGUMENTS = {
    "adafactor": {"min_dim_size_to_factor": 2, "momentum": 0.9},
    "adaptive_grad_clip": {"clipping": 0.01},
    "add_decayed_weights": {"weight_decay": 0.1},
    "add_noise": {"eta": 0.01, "gamma": 0.5, "key": 3},
    "apply_every": {"k": 2},
    "as_optax": {"tx": optcore.adam(RATE)},
    "apply_if_finite": {"max_consecutive_errors": 3},
    "clip": {"max_delta": 0.1},
    "clip_by_block_rms": {"threshold": 0.1},
    "clip_by_global_norm": {"max_norm": 0.1},
    "conditionally_mask": {"should_transform_fn": _late},
    "conditionally_transform": {"should_transform_fn": _late},
    "differentially_private_aggregate": {"l2_norm_clip": 1.0, "noise_multiplier": 0.1, "key": 3},
    "dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 0.1, "seed": 3},
    "ema": {"decay": 0.9},
    "freeze": {"mask": False},
    "galore": {"rank": 2},
    "inject_hyperparams": {"inner_factory": ours.adam, "kwargs": {"learning_rate": RATE}},
    "lars": {"weight_decay": 0.1},
    "lbfgs": {"linesearch": None},
    "masked": {"mask": _matrices},
    "measure_with_ema": {"measure": _norm, "decay": 0.9},
    "monitor": {"measures": {"norm": _norm}},
    "MultiSteps": {"every_k_schedule": 2},
    "noisy_sgd": {"key": 3},
    "partition": {"param_labels": _labels},
    "polyak_sgd": {},
    "rmsprop": {"momentum": 0.9, "centered": True},
    "scale": {"step_size": -0.5},
    "scale_by_factored_rms": {"min_dim_size_to_factor": 2},
    "scale_by_galore": {"rank": 2},
    "scale_by_schedule": {"step_size_fn": _decay},
    "selective_transform": {"freeze_mask": False},
    "sgd": {"momentum": 0.9, "nesterov": True},
    "snapshot": {"measure_name": "norm", "measure": _norm},
    "stateless": {"f": _halved},
    "stateless_with_tree_map": {"f": _half},
    "trace": {"decay": 0.9, "nesterov": True},
}
EXTRA = {
    name: {"value": 3.0}
    for name in ("polyak_sgd", "scale_by_polyak", "momo", "momo_adam", "reduce_on_plateau")
}
INNER = {"inner", "optimizer", "base_optimizer", "opt", "fast_optimizer"}


def arguments(name, library=ours):
    """Those of a factory, with an inner optimizer of one of the libraries where it takes one."""
    parameters = FACTORIES[name].declared_by.signature.parameters
    given = dict(ARGUMENTS.get(name, {}))
    if "learning_rate" in parameters:
        given.setdefault("learning_rate", RATE)
    required = {n for n, p in parameters.items() if p.default is p.empty}
    for inner in INNER & required:
        given[inner] = library.adam(RATE)
    if name == "partition":
        given["transforms"] = {"matrix": library.adam(RATE), "other": library.sgd(RATE)}
    if name == "sam":
        given["adv_optimizer"] = library.chain(library.contrib.normalize(), library.sgd(0.05))
    if name == "lookahead":
        given |= {"sync_period": 2, "slow_step_size": 0.5}
    if name.endswith("linesearch"):
        given[next(iter(required))] = 3
    return given


def made(name, library=ours, **changed):
    """The example of a factory."""
    if name == "chain":
        return library.chain(library.clip(1.0), library.adam(RATE))
    if name == "named_chain":
        return library.named_chain(("first", library.clip(1.0)), ("second", library.adam(RATE)))
    factory = FACTORIES[name] if library is ours else ORIGINALS[name]
    return factory(**{**arguments(name, library), **changed})
