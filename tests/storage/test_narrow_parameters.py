"""What the wrappers of narrow parameters have in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing
from optcore.storage._rounding import join_bits, split_bits
from tests.storage.narrow import DTYPES, across_exponents, bits, conformance, walk

KEY = jax.random.key(5)
WRAPPERS = {
    "master_weights": optcore.master_weights,
    "kahan": optcore.kahan,
    "split_16": optcore.split_weights,
    "split_8": lambda inner: optcore.split_weights(inner, 8),
    "stochastic_rounding": lambda inner: optcore.stochastic_rounding(inner, key=KEY),
}
wrappers = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


SMALL_STEPS = {
    # Rounded once at the end: half a spacing above 0.5.
    "master_weights": 2**-9,
    "split_16": 2**-9,
    # And each step rounds a compensation of at most 2⁻⁹ to 8 digits: 2⁻¹⁹ on average.
    "kahan": 2**-9 + 500 * 2**-19,
    # And each step rounds to 16 digits, here always to the same side.
    "split_8": 2**-9 + 500 * 2**-17,
}


def test_small_steps_are_lost_without_help():
    w, _ = walk(optcore.sgd(1.0), jnp.ones(3, jnp.bfloat16), jnp.full((500, 3), 1e-3))
    assert w.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", SMALL_STEPS)
def test_small_steps_arrive(name):
    """500 steps of -1e-3 lead from 1 to 0.5."""
    tx = WRAPPERS[name](optcore.sgd(1.0))
    w, _ = walk(tx, jnp.ones((), jnp.bfloat16), jnp.full(500, 1e-3))
    assert abs(w.item() - 0.5) <= SMALL_STEPS[name]


def test_small_steps_arrive_on_average():
    """By chance: 5 sigma for each weight, and for their mean."""
    count = 4096
    tx = optcore.stochastic_rounding(optcore.sgd(1.0), key=KEY)
    w, _ = walk(tx, jnp.ones(count, jnp.bfloat16), jnp.full((500, count), 1e-3))
    w = np.asarray(w, np.float64)
    share, spacing = 1e-3 * 2**8, 2**-8
    sigma = spacing * np.sqrt(500 * share * (1 - share))
    assert np.abs(w - 0.5).max() <= 5 * sigma
    assert abs(w.mean() - 0.5) <= 5 * sigma / np.sqrt(count)


def pairs(dtype):
    """Parameters and steps: to a little, to much, through zero, from and to zero."""
    low, high = (-60, 60) if dtype == jnp.bfloat16 else (-8, 8)
    p = jnp.asarray(across_exponents(20_000, low, high, 0)).astype(dtype)
    ratio = across_exponents(20_000, -14 if dtype == jnp.bfloat16 else -11, 7, 1)
    target = np.asarray(p, np.float32) * ratio
    p = jnp.concatenate([p, p[:4], jnp.zeros(4, dtype)])
    target = np.concatenate([target, np.zeros(4, np.float32), target[:4]])
    return p, jnp.asarray(target)


def optax_apply(params, updates):
    optax = pytest.importorskip("optax", reason="optax's apply_updates is what Flax calls")
    with jax.numpy_dtype_promotion("standard"):
        return optax.apply_updates(params, updates)


@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "eager"])
@pytest.mark.parametrize("apply", [optcore.apply_updates, optax_apply], ids=["ours", "optax"])
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_parameter_is_the_rounded_master(dtype, apply, compiled):
    p, target = pairs(dtype)
    tx = optcore.master_weights(optcore.scale(1.0))

    def step(p):
        state = tx.init(p)
        updates, state = tx.update(target - p.astype(jnp.float32), state, p)
        return apply(p, updates), state.master

    moved, master = (jax.jit(step) if compiled else step)(p)
    assert moved.dtype == dtype
    assert np.isfinite(np.asarray(moved, np.float32)).all()
    np.testing.assert_array_equal(bits(moved), bits(master.astype(dtype)))


@pytest.mark.parametrize("count", [8, 16])
def test_parameter_and_bits_are_the_master(count):
    p, target = pairs(jnp.bfloat16)
    tx = optcore.split_weights(optcore.scale(1.0), count)
    wide = p.astype(jnp.float32)
    updates, state = tx.update(target - wide, tx.init(p), p)
    moved = optcore.apply_updates(p, updates)
    expected, rest = split_bits(wide + (target - wide), count)
    np.testing.assert_array_equal(bits(moved), bits(expected.astype(jnp.bfloat16)))
    np.testing.assert_array_equal(state.residual, rest)
    if count == 16:
        np.testing.assert_array_equal(join_bits(moved, state.residual), wide + (target - wide))


def test_split_walks_like_master():
    """Two forms of the same float32 number."""
    rng = np.random.default_rng(0)
    grads = jnp.asarray(rng.standard_normal((50, 64)), jnp.float32)
    w = jnp.asarray(rng.standard_normal(64), jnp.bfloat16)
    adam = optcore.adamw(1e-3, weight_decay=0.1)
    ours, state = walk(optcore.split_weights(adam), w, grads)
    theirs, expected = walk(optcore.master_weights(adam), w, grads)
    np.testing.assert_array_equal(join_bits(ours, state.residual), expected.master)
    np.testing.assert_array_equal(ours, theirs)


@wrappers
def test_wide_parameters_take_the_same_steps(wrap):
    params = {"f32": jnp.float32([1.0, -2.0]), "c64": jnp.complex64([1 + 1j]), "step": jnp.int32(3)}
    grads = {"f32": jnp.float32([0.1, 1e-9]), "c64": jnp.complex64([0.5j]), "step": None}
    inner = optcore.adam(1e-3)
    expected, _ = inner.update(grads, inner.init(params), params)
    got, _ = wrap(inner).update(grads, wrap(inner).init(params), params)
    for name in ("f32", "c64"):
        np.testing.assert_array_equal(got[name], expected[name])


@wrappers
def test_missing_parameters(wrap):
    tx = wrap(optcore.sgd(0.1))
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


@wrappers
def test_frozen_parameter_keeps_what_it_has(wrap):
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)}
    tx = wrap(optcore.sgd(1.0))
    grads = {"a": jnp.full(2, 1e-3), "b": jnp.full(2, 1e-3)}
    updates, state = tx.update(grads, tx.init(params), params)
    params = optcore.apply_updates(params, updates)
    _, after = tx.update({**grads, "a": None}, state, params)
    for field in ("master", "residual"):
        if hasattr(state, field):
            np.testing.assert_array_equal(getattr(after, field)["a"], getattr(state, field)["a"])


@wrappers
def test_derivative_by_the_learning_rate(wrap):
    """Rounding counts as the identity: three steps along gradients that sum to 6."""

    def end(rate):
        tx = wrap(optcore.sgd(rate))
        w = jnp.ones(2, jnp.bfloat16)
        state = tx.init(w)
        for g in (1.0, 2.0, 3.0):
            updates, state = tx.update(jnp.full(2, g), state, w)
            w = optcore.apply_updates(w, updates)
        return w.astype(jnp.float32).sum()

    assert jax.grad(end)(jnp.float32(1e-3)).item() == pytest.approx(-12, rel=0.01)


def subjects(inner):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), testing.Subject("", None).params)
    return {
        name: testing.Subject(
            f"{name} of {inner.declaration.name}", wrap(inner), params, descends=True
        )
        for name, wrap in WRAPPERS.items()
    }


ADAM = subjects(optcore.adam(0.01))
MOMENTUM = subjects(optcore.sgd(0.1, momentum=0.9))


@pytest.mark.parametrize(("check", "subject"), conformance(ADAM, MOMENTUM))
def test_conformance_of_bfloat16_parameters(check, subject):
    check(subject)
