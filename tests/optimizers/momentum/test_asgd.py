"""Averaged descent against torch, its iterates and its average."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def asgd_torch(w, grads, lr, lambd=1e-4, alpha=0.75, t0=10**6, average=False):
    """The documentation of torch.optim.ASGD: rate and weight are those that the last step left."""
    eta, mu, mean = lr, 1.0, np.zeros_like(w)
    for step, g in enumerate(grads, start=1):
        w = w * (1 - lambd * eta) - eta * g
        mean = mean + mu * (w - mean)
        yield mean if average else w
        eta = lr / (1 + lambd * lr * step) ** alpha
        mu = 1 / max(1, step - t0)


UNUSUAL = {
    "decay": {"lambd": 0.8, "alpha": 0.4},
    "rate": {"lambd": 3.0, "alpha": 2.0, "t0": 0},
    "average": {"lambd": 0.1, "alpha": 0.5, "t0": 3},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_asgd(options):
    oracle = functools.partial(asgd_torch, lr=0.1, **options)
    oracles.agrees(optcore.asgd(0.1, **options), oracle)


@unusual
def test_the_average(options):
    tx = optcore.asgd(0.1, **options)
    w = {"w": oracles.start()["w"]}
    grads = [{"w": g["w"]} for g in oracles.gradients(12)]
    averages = asgd_torch(
        oracles.double(w["w"]), [g["w"] for g in grads], 0.1, **options, average=True
    )
    state = tx.init(w)
    position = oracles.double(w)
    for g, expected in zip(grads, averages, strict=True):
        u, state = tx.update(g, state, oracles.single(position))
        position = {"w": position["w"] + oracles.double(u["w"])}
        np.testing.assert_allclose(state.average["w"], expected, atol=2e-6)


def test_golden():
    oracles.matches_golden(optcore.asgd(0.1), "torch.optim/ASGD(lr=.1)")


def test_until_averaging_starts_the_average_is_the_last_position():
    tx = optcore.asgd(0.1)
    w = jnp.array([1e-3, 1e3])
    state = tx.init(w)
    u, state = tx.update(jnp.ones(2), state, w)
    np.testing.assert_array_equal(state.average, w + u)


def test_defaults_are_torchs():
    expected = {"lambd": 1e-4, "alpha": 0.75, "t0": 1_000_000}
    assert oracles.defaults(optcore.asgd) == expected
