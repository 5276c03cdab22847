"""Lion against pytorch_optimizer, optax and algorithm 2 of arXiv 2302.06675."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named
from tests.optimizers.momentum.test_sign_sgd import sign


def smooth(c, beta):
    return sign(c) * np.tanh(beta * np.abs(c))


def refined(c):
    return sign(c) * np.minimum(np.abs(c), 1)


def lion_2302_06675(w, grads, lr, b1, b2, decay=0.0, sign=sign):
    m = np.zeros_like(w)
    for g in grads:
        c = b1 * m + (1 - b1) * g
        w = w - lr * (sign(c) + decay * w)
        m = b2 * m + (1 - b2) * g
        yield w


@pytest.mark.parametrize("betas", [(0.6, 0.8), (0.9, 0.3), (0.0, 0.0)])
@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_lion(betas, decay):
    oracle = functools.partial(lion_2302_06675, lr=0.03, b1=betas[0], b2=betas[1], decay=decay)
    oracles.agrees(optcore.lion(0.03, *betas, weight_decay=decay), oracle)


@pytest.mark.parametrize(
    ("mode", "sign"),
    [("smooth", functools.partial(smooth, beta=0.6)), ("refined", refined)],
    ids=["smooth", "refined"],
)
def test_modes(mode, sign):
    tx = optcore.optimizers.scale_by_lion(0.6, 0.8, mode=mode, smooth_beta=0.6)
    oracles.agrees(tx, functools.partial(lion_2302_06675, lr=-1, b1=0.6, b2=0.8, sign=sign))
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(4)]
    *_, got = oracles.run(tx, params, grads)
    theirs = optax.scale_by_lion(0.6, 0.8, mode=mode, smooth_beta=0.6)
    *_, expected = oracles.run(theirs, params, grads)
    oracles.close(got, expected, params)


@pytest.mark.parametrize("mode", ["smooth", "refined"])
def test_derivatives_of_the_softer_modes(mode):
    tx = optcore.optimizers.scale_by_lion(0.0, 0.5, mode=mode, smooth_beta=0.5)

    def total(g):
        return tx.update(g, tx.init(g))[0].real.sum()

    for zero in (jnp.zeros(2), jnp.zeros(2, jnp.complex64)):
        slope = 0.5 if mode == "smooth" else 1.0
        np.testing.assert_allclose(jax.grad(total)(zero), slope, rtol=1e-6)


def test_golden():
    tx = optcore.lion(0.01, weight_decay=0.0)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/Lion{'lr': 0.01}")


def test_the_mask_says_what_decays():
    w = {"a": jnp.ones(2), "b": jnp.ones(2)}
    zeros = jax.tree.map(jnp.zeros_like, w)
    tx = optcore.lion(0.5, weight_decay=0.5, mask={"a": True, "b": False})
    step, _ = tx.update(zeros, tx.init(w), w)
    np.testing.assert_array_equal(step["a"], [-0.25, -0.25])
    np.testing.assert_array_equal(step["b"], [0.0, 0.0])


def test_mu_dtype():
    w = jnp.zeros(3)
    for tx in (
        optcore.optimizers.scale_by_lion(mu_dtype=jnp.bfloat16),
        optcore.lion(0.1, 0.9, 0.9, "bfloat16"),
    ):
        (mu,) = jax.tree.leaves(tx.update(w, tx.init(w), w)[1])
        assert mu.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["lion", "scale_by_lion"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


def test_the_old_average_is_not_copied():
    """With the usual decays the direction is computed from the new average."""
    w = jnp.ones((512, 512))
    bytes_of_copies = []
    for b2 in (0.99, 0.5):
        tx = optcore.lion(0.1, 0.9, b2)

        def step(w, state, g, tx=tx):
            updates, state = tx.update(g, state, params=w)
            return optcore.apply_updates(w, updates), state

        compiled = jax.jit(step, donate_argnums=(0, 1)).lower(w, tx.init(w), w).compile()
        bytes_of_copies.append(compiled.memory_analysis().temp_size_in_bytes)
    assert bytes_of_copies[0] < 0.1 * w.nbytes
    if jax.default_backend() == "cpu":
        assert bytes_of_copies[1] > 0.9 * w.nbytes


def test_a_short_memory_does_not_cancel():
    """From the new average, with `b1 / b2` = 9000, half of the digits would be lost."""
    tx = optcore.optimizers.scale_by_lion(0.9, 1e-4, mode="smooth", smooth_beta=0.6)
    oracle = functools.partial(
        lion_2302_06675, lr=-1, b1=0.9, b2=1e-4, sign=functools.partial(smooth, beta=0.6)
    )
    oracles.agrees(tx, oracle)


@pytest.mark.parametrize("which", [0, 1])
def test_either_decay_may_be_traced(which):
    betas = [0.6, 0.8]
    g = jnp.array([0.3, -2.0])

    def last(beta):
        tx = optcore.optimizers.scale_by_lion(
            *betas[:which], beta, *betas[which + 1 :], mode="refined"
        )
        state = tx.init(g)
        for scale in (1.0, -0.5):
            updates, state = tx.update(scale * g, state)
        return updates

    np.testing.assert_allclose(jax.jit(last)(betas[which]), last(betas[which]), rtol=1e-6)
