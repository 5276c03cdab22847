"""Adafactor against torch, optax and the box of arXiv 1804.04235."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def rms(x):
    return np.sqrt(np.mean(np.abs(x) ** 2))


def adafactor_1804_04235(
    w, grads, rho, d=1.0, eps=1e-30, relative=True, momentum=None, decay=0.0, decay_rate=0.8
):
    """Algorithms 4 and 5, with optax's momentum and its decay outside the rate."""
    rows = columns = v = step = 0.0
    for t, g in enumerate(grads, start=1):
        b = 1 - t**-decay_rate
        square = np.abs(g) ** 2 + eps
        if w.ndim == 2:
            rows, columns = (
                b * rows + (1 - b) * square.sum(1),
                b * columns + (1 - b) * square.sum(0),
            )
            v = np.outer(rows, columns) / rows.sum()
        else:
            v = b * v + (1 - b) * square
        u = g / np.sqrt(v)
        u = u / max(1.0, rms(u) / d)
        new = rho(t) * (max(1e-3, rms(w)) if relative else 1.0) * u
        step = new if momentum is None else momentum * step + (1 - momentum) * new
        w = w - step - decay * w
        yield w


UNUSUAL = {
    "plain": {},
    "clipped": {"d": 0.4, "decay_rate": 0.5},
    "unclipped": {"d": np.inf, "eps": 0.2},
    "absolute": {"relative": False},
    "momentum": {"momentum": 0.7, "decay": 0.05},
}
OURS = {
    "d": "clipping_threshold",
    "relative": "multiply_by_parameter_scale",
    "decay": "weight_decay_rate",
}


@pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_adafactor(options):
    oracle = functools.partial(adafactor_1804_04235, rho=lambda t: 0.03, **options)
    ours = {OURS.get(name, name): value for name, value in options.items()}
    oracles.agrees(optcore.adafactor(0.03, 2, **ours), oracle)


def test_without_clipping():
    oracle = functools.partial(adafactor_1804_04235, rho=lambda t: 0.03, d=np.inf)
    oracles.agrees(optcore.adafactor(0.03, 2, clipping_threshold=None), oracle)


def test_without_a_rate_it_is_1():
    oracle = functools.partial(adafactor_1804_04235, rho=lambda t: 1.0, relative=False)
    oracles.agrees(optcore.adafactor(None, 2, multiply_by_parameter_scale=False), oracle)


@pytest.mark.slow
def test_the_rate_of_the_paper_is_a_schedule():
    oracle = functools.partial(adafactor_1804_04235, rho=lambda t: min(0.4, t**-0.5))
    tx = optcore.adafactor(lambda count: jnp.minimum(0.4, (1 + jnp.float32(count)) ** -0.5), 2)
    oracles.agrees(tx, oracle)


@pytest.mark.parametrize("axes", ["largest", "last"])
def test_golden(axes):
    tx = optcore.adafactor(0.01, min_dim_size_to_factor=0, factor_axes=axes)
    oracles.matches_golden(tx, "torch.optim/Adafactor(lr=.01)")


def test_defaults():
    oracles.same_defaults(optcore.adafactor, optax.adafactor)


def test_like_optax():
    params = {"w": oracles.start()["w"], "v": np.float32([1e-5, 2e-5])}
    arguments = {
        "learning_rate": 0.1,
        "min_dim_size_to_factor": 3,
        "decay_rate": 0.7,
        "clipping_threshold": 0.9,
        "momentum": 0.6,
        "weight_decay_rate": 0.02,
        "eps": 1e-3,
        "weight_decay_mask": {"w": True, "v": False},
    }
    ours, theirs = optcore.adafactor(**arguments), optax.adafactor(**arguments)
    state, their_state = ours.init(params), theirs.init(params)
    for t, g in enumerate(oracles.gradients(3)):
        g = {"w": g["w"], "v": np.float32([t + 1.0, -2.0])}
        u, state = ours.update(g, state, params)
        with jax.numpy_dtype_promotion("standard"):
            expected, their_state = theirs.update(g, their_state, params)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=5e-6), u, expected)


def test_memory():
    params = jnp.zeros((256, 512))
    leaves = jax.tree.leaves(optcore.adafactor(0.1).init(params))
    assert sum(x.size for x in leaves) == 256 + 512 + 1
    mu = optcore.adafactor(0.1, momentum=0.9, dtype_momentum=jnp.bfloat16).init(params)
    assert params.shape in {x.shape for x in jax.tree.leaves(mu) if x.dtype == jnp.bfloat16}


def test_decay_offset():
    """A run that goes on from a checkpoint forgets as a new one does."""
    params, grads = oracles.start(), oracles.gradients(3)
    fresh = optcore.adafactor(0.1, 2)
    later = optcore.adafactor(0.1, 2, decay_offset=5)
    state, late = fresh.init(params), later.init(params)
    late = (late[0]._replace(count=jnp.int32(5)), *late[1:])
    for g in grads:
        u, state = fresh.update(g, state, params)
        again, late = later.update(g, late, params)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), again, u)
