"""RAdam against torch and the box of arXiv 1908.03265."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def length(b2, t):
    """ρ_t of the paper, and its limit."""
    limit = 2 / (1 - b2) - 1
    return limit - 2 * t * b2**t / (1 - b2**t), limit


def rectification(b2, t):
    """r_t of the paper."""
    rho, limit = length(b2, t)
    return np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))


def radam_1908_03265(w, grads, lr, b1, b2, eps, eps_root=0.0, threshold=5.0, nesterov=False):
    """Algorithm 2, with both epsilons, the threshold of its code and Dozat's look ahead."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        u = m / (1 - b1**t)
        if nesterov:
            u = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        if length(b2, t)[0] >= threshold:
            u = rectification(b2, t) * u / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        w = w - lr * u
        yield w


UNUSUAL = {
    "short": {"b1": 0.8, "b2": 0.8, "eps": 0.1},
    "both": {"b1": 0.7, "b2": 0.95, "eps": 0.1, "eps_root": 0.3},
    "paper": {"b1": 0.6, "b2": 0.9, "eps": 1e-3, "threshold": 4.0},
    "patient": {"b1": 0.5, "b2": 0.99, "eps": 1e-3, "threshold": 12.5},
    "never": {"b1": 0.5, "b2": 0.6, "eps": 1e-3},
    "no_memory": {"b1": 0.0, "b2": 0.0, "eps": 0.2},
    "long": {"b1": 0.99, "b2": 0.99999, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_radam(options):
    oracle = functools.partial(radam_1908_03265, lr=0.03, **options)
    oracles.agrees(optcore.radam(0.03, **options), oracle)


def test_nesterov():
    options = {**UNUSUAL["both"], "nesterov": True}
    oracle = functools.partial(radam_1908_03265, lr=0.03, **options)
    oracles.agrees(optcore.radam(0.03, **options), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(radam_1908_03265, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_radam(**options), oracle)


def test_golden():
    oracles.matches_golden(optcore.radam(0.01), "torch.optim/RAdam(lr=.01)")


@pytest.mark.parametrize("b2", [0.7, 0.9, 0.99, 0.999, 0.9999])
def test_the_rectification_keeps_its_digits(b2):
    """At every step, where in float32 the paper's difference would lose up to four of them."""
    tx = optcore.optimizers.scale_by_radam(0.0, b2, 0.0)

    def at(t):
        state = tx.init(jnp.float32(0.0))._replace(count=t - 1, nu=optcore.debias(b2, t - 1))
        return tx.update(jnp.float32(1.0), state)[0]

    steps = [5, 6, 7, 40, 1000, 100_000, 2**31 - 2]
    expected = [rectification(b2, t) if length(b2, t)[0] >= 5 else 1.0 for t in steps]
    got = jax.jit(jax.vmap(at))(jnp.array(steps, jnp.int32))
    np.testing.assert_allclose(got, expected, rtol=2e-6)


def test_a_traced_decay_starts_to_adapt_at_the_same_step():
    """ρ_5 is 5 - 8 (1 - b2): the difference of the paper's formula is noise by then."""

    @jax.jit
    def fifth(b2):
        tx = optcore.optimizers.scale_by_radam(0.0, b2)
        state = tx.init(jnp.float32(0.0))._replace(count=jnp.int32(4))
        return tx.update(jnp.float32(3.0), state)[0]

    for b2 in (0.99, 0.999, 0.9999, 0.99999):
        assert fifth(b2) == pytest.approx(3.0, rel=1e-6)


def test_gradients_are_finite_on_both_sides_of_the_threshold():
    g = jnp.array([0.0, 3.0])

    def after(b2, threshold):
        tx = optcore.optimizers.scale_by_radam(0.9, b2, threshold=threshold)
        state = tx.init(g)
        for _ in range(7):
            u, state = tx.update(g, state)
        return u.sum()

    slope = jax.jit(jax.grad(after, argnums=(0, 1)))
    for b2 in (0.0, 0.3, 0.5, 0.6, 0.9, 0.999):
        assert np.isfinite(slope(b2, 5.0)).all()


def test_the_threshold_is_where_the_variance_is_finite():
    """Below 4 the rectification would be the root of a negative number."""
    grads = [jnp.array([1.0, -2.0]), jnp.array([0.5, 3.0])] * 4
    paths = []
    for threshold in (0.0, 3.0, 4.0):
        tx, path = optcore.radam(0.1, b2=0.9, threshold=threshold), []
        state = tx.init(grads[0])
        for g in grads:
            update, state = tx.update(g, state)
            path.append(update)
        paths.append(np.stack(path))
    assert np.isfinite(paths).all()
    np.testing.assert_array_equal(paths[0], paths[2])
    np.testing.assert_array_equal(paths[1], paths[2])


def test_optax():
    params = {"w": oracles.start()["w"]}
    grads = [{"w": g["w"]} for g in oracles.gradients(10)]
    options = {**UNUSUAL["both"], "nesterov": True, "threshold": 6.5}
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.radam(0.03, **options), params, grads)
    *_, got = oracles.run(optcore.radam(0.03, **options), params, grads)
    oracles.close(got, expected, params, 1e-5)


@pytest.mark.parametrize("name", ["radam", "scale_by_radam"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
