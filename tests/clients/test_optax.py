"""optcore inside optax's chain, optax inside optcore's chain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

from . import Traces, assert_close, both_kinds, descend, load, quadratic, start

optax = load("optax")
load("optax.contrib")


@pytest.fixture(autouse=True)
def _standard_promotion():
    """optax's own arithmetic mixes dtypes: `optax.adam` alone raises under strict promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def _end(tx, steps=5):
    params = start()
    return descend(tx, params, tx.init(params), steps)[0]


# Updates agree to the last digits but for the order of operations in the bias correction, and
# b2 as a float32 array leaves 1 - b2 with a relative error of 6e-5.
TOLERANCE = 5e-5


@both_kinds
def test_adamw_inside_optax_chain(kind):
    ours = kind(optcore.adamw(0.1, weight_decay=0.02))
    pure = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1, weight_decay=0.02))
    assert_close(_end(optax.chain(optax.clip_by_global_norm(1.0), ours)), _end(pure), TOLERANCE)


@both_kinds
def test_optax_clip_inside_our_chain(kind):
    ours = kind(optcore.chain(optax.clip_by_global_norm(1.0), optcore.sgd(0.1, momentum=0.9)))
    pure = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9))
    assert_close(_end(ours), _end(pure))


@both_kinds
def test_optax_adam_inside_our_chain(kind):
    ours = kind(optcore.chain(optcore.clip_by_global_norm(1.0), optax.adam(1e-3)))
    pure = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    assert_close(_end(ours), _end(pure))


@both_kinds
def test_eager_mixed_chain_equals_jitted(kind):
    tx = kind(optcore.chain(optcore.clip_by_global_norm(1.0), optax.adam(1e-3)))
    params = start()
    grads = jax.grad(quadratic)(params)
    eager = tx.update(grads, tx.init(params), params)
    assert_close(eager, jax.jit(tx.update)(grads, tx.init(params), params))


@both_kinds
def test_our_chain_hands_the_value_to_optax(kind):
    plateau = optax.contrib.reduce_on_plateau(factor=0.5, patience=1, cooldown=0)
    tx = kind(optcore.chain(optcore.sgd(1.0), plateau))
    params = start()
    state = tx.init(params)
    update = jax.jit(tx.update)
    steps = []
    for value in (1.0, 2.0, 2.0, 2.0):
        updates, state = update(start(), state, params, value=jnp.float32(value))
        steps.append(float(-updates["w"][0, 1]))
    assert steps[0] == 1
    assert steps[-1] <= 0.5


def test_our_chain_keeps_extras_from_optax_that_takes_none():
    tx = optcore.chain(optax.scale(-0.5), optcore.scale(1.0))
    updates, _ = tx.update(start(), tx.init(start()), start(), value=jnp.float32(1.0))
    assert float(updates["w"][0, 1]) == -0.5


def _times_value():
    def update(updates, state, params=None, **extra):
        return jax.tree.map(lambda g: g * extra.get("value", 0.0), updates), state

    return optcore.chain(optcore.GradientTransformation(lambda params: (), update))


def test_optax_chain_drops_extras_on_the_way_to_ours():
    tx = optax.chain(optax.identity(), _times_value())
    updates, _ = tx.update(start(), tx.init(start()), start(), value=2.0)
    assert not np.any(updates["w"])


def test_optax_chain_hands_extras_to_ours_if_told_that_it_takes_them():
    ours = _times_value()
    tx = optax.chain(optax.identity(), optax.GradientTransformationExtraArgs(*ours))
    updates, _ = tx.update(start(), tx.init(start()), start(), value=2.0)
    assert float(updates["w"][0, 1]) == 2


@both_kinds
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_optax_apply_updates_of_ours(kind, dtype):
    tx = kind(optcore.adam(0.1))
    params = start(dtype)
    updates, _ = tx.update(jax.grad(quadratic)(params), tx.init(params), params)
    assert {u.dtype for u in updates.values()} == {jnp.dtype(jnp.float32)}
    theirs = optax.apply_updates(params, updates)
    ours = optcore.apply_updates(params, updates)
    for name in params:
        assert theirs[name].dtype == dtype
        np.testing.assert_array_equal(theirs[name], ours[name])


@both_kinds
def test_optax_adam_keeps_its_dtypes_in_our_chain(kind):
    tx = kind(optcore.chain(optcore.clip_by_global_norm(1.0), optax.adam(0.1)))
    params = start(jnp.bfloat16)
    state = tx.init(params)
    dtypes = [x.dtype for x in jax.tree.leaves(state)]
    traces = Traces()
    step = jax.jit(traces.counted(tx.update))
    for _ in range(3):
        updates, state = step(start(jnp.float32), state, params)
        params = optcore.apply_updates(params, updates)
    assert [x.dtype for x in jax.tree.leaves(state)] == dtypes
    assert {p.dtype for p in params.values()} == {jnp.dtype(jnp.bfloat16)}
    assert traces.count == 1
