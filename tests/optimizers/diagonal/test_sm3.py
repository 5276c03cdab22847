"""SM3 against pytorch_optimizer, optax and the box of arXiv 1901.11150."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def sm3_1901_11150(w, grads, lr, momentum=0.0, b2=1.0, eps=0.0):
    """Algorithm SM3-II, coordinate by coordinate, with the slices of an array as its cover."""
    slices = [(axis, i) for axis in range(w.ndim) for i in range(w.shape[axis])]
    mu, m = dict.fromkeys(slices, 0.0), np.zeros_like(w)
    weight = 1.0 if b2 == 1.0 else 1 - b2
    for g in grads:
        new = dict.fromkeys(slices, 0.0)
        for index in np.ndindex(w.shape):
            mine = list(enumerate(index))
            nu = b2 * min(mu[r] for r in mine) + weight * np.abs(g[index]) ** 2
            for r in mine:
                new[r] = max(new[r], nu)
            m[index] = momentum * m[index] + (1 - momentum) * g[index] / np.sqrt(nu + eps)
        mu = new
        w = w - lr * m
        yield w


def three_axes(seed):
    return oracles.single({"w": np.random.default_rng(seed).normal(size=(2, 3, 4))})


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_sm3(momentum):
    oracle = functools.partial(sm3_1901_11150, lr=0.3, momentum=momentum, eps=1e-8)
    oracles.agrees(optcore.sm3(0.3, momentum), oracle)


@pytest.mark.parametrize("options", [{"b2": 0.8, "eps": 0.1}, {"b2": 1.0, "eps": 0.3}])
def test_the_direction(options):
    oracle = functools.partial(sm3_1901_11150, lr=-1, momentum=0.6, **options)
    tx = optcore.optimizers.scale_by_sm3(0.6, **options)
    oracles.agrees(tx, oracle)
    grads = [three_axes(t) for t in range(1, 6)]
    oracles.agrees(tx, oracle, params=three_axes(0), grads=grads)


def test_golden():
    tx = optcore.sm3(0.01, momentum=0.0)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/SM3{'lr': 0.01}")


def test_like_optax():
    params, options = {"w": oracles.start()["w"]}, {"b1": 0.8, "b2": 0.9, "eps": 0.01}
    ours, theirs = optcore.optimizers.scale_by_sm3(**options), optax.scale_by_sm3(**options)
    state, their_state = ours.init(params), theirs.init(params)
    for g in oracles.gradients(4):
        u, state = ours.update({"w": g["w"]}, state)
        with jax.numpy_dtype_promotion("standard"):
            expected, their_state = theirs.update({"w": g["w"]}, their_state)
        np.testing.assert_allclose(u["w"], expected["w"], rtol=5e-6)


@pytest.mark.parametrize("name", ["sm3", "scale_by_sm3"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


@pytest.mark.parametrize("shape", [(), (5,)])
def test_without_slices_it_is_adagrad(shape):
    rng = np.random.default_rng(0)
    params = oracles.single({"w": rng.normal(size=shape)})
    # Of one sign, so that every step leads away and rounding stays small beside the movement.
    grads = [oracles.single({"w": rng.uniform(0.1, 2.0, size=shape)}) for _ in range(4)]
    adagrad = optcore.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-8)
    sm3 = optcore.sm3(0.1, momentum=0.0)
    for a, b in zip(
        oracles.run(adagrad, params, grads), oracles.run(sm3, params, grads), strict=True
    ):
        oracles.close(b, a, params)


def test_the_accumulators_bound_the_sums_of_squares():
    """Lemma 2 of the paper: g² summed ≤ ν, and ν never falls."""
    params = three_axes(0)
    tx = optcore.optimizers.scale_by_sm3(b1=0.0)
    state, sums, before = tx.init(params), 0.0, 0.0
    for t in range(1, 6):
        g = three_axes(t)
        _, state = tx.update(g, state)
        sums = sums + np.square(g["w"])
        nu = functools.reduce(np.minimum, [along["w"] for along in state.nu])
        assert (nu >= sums * (1 - 1e-6)).all()
        assert (nu >= before).all()
        before = nu


def test_memory():
    params = {"w": jnp.zeros((8, 16, 2)), "z": jnp.zeros(3, "c8"), "scalar": jnp.zeros(())}
    nu = optcore.optimizers.scale_by_sm3().init(params).nu
    assert [along["w"].shape for along in nu] == [(8, 1, 1), (1, 16, 1), (1, 1, 2)]
    assert (nu[0]["z"].shape, nu[0]["z"].dtype) == ((3,), jnp.float32)
    assert nu[0]["scalar"].shape == ()
    assert [along[name] for along in nu[1:] for name in ("z", "scalar")] == [None] * 4
