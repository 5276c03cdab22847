"""CAME against pytorch_optimizer and the box of arXiv 2307.02047."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def came_2307_02047(
    w, grads, lr, b1=0.9, b2=0.999, b3=0.9999, eps=1e-30, eps_residual=1e-16, d=1.0, decay=0.0
):
    """Algorithm 2 with sums, as in the paper."""
    m, r, c, v, rr, rc = np.zeros_like(w), 0.0, 0.0, 0.0, 0.0, 0.0
    for g in grads:
        square = np.abs(g) ** 2 + eps
        if w.ndim == 2:
            r, c = b2 * r + (1 - b2) * square.sum(1), b2 * c + (1 - b2) * square.sum(0)
            v = np.outer(r, c) / r.sum()
        else:
            v = b2 * v + (1 - b2) * square
        u = g / np.sqrt(v)
        u = u / max(1.0, np.sqrt(np.mean(np.abs(u) ** 2)) / d)
        m = b1 * m + (1 - b1) * u
        step = m
        if w.ndim == 2:
            unstable = np.abs(u - m) ** 2 + eps_residual
            rr, rc = b3 * rr + (1 - b3) * unstable.sum(1), b3 * rc + (1 - b3) * unstable.sum(0)
            step = m / np.sqrt(np.outer(rr, rc) / rr.sum())
        w = w - lr * (step + decay * w)
        yield w


UNUSUAL = {
    "short": {"b1": 0.6, "b2": 0.7, "b3": 0.8},
    "epsilons": {"b1": 0.8, "b2": 0.9, "b3": 0.5, "eps": 0.3, "eps_residual": 0.2},
    "clipped": {"b1": 0.5, "b2": 0.6, "b3": 0.95, "d": 0.3},
    "unclipped": {"b1": 0.0, "b2": 0.6, "b3": 0.9, "d": np.inf, "eps_residual": 0.1},
    "defaults": {},
}


@pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
@pytest.mark.sample(2)
def test_came(options):
    ours = {"clipping_threshold" if k == "d" else k: v for k, v in options.items()}
    oracle = functools.partial(came_2307_02047, lr=0.03, decay=0.4, **options)
    # The residual is a difference of two nearly equal numbers.
    oracles.agrees(optcore.came(0.03, weight_decay=0.4, **ours), oracle, tolerance=5e-6)


def test_the_direction_has_neither_rate_nor_sign():
    options = {"b1": 0.6, "b2": 0.7, "b3": 0.8}
    oracle = functools.partial(came_2307_02047, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_came(**options), oracle, tolerance=5e-6)


def test_golden():
    key = "pytorch_optimizer-4.1.0/CAME{'lr': 0.01}"
    # The vector moves by 1e-3 in the first step, of which the float32 parameters that are
    # stored, near 1, hold 3e-8.
    oracles.matches_golden(optcore.came(0.01), key, tolerance=3e-5)


@pytest.mark.slow
def test_stacked_matrices_share_only_the_clipping():
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(4, 2, 3)).astype(np.float32)
    tx = optcore.optimizers.scale_by_came(clipping_threshold=float("inf"))
    together, _ = tx.update(stack, tx.init(stack))
    for one, expected in zip(stack, together, strict=True):
        np.testing.assert_allclose(tx.update(one, tx.init(one))[0], expected, rtol=5e-6)


def test_memory():
    params = {
        "w": jnp.zeros((6, 8, 2), jnp.bfloat16),
        "b": jnp.zeros(3),
        "z": jnp.zeros((2, 3), "c8"),
    }
    state = optcore.optimizers.scale_by_came().init(params)
    for rows in (state.nu_row, state.nu_residual_row):
        assert jax.tree.map(jnp.shape, rows) == {"w": (6, 8, 1), "b": None, "z": (2, 1)}
    for columns in (state.nu_col, state.nu_residual_col):
        assert jax.tree.map(jnp.shape, columns) == {"w": (6, 1, 2), "b": None, "z": (1, 3)}
    assert jax.tree.map(jnp.shape, state.nu) == {"w": None, "b": (3,), "z": None}
    dtypes = jax.tree.map(lambda x: x.dtype, state)
    assert dtypes.mu == {"w": jnp.float32, "b": jnp.float32, "z": jnp.complex64}
    assert set(jax.tree.leaves(dtypes[1:])) == {np.dtype("float32")}


def test_the_mask():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optcore.came(0.1, weight_decay=0.5, mask={"a": True, "b": False})
    u, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(u["a"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(u["b"], 0.0)


def test_defaults():
    """The authors', without decay."""
    authors = {
        "b1": 0.9, "b2": 0.999, "b3": 0.9999, "eps": 1e-30, "eps_residual": 1e-16,
        "clipping_threshold": 1.0,
    }  # fmt: skip
    assert oracles.defaults(optcore.optimizers.scale_by_came) == authors
    assert oracles.defaults(optcore.came) == {**authors, "weight_decay": 0.0, "mask": None}


def test_one_number_is_its_own_mean():
    params = {"scalar": np.float32(0.5), "one": np.float32([2.0])}
    grads = [{"scalar": np.float32(t), "one": np.float32([1.0 - t])} for t in (3.0, 9.0, 0.5)]
    oracle = functools.partial(came_2307_02047, lr=0.03, b1=0.5, b2=0.6, d=0.3)
    tx = optcore.came(0.03, 0.5, 0.6, clipping_threshold=0.3)
    oracles.agrees(tx, oracle, params=params, grads=grads)
