"""Yogi against its box, pytorch_optimizer and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def yogi_2018(w, grads, lr, b1, b2, eps, eps_root=0.0, initial=0.0):
    """Algorithm 2, with the bias correction and the start of TensorFlow's code."""
    m, v = np.full_like(w, initial), np.full(w.shape, initial)
    for t, g in enumerate(grads, start=1):
        square = np.abs(g) ** 2
        m = b1 * m + (1 - b1) * g
        v = v - (1 - b2) * np.sign(v - square) * square
        w = w - lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "eps": 0.1},
    "both": {"b1": 0.7, "b2": 0.6, "eps": 0.1, "eps_root": 0.3, "initial": 0.5},
    "falling": {"b1": 0.5, "b2": 0.9, "eps": 1e-3, "initial": 7.0},
    "long": {"b1": 0.95, "b2": 0.9999, "eps": 1e-3, "initial": 1e-6},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


def ours(options):
    options = dict(options)
    return {"initial_accumulator_value": options.pop("initial", 0.0), **options}


@unusual
def test_yogi(options):
    oracle = functools.partial(yogi_2018, lr=0.03, **options)
    oracles.agrees(optcore.yogi(0.03, **ours(options)), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(yogi_2018, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_yogi(**ours(options)), oracle)


def test_golden():
    oracles.matches_golden(optcore.yogi(0.01), "pytorch_optimizer-4.1.0/Yogi{'lr': 0.01}")


def test_optax():
    params, grads = oracles.start(), oracles.gradients(6)
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.scale_by_yogi(0.7, 0.6, 0.1, 0.3, 0.5), params, grads)
    *_, got = oracles.run(optcore.optimizers.scale_by_yogi(0.7, 0.6, 0.1, 0.3, 0.5), params, grads)
    oracles.close(got, expected, params)


def test_the_second_moment_changes_by_the_gradient_alone():
    """`|v_t - v_{t-1}| = (1 - b2) g²`, towards `g²`."""
    tx = optcore.optimizers.scale_by_yogi(b2=0.75)
    rng = np.random.default_rng(7)
    state = tx.init(jnp.zeros(8))
    for g in rng.normal(size=(20, 8)):
        v = np.asarray(state.nu)
        _, state = tx.update(jnp.asarray(g), state)
        change = np.asarray(state.nu) - v
        np.testing.assert_allclose(change, np.sign(g**2 - v) * 0.25 * g**2, rtol=1e-4, atol=1e-6)
        assert (state.nu >= 0).all()


def test_a_second_moment_that_is_met_stays():
    tx = optcore.optimizers.scale_by_yogi(b2=0.5, initial_accumulator_value=4.0)
    _, state = tx.update(jnp.array([2.0, -2.0]), tx.init(jnp.zeros(2)))
    np.testing.assert_array_equal(state.nu, [4.0, 4.0])


def test_from_nothing_what_has_never_had_a_gradient_stays():
    tx = optcore.optimizers.scale_by_yogi(eps=0.0, initial_accumulator_value=0.0)
    g = jnp.array([0.0, 3.0])

    def second(g):
        _, state = tx.update(g, tx.init(g))
        return tx.update(g, state)[0]

    assert second(g)[0] == 0
    assert np.isfinite(jax.jacobian(second)(g)).all()


def test_state():
    state = optcore.optimizers.scale_by_yogi(initial_accumulator_value=0.5).init(
        {"z": jnp.ones(1, jnp.complex64)}
    )
    assert state.count == 0
    assert state.nu["z"].dtype == jnp.float32
    np.testing.assert_array_equal(state.mu["z"], [0.5 + 0j])
    np.testing.assert_array_equal(state.nu["z"], [0.5])


@pytest.mark.parametrize("name", ["yogi", "scale_by_yogi"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
