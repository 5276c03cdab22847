"""FTRL-Proximal against pytorch_optimizer, the box of McMahan et al. (2013), and Keras' form."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def ftrl_mcmahan_2013(
    w, grads, lr, l1=0.0, l2=0.0, beta=0.0, initial=0.0, power=-0.5, shrinkage=0.0
):
    """Algorithm 1, with a power for the root, an initial sum and Keras' shrinkage."""
    z, n = np.zeros_like(w), np.full(w.shape, initial)
    for g in grads:
        sigma = ((n + np.abs(g) ** 2) ** -power - n**-power) / lr
        z = z + g + shrinkage * w - sigma * w
        n = n + np.abs(g) ** 2
        size = np.abs(z)
        soft = z * np.maximum(1 - l1 / np.where(size > 0, size, 1), 0)
        w = -soft / ((beta + n**-power) / lr + l2)
        yield w


def ftrl_keras(w, grads, lr, power=-0.5, initial=0.1, l1=0.0, l2=0.0, shrinkage=0.0, beta=0.0):
    """The update as Keras and TensorFlow define it, where each strength of L2 counts twice."""
    linear, n = np.zeros_like(w), np.full(w.shape, initial)
    l2 = l2 + beta / (2 * lr)
    for g in grads:
        new = n + g**2
        linear = linear + g + 2 * shrinkage * w - (new**-power - n**-power) / lr * w
        quadratic = new**-power / lr + 2 * l2
        w, n = (np.clip(linear, -l1, l1) - linear) / quadratic, new
        yield w


UNUSUAL = {
    "paper": {"initial": 0.0, "beta": 0.7},
    "penalties": {"initial": 0.0, "l1": 0.8, "l2": 0.6, "beta": 0.3},
    "power": {"initial": 0.4, "power": -0.8, "shrinkage": 0.2},
}


@pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_ftrl(options):
    names = {
        "initial": "initial_accumulator_value",
        "power": "learning_rate_power",
        "shrinkage": "l2_shrinkage",
    }
    ours = {names.get(name, name): value for name, value in options.items()}
    oracles.agrees(
        optcore.ftrl(0.3, **ours), functools.partial(ftrl_mcmahan_2013, lr=0.3, **options)
    )


def test_the_arguments_of_keras_in_its_order():
    params = {"w": oracles.start()["w"]}
    grads = [{"w": g["w"]} for g in oracles.gradients()]
    oracle = functools.partial(ftrl_keras, lr=0.3)
    oracles.agrees(optcore.ftrl(0.3), oracle, params=params, grads=grads)
    strengths = {"l1": 0.5, "l2": 0.2, "shrinkage": 0.1, "beta": 0.4}
    oracle = functools.partial(ftrl_keras, lr=0.3, power=-0.6, initial=0.2, **strengths)
    tx = optcore.ftrl(0.3, -0.6, 0.2, 0.5, 2 * 0.2, 2 * 0.1, 0.4)
    oracles.agrees(tx, oracle, params=params, grads=grads)


def test_golden():
    tx = optcore.ftrl(0.1, initial_accumulator_value=0.0)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/FTRL{'lr': 0.1}")


def test_without_penalties_it_is_adagrad_also_when_the_rate_changes():
    def falling(count):
        return 0.3 / (1 + jnp.float32(count))

    params, grads = oracles.start(), oracles.gradients(6)
    ftrl = optcore.ftrl(falling, initial_accumulator_value=0.0)
    adagrad = optcore.adagrad(falling, initial_accumulator_value=0.0, eps=0.0)
    for a, b in zip(
        oracles.run(adagrad, params, grads), oracles.run(ftrl, params, grads), strict=True
    ):
        oracles.close(b, a, params, 5e-6)


def test_l1_makes_exact_zeros():
    params = {"w": np.zeros(50, np.float32)}
    tx = optcore.ftrl(0.1, l1=2.0)
    state, w = tx.init(params), params["w"]
    rng = np.random.default_rng(0)
    sums = np.zeros(50)
    for _ in range(3):
        g = rng.normal(size=50).astype(np.float32)
        u, state = tx.update({"w": g}, state, {"w": w})
        w = w + np.asarray(u["w"])
    # The sums stay those of the gradients as long as the weights are zero.
    sums = np.asarray(state.trace["w"]) / 0.1
    np.testing.assert_array_equal(w == 0, np.abs(sums) <= 2.0)
    assert 0 < (w == 0).sum() < 50


def test_a_weight_that_never_had_a_gradient_is_zero():
    tx = optcore.ftrl(0.1, initial_accumulator_value=0.0)
    w = jnp.array([2.0, -1.0])
    u, _ = tx.update(jnp.array([0.0, 1.0]), tx.init(w), w)
    np.testing.assert_allclose(w + u, [0.0, -1.1], rtol=1e-6)


def test_a_rate_of_zero_moves_no_weight():
    tx = optcore.ftrl(0.0, initial_accumulator_value=0.0)
    w = jnp.array([2.0, -1.0])
    u, _ = tx.update(jnp.array([3.0, 1.0]), tx.init(w), w)
    np.testing.assert_array_equal(u, 0.0)


def test_defaults():
    """Keras'."""
    assert oracles.defaults(optcore.ftrl) == {
        "learning_rate_power": -0.5, "initial_accumulator_value": 0.1,
        "l1": 0.0, "l2": 0.0, "l2_shrinkage": 0.0, "beta": 0.0,
    }  # fmt: skip


def test_the_sum_of_squares_is_real_and_starts_where_it_is_told():
    state = optcore.ftrl(0.1, initial_accumulator_value=0.3).init(jnp.ones(3, jnp.complex64))
    assert (state.trace.dtype, state.nu.dtype) == (jnp.complex64, jnp.float32)
    assert state.nu.tolist() == pytest.approx([0.3] * 3)
