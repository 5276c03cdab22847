"""AdEMAMix and its simplification against their papers, pytorch_optimizer, HeavyBall and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def ademamix_2409_03137(w, grads, lr, b1, b2, b3, alpha, eps, eps_root=0.0, decay=0.0):
    """Algorithm 1 (its grey lines, the schedules, are functions of `t`)."""
    m1, m2, v = np.zeros_like(w), np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        slow = b3(t) if callable(b3) else b3
        weight = alpha(t) if callable(alpha) else alpha
        m1 = b1 * m1 + (1 - b1) * g
        m2 = slow * m2 + (1 - slow) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        m1_hat, v_hat = m1 / (1 - b1**t), v / (1 - b2**t)
        w = w - lr * ((m1_hat + weight * m2) / (np.sqrt(v_hat + eps_root) + eps) + decay * w)
        yield w


def simplified_2502_02431(w, grads, lr, b1, b2, alpha, eps, eps_root=0.0, decay=0.0):
    """Simplified AdEMAMix with Adam's correction of the second moment."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        v_hat = v / (1 - b2**t)
        w = w - lr * ((m + alpha * g) / (np.sqrt(v_hat + eps_root) + eps) + decay * w)
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "b3": 0.6, "alpha": 2.0, "eps": 0.1},
    "both": {"b1": 0.3, "b2": 0.9, "b3": 0.9, "alpha": 0.5, "eps": 0.1, "eps_root": 0.3},
    "no_memory": {"b1": 0.0, "b2": 0.0, "b3": 0.0, "alpha": 3.0, "eps": 0.2},
    "long": {"b1": 0.99, "b2": 0.9999, "b3": 0.999, "alpha": 8.0, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


def simplified(options):
    """The same without the second average."""
    return {name: value for name, value in options.items() if name != "b3"}


@unusual
def test_ademamix(options):
    oracle = functools.partial(ademamix_2409_03137, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.ademamix(0.03, weight_decay=0.7, **options), oracle)


@unusual
def test_simplified_ademamix(options):
    options = simplified(options)
    oracle = functools.partial(simplified_2502_02431, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.simplified_ademamix(0.03, weight_decay=0.7, **options), oracle)


def test_the_directions_have_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(ademamix_2409_03137, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_ademamix(**options), oracle)
    oracle = functools.partial(simplified_2502_02431, lr=-1, **simplified(options))
    oracles.agrees(optcore.optimizers.scale_by_simplified_ademamix(**simplified(options)), oracle)


def test_both_warm_up():
    steps, b1, b3, alpha = 12, 0.7, 0.99, 5.0

    def half_life(b):
        return np.log(0.5) / np.log(b) - 1

    def slow(t):
        part = min(t / steps, 1)
        return 0.5 ** (1 / ((1 - part) * half_life(b1) + part * half_life(b3) + 1))

    options = {"b1": b1, "b2": 0.9, "eps": 0.1}
    oracle = functools.partial(
        ademamix_2409_03137,
        lr=0.03,
        b3=slow,
        alpha=lambda t: min(t / steps, 1) * alpha,
        **options,
    )
    tx = optcore.ademamix(
        0.03,
        b3=optcore.schedules.ademamix_b3_schedule(b1, b3, steps),
        alpha=optcore.schedules.ademamix_alpha_schedule(alpha, steps),
        **options,
    )
    # A scheduled decay is a float32, of which `1 - b3` keeps 1e-7 / (1 - b3).
    oracles.agrees(tx, oracle, tolerance=1e-5)


@pytest.mark.parametrize(
    ("key", "alpha"),
    [
        ("pytorch_optimizer-4.1.0/AdEMAMix{'lr': 0.01}", 5.0),
        ("heavyball-3.2.1/AdEMAMix{'lr': 0.01}", 2.0),
    ],
)
def test_golden(key, alpha):
    oracles.matches_golden(optcore.ademamix(0.01, alpha=alpha), key)


def test_golden_of_the_simplification():
    """pytorch_optimizer averages where the paper sums, and corrects `v` twice.

    That is our step times `(1 - b1) / (1 - b2^t)`.
    """

    def rate(count):
        return 0.001 * (1 - 0.99) / optcore.debias(0.95, count + 1)

    # The golden parameters are float32, and hardly move.
    key = "pytorch_optimizer-4.1.0/SimplifiedAdEMAMix{'lr': 0.001}"
    oracles.matches_golden(optcore.simplified_ademamix(rate), key, tolerance=3e-4)


@pytest.mark.parametrize("name", ["ademamix", "simplified_ademamix"])
def test_optax(name):
    options = {"b1": 0.7, "b2": 0.9, "alpha": 0.5, "eps": 0.1, "eps_root": 0.3, "weight_decay": 0.7}
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    ours = oracles.run(named(name)(0.1, **options), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        theirs = list(oracles.run(getattr(optax.contrib, name)(0.1, **options), params, grads))
    for got, want in zip(ours, theirs, strict=True):
        oracles.close(got, want, params)


def test_without_the_slow_average_it_is_adam():
    params, grads = oracles.start(), oracles.gradients(5)
    ours = oracles.run(optcore.optimizers.scale_by_ademamix(0.7, 0.9, 0.5, 0.0, 0.1), params, grads)
    adam = oracles.run(optcore.scale_by_adam(0.7, 0.9, 0.1), params, grads)
    for got, want in zip(ours, adam, strict=True):
        oracles.close(got, want, params)


def test_state():
    g = {"z": jnp.full(2, 3 + 4j, jnp.complex64)}
    tx = optcore.optimizers.scale_by_ademamix(0.75, 0.5, 0.5, mu_dtype=jnp.float32)
    _, state = tx.update(g, tx.init(g))
    assert state.count == 1
    np.testing.assert_array_equal(state.mu["z"], np.full(2, 0.75 + 1j))
    np.testing.assert_array_equal(state.mu_slow["z"], np.full(2, 1.5 + 2j))
    np.testing.assert_array_equal(state.nu["z"], np.full(2, 12.5))
    narrow = optcore.ademamix(0.1, mu_dtype=jnp.bfloat16).init(jnp.ones(2))[0]
    assert (narrow.mu.dtype, narrow.mu_slow.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert narrow.nu.dtype == jnp.float32


@pytest.mark.parametrize("name", ["ademamix", "simplified_ademamix"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax.contrib, name))
    direction = f"scale_by_{name}"
    oracles.same_defaults(named(direction), getattr(optax.contrib, direction))
