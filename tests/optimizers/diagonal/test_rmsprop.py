"""RMSProp against torch, Hinton's lecture and Graves' equations."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def rmsprop_1308_0850(
    w, grads, rate, decay, eps, initial=0.0, inside=True, centered=False, momentum=0.0,
    nesterov=False, correct=False, rate_outside=False,
):  # fmt: skip
    """Equations 38-45, with the options of TensorFlow, optax and torch."""
    m, v, b = np.zeros_like(w), np.full(w.shape, initial), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = decay * m + (1 - decay) * g
        v = decay * v + (1 - decay) * np.abs(g) ** 2
        c = 1 - decay**t if correct else 1
        s = np.maximum(v / c - np.abs(m / c) ** 2, 0) if centered else v / c
        u = g / (np.sqrt(s + eps) if inside else np.sqrt(s) + eps)
        before, after = (1, rate(t)) if rate_outside else (rate(t), 1)
        b = momentum * b + before * u
        w = w - after * (momentum * b + before * u if nesterov else b)
        yield w


def constant(t):
    return 0.04


FLAGS = [
    (centered, initial, inside, correct)
    for centered, initial, inside, correct in itertools.product(
        [False, True], [0.0, 0.6], [True, False], [False, True]
    )
    # Here the first step divides by √(g² - g²) + eps, and the root of a rounding error is much
    # larger than one.
    if not (centered and initial == 0 and correct and not inside)
]


@pytest.mark.parametrize(("centered", "initial", "inside", "correct"), FLAGS)
def test_rmsprop(centered, initial, inside, correct):
    oracle = functools.partial(
        rmsprop_1308_0850, decay=0.7, eps=0.15, initial=initial, inside=inside,
        centered=centered, correct=correct,
    )  # fmt: skip
    # The derivative of √(v - m²) is large where the difference nearly cancels.
    tolerance = 1e-5 if centered else 2e-6
    tx = optcore.rmsprop(0.04, 0.7, 0.15, initial, inside, centered, bias_correction=correct)
    oracles.agrees(tx, functools.partial(oracle, rate=constant), tolerance=tolerance)
    direction = optcore.optimizers.scale_by_stddev if centered else optcore.scale_by_rms
    tx = direction(0.7, 0.15, initial, inside, correct)
    oracles.agrees(tx, functools.partial(oracle, rate=lambda t: -1.0), tolerance=tolerance)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum(nesterov):
    tx = optcore.rmsprop(0.04, 0.7, 0.15, momentum=0.6, nesterov=nesterov)
    oracles.agrees(
        tx,
        lambda w, g: rmsprop_1308_0850(w, g, constant, 0.7, 0.15, momentum=0.6, nesterov=nesterov),
    )


@pytest.mark.parametrize("nesterov", [False, True])
def test_under_a_changing_rate_the_order_decides(nesterov):
    rate = optcore.exponential_decay(0.2, 1, 0.5)
    options = {"decay": 0.7, "eps": 0.15, "momentum": 0.8, "nesterov": nesterov}
    oracle = functools.partial(rmsprop_1308_0850, rate=lambda t: 0.2 * 0.5 ** (t - 1), **options)
    grads = oracles.gradients(6)
    oracles.agrees(optcore.rmsprop(rate, **options), oracle, grads=grads)
    torch = optcore.chain(
        optcore.scale_by_rms(0.7, 0.15),
        optcore.trace(0.8, nesterov),
        optcore.scale_by_learning_rate(rate),
    )
    oracles.agrees(torch, functools.partial(oracle, rate_outside=True), grads=grads)
    w = np.zeros(3)
    g = list(np.random.default_rng(0).normal(size=(6, 3)))
    apart = list(oracle(w, g))[-1] - list(oracle(w, g, rate_outside=True))[-1]
    assert np.abs(apart).max() > 0.05


def test_golden():
    tx = optcore.rmsprop(
        0.01, 0.99, 1e-8, initial_scale=0.0, eps_in_sqrt=False, centered=True, momentum=0.9
    )
    oracles.matches_golden(tx, "torch.optim/RMSprop(lr=.01,momentum=.9,centered)")


def test_golden_with_a_corrected_average():
    tx = optcore.rmsprop(0.01, 0.99, eps_in_sqrt=False, bias_correction=True)
    oracles.matches_golden(tx, "heavyball-3.2.1/RMSprop{'lr': 0.01}")


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("direction", [optcore.scale_by_rms, optcore.optimizers.scale_by_stddev])
def test_what_has_never_had_a_gradient_stays(direction, inside):
    tx = direction(0.75, 0.0, eps_in_sqrt=inside)
    g = jnp.array([0.0, 3.0])
    u, _ = tx.update(g, tx.init(g))
    root = np.sqrt(0.25 if direction is optcore.scale_by_rms else 0.25 - 0.25**2)
    np.testing.assert_allclose(u, [0.0, 1 / root], rtol=1e-6)
    jacobian = jax.jacobian(lambda g: tx.update(g, tx.init(g))[0])(g)
    assert np.isfinite(jacobian).all()


def test_the_variance_is_never_negative():
    """For a constant gradient v - m² is 0, and what rounding leaves may have either sign."""
    tx = optcore.optimizers.scale_by_stddev(0.9, 1e-8, bias_correction=True)
    g = jnp.linspace(0.1, 30, 64)
    state = tx.init(g)
    for _ in range(20):
        u, state = tx.update(g, state)
        # √eps is the least that stands below the line.
        assert (u <= g * 1e4 * (1 + 1e-6)).all()
        assert (u > 0).all()


def test_scaling_all_gradients_changes_nothing():
    params, grads = oracles.start(), oracles.gradients(5)
    larger = [{name: 1024 * x for name, x in g.items()} for g in grads]
    for centered in (False, True):
        tx = optcore.rmsprop(0.1, eps=0.0, centered=centered)
        *_, a = oracles.run(tx, params, grads)
        *_, b = oracles.run(tx, params, larger)
        for name in params:
            np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("direction", [optcore.scale_by_rms, optcore.optimizers.scale_by_stddev])
def test_state(direction):
    params = {"w": jnp.ones(2, jnp.bfloat16), "z": jnp.ones(1, jnp.complex64)}
    grads = {"w": jnp.array([1.0, 2.0]), "z": jnp.array([3 + 4j])}
    assert direction().init(params).count is None
    tx = direction(0.75, initial_scale=0.5, bias_correction=True)
    state = tx.init(params)
    assert state.count == 0
    assert state.count.dtype == jnp.int32
    assert {k: v.dtype for k, v in state.nu.items()} == {"w": jnp.float32, "z": jnp.float32}
    np.testing.assert_array_equal(state.nu["w"], [0.5, 0.5])
    _, state = tx.update(grads, state)
    _, state = tx.update(grads, state)
    assert state.count == 2
    weight = 1 - 0.75**2
    np.testing.assert_allclose(state.nu["z"], [0.5 * 0.75**2 + 25 * weight], rtol=1e-6)
    if direction is optcore.optimizers.scale_by_stddev:
        assert {k: v.dtype for k, v in state.mu.items()} == {
            "w": jnp.float32,
            "z": jnp.complex64,
        }
        np.testing.assert_allclose(state.mu["w"], weight * grads["w"], rtol=1e-6)


@pytest.mark.parametrize("name", ["rmsprop", "scale_by_rms", "scale_by_stddev"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
