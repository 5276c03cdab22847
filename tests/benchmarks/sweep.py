"""Sixteen learning rates: one compilation, or one vmapped program, against sixteen jits."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import RATES, libraries
from .timing import Row, interleave, row, timed

STEPS = 100


def measure(options: Any) -> Iterator[Row]:
    """Train a small network for each rate, compilation included."""
    if not options.picks("sweep", "16 rates"):
        return
    libs = libraries()
    ours = libs["optcore"]

    def sequential() -> float:
        jax.clear_caches()
        train = jax.jit(lambda tx: _train(ours, tx))
        return timed(lambda: [train(ours.adamw(rate)) for rate in RATES])

    def vmapped() -> float:
        jax.clear_caches()
        train = jax.jit(jax.vmap(lambda tx: _train(ours, tx)))
        return timed(lambda: train(ours.stack([ours.adamw(rate) for rate in RATES])))

    for name, run in (("one compilation", sequential), ("vmapped", vmapped)):
        runs = {"optcore": run}
        if "optax" in libs:
            runs["optax, 16 jits"] = lambda: _sixteen(libs["optax"])
        samples = interleave(runs, options.repeats, warmup=1)
        yield row("sweep", f"16 rates, {name}", samples, "compile included")


def _sixteen(lib: Any) -> float:
    jax.clear_caches()
    jits = [jax.jit(functools.partial(_train, lib, lib.adamw(rate))) for rate in RATES]
    return timed(lambda: [train() for train in jits])


def _train(lib: Any, tx: Any) -> jax.Array:
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "w1": 0.3 * jax.random.normal(keys[0], (16, 64)),
        "b1": jnp.zeros(64),
        "w2": 0.1 * jax.random.normal(keys[1], (64, 4)),
        "b2": jnp.zeros(4),
    }
    inputs = jax.random.normal(keys[2], (128, 16))
    targets = jax.random.normal(keys[3], (128, 4))

    def loss(params: Any) -> jax.Array:
        hidden = jnp.tanh(inputs @ params["w1"] + params["b1"])
        return jnp.mean((hidden @ params["w2"] + params["b2"] - targets) ** 2)

    def step(carry: Any, _: Any) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return (lib.apply_updates(params, updates), state), value

    _, values = jax.lax.scan(step, (params, tx.init(params)), length=STEPS)
    return values[-1]
