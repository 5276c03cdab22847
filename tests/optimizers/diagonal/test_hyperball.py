"""Hyperball against the box of arXiv 2606.16899, and the norms that it keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def hyperball_2606_16899(w, grads, lr, b1, b2, eps, eps_root, decay, axes=None):
    """Steps of relative length `lr` on the sphere; vectors and scalars as in AdamW."""
    norm = functools.partial(np.linalg.norm, axis=axes, keepdims=True)
    m, v, radius = np.zeros_like(w), np.zeros(w.shape), norm(w)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        if w.ndim < 2:
            w = w - lr * (u + decay * w)
        else:
            w = w - lr * radius * u / norm(u)
            w = radius * w / norm(w)
        yield w


UNUSUAL = {"b1": 0.7, "b2": 0.8, "eps": 0.1, "eps_root": 0.3}


def test_hyperball_adamw():
    oracle = functools.partial(hyperball_2606_16899, lr=0.2, decay=0.9, **UNUSUAL)
    oracles.agrees(optcore.hyperball_adamw(0.2, weight_decay=0.9, **UNUSUAL), oracle)


def test_stacked_layers():
    stack = {"w": np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)}
    grads = [{"w": np.cos(t + stack["w"])} for t in range(5)]
    axes = (-2, -1)
    oracle = functools.partial(hyperball_2606_16899, lr=0.2, decay=0.9, axes=axes, **UNUSUAL)
    tx = optcore.hyperball_adamw(0.2, weight_decay=0.9, axes=axes, **UNUSUAL)
    oracles.agrees(tx, oracle, params=stack, grads=grads)


def test_golden():
    # HeavyBall divides by the second moment without a first one. Its first step, of a hundredth
    # of the radius, carries the roundings of float32 numbers as large as the parameters.
    tx = optcore.hyperball_adamw(0.01, b1=0.0, b2=0.99)
    oracles.matches_golden(tx, "heavyball-3.2.1/HyperBallAdamW{'lr': 0.01}", tolerance=5e-5)


@pytest.mark.parametrize(
    "mask",
    [
        {"a": {"w": False, "v": True}, "b": True},
        lambda p: {"a": {"w": False, "v": True}, "b": True},
    ],
    ids=["tree", "function"],
)
def test_the_mask_says_what_is_on_a_sphere_and_the_rest_decays(mask):
    params = {"a": {"w": jnp.full((2, 2), 2.0), "v": jnp.full(2, 2.0)}, "b": jnp.full(3, 2.0)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    tx = optcore.hyperball_adamw(0.5, weight_decay=0.5, mask=mask)
    u, _ = jax.jit(lambda p: tx.update(zeros, tx.init(p), p))(params)
    np.testing.assert_allclose(u["a"]["w"], -0.5, rtol=1e-6)
    np.testing.assert_allclose(u["a"]["v"], 0, atol=1e-6)
    np.testing.assert_allclose(u["b"], 0, atol=1e-6)


def test_the_norms_stay_over_a_thousand_steps():
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)}
    target = jnp.asarray(rng.normal(size=(6, 4)), jnp.float32)
    tx = optcore.hyperball_adamw(0.02)

    def step(carry, _):
        params, state = carry
        grads = jax.tree.map(lambda p: p - target, params)
        updates, state = tx.update(grads, state, params)
        return (optcore.apply_updates(params, updates), state), None

    (end, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=1000)
    before, after = (np.linalg.norm(oracles.double(p["w"])) for p in (params, end))
    assert after == pytest.approx(before, rel=1e-6)
    # It finds the direction of the target, which is all that a sphere leaves open.
    cosine = np.sum(end["w"] * target) / np.linalg.norm(end["w"]) / np.linalg.norm(target)
    assert cosine > 0.99


def test_zero_matrices_are_refused():
    with pytest.raises(ValueError, match="keep_params_norm: the parameter at 'w'"):
        optcore.hyperball_adamw(0.1).init({"w": jnp.zeros((2, 2)), "b": jnp.zeros(2)})


def test_defaults():
    assert oracles.defaults(optcore.hyperball_adamw) == {
        "b1": 0.9, "b2": 0.95, "eps": 1e-8, "eps_root": 0.0, "mu_dtype": None,
        "weight_decay": 0.0, "mask": None, "axes": None,
    }  # fmt: skip
