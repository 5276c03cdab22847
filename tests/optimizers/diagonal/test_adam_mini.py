"""Adam-mini against the box of arXiv 2406.16793, and against Adam where they are the same."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def adam_mini_2406_16793(w, grads, lr, axes, b1, b2, eps, eps_root=0.0, decay=0.0):
    """Algorithm 1 with blocks along `axes`, an epsilon inside the root and decoupled decay."""
    m, v = np.zeros_like(w), 0.0
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.mean(np.abs(g) ** 2, axis=axes[w.ndim], keepdims=True)
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        w = w - lr * (m_hat / (np.sqrt(v_hat + eps_root) + eps) + decay * w)
        yield w


UNUSUAL = {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3}


@pytest.mark.parametrize(
    ("axes", "blocks"),
    [
        (None, {2: (0,), 1: (0,)}),
        ({"w": (1,), "z": ()}, {2: (1,), 1: ()}),
        ({"w": (-2, 1), "z": None}, {2: (0, 1), 1: (0,)}),
        (lambda name, p: (p.ndim - 1,) if name == "w" else None, {2: (1,), 1: (0,)}),
        ((), {2: (), 1: ()}),
    ],
    ids=["outputs", "inputs", "everything", "function", "one for all"],
)
def test_adam_mini(axes, blocks):
    oracle = functools.partial(adam_mini_2406_16793, axes=blocks, decay=0.7, **UNUSUAL)
    tx = optcore.adam_mini(0.03, weight_decay=0.7, axes=axes, **UNUSUAL)
    oracles.agrees(tx, functools.partial(oracle, lr=0.03))


def test_the_direction_has_neither_rate_nor_sign():
    options = {"b1": 0.8, "b2": 0.95, "eps": 0.2}
    oracle = functools.partial(adam_mini_2406_16793, lr=-1, axes={2: (0,), 1: (0,)}, **options)
    oracles.agrees(optcore.optimizers.scale_by_adam_mini(**options), oracle)


@pytest.mark.parametrize("eps", [1e-8, 0.0])
def test_blocks_of_one_coordinate_are_adam(eps):
    params = {**oracles.start(), "one": np.float32([2.0]), "scalar": np.float32(-0.5)}
    blocks = {"w": (), "z": (), "one": (0,), "scalar": ()}
    mini, adam = optcore.adam_mini(0.1, eps=eps, axes=blocks), optcore.adam(0.1, eps=eps)
    state, adam_state = mini.init(params), adam.init(params)
    for t, g in enumerate(oracles.gradients(3)):
        g = {**g, "one": np.float32([t - 0.3]), "scalar": np.float32(1.0 / (t + 1))}
        u, state = mini.update(g, state, params)
        expected, adam_state = adam.update(g, adam_state, params)
        jax.tree.map(np.testing.assert_array_equal, u, expected)


def test_a_block_keeps_its_relative_momentum():
    g = oracles.gradients(1)[0]
    tx = optcore.optimizers.scale_by_adam_mini(axes=lambda name, p: tuple(range(p.ndim)))
    u, _ = tx.update(g, tx.init(g))
    for name in g:
        size = np.sqrt(np.mean(np.abs(oracles.double(g[name])) ** 2))
        np.testing.assert_allclose(u[name], g[name] / np.float32(size), rtol=3e-6)


def test_memory():
    params = {"embed": jnp.zeros((9, 4)), "head": {"q": jnp.zeros((4, 2, 3)), "b": jnp.zeros(6)}}
    names = []

    def axes(name, p):
        names.append(name)
        return (0, 2) if name == "head/q" else None

    nu = optcore.optimizers.scale_by_adam_mini(axes=axes).init(params).nu
    assert jax.tree.map(jnp.shape, nu) == {"embed": (1, 4), "head": {"q": (1, 2, 1), "b": (1,)}}
    assert set(names) == {"embed", "head/q", "head/b"}
    nu = optcore.optimizers.scale_by_adam_mini(axes={"embed": (1,), "head": None}).init(params).nu
    assert jax.tree.map(jnp.shape, nu) == {"embed": (9, 1), "head": {"q": (1, 1, 3), "b": (1,)}}
    state = optcore.optimizers.scale_by_adam_mini(mu_dtype=jnp.bfloat16).init(params)
    assert {x.dtype for x in jax.tree.leaves(state.mu)} == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        ({"w": (2,)}, ValueError, "'w'.*\\[-2, 2\\).*\\(2,\\)"),
        ({"w": (0, -2)}, ValueError, "'w' must name each axis.*once"),
        ({"w": "rows"}, TypeError, "'w'.*tuple of ints.*'rows'"),
        ({"v": (0,)}, ValueError, "tree of tuples with the structure"),
        (lambda name, p: 0, TypeError, "'w'.*tuple of ints.*0"),
    ],
)
def test_impossible_axes(axes, error, message):
    with pytest.raises(error, match=message):
        optcore.optimizers.scale_by_adam_mini(axes=axes).init({"w": jnp.zeros((2, 3))})


def test_the_axes_are_part_of_the_value():
    def make(axes):
        return optcore.adam_mini(0.1, axes=axes)

    assert make({"w": (0,)}) == make({"w": (0,)})
    assert make({"w": (0,)}) != make({"w": (1,)})
    assert optcore.from_config(optcore.to_config(make({"w": (0,)}))) == make({"w": (0,)})


def test_the_mask():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optcore.adam_mini(0.1, weight_decay=0.5, mask={"a": True, "b": False})
    u, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(u["a"], -0.05, rtol=1e-6)
    np.testing.assert_array_equal(u["b"], 0.0)


def test_defaults():
    """Adam's, and no decay; the axes are the outputs of kernels."""
    adam = {"b1": 0.9, "b2": 0.999, "eps": 1e-8, "eps_root": 0.0, "mu_dtype": None, "axes": None}
    assert oracles.defaults(optcore.optimizers.scale_by_adam_mini) == adam
    assert oracles.defaults(optcore.adam_mini) == {**adam, "weight_decay": 0.0, "mask": None}
