"""The compiler does not compute values that are known before a run."""

import time

import jax
import jax.numpy as jnp
import pytest

import optcore

KEY = jax.random.key(3)
SIZE = 1024
MAKE = {
    "int8": lambda tx: optcore.store(tx, "int8"),
    "int8_softsign": lambda tx: optcore.store(tx, "int8_softsign"),
    "int4": lambda tx: optcore.store(tx, "int4"),
    "fp8": lambda tx: optcore.store(tx, "fp8"),
    "bf16": lambda tx: optcore.store(tx, "bf16", key=KEY),
    "stochastic_rounding": lambda tx: optcore.stochastic_rounding(tx, key=KEY),
    "add_noise": lambda tx: optcore.chain(optcore.add_noise(0.1, 0.5, KEY), tx),
}


def compile_time(function, *shapes):
    lowered = jax.jit(function).lower(*shapes)
    start = time.process_time()
    lowered.compile()
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKE)
def test_init_inside_jit_takes_the_compiler_no_long_time(name):
    before = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        inner, tx = optcore.adamw(1e-3), MAKE[name](optcore.adamw(1e-3))

        def train(tx, w):
            state = tx.init(w)
            for _ in range(2):
                updates, state = tx.update(w, state, w)
                w = optcore.apply_updates(w, updates)
            return w, state

        large = jax.ShapeDtypeStruct((SIZE, SIZE), jnp.bfloat16)
        # A second more, where the other takes next to nothing.
        most = 20 * compile_time(lambda w: train(inner, w), large) + 1
        assert compile_time(tx.init, large) < most
        assert compile_time(lambda w: train(tx, w), large) < most
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
