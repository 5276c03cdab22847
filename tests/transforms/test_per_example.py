"""Clipping each example of a batch by itself."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests.named import named


def batch(size=6, seed=0):
    rng = np.random.default_rng(seed)
    real, imag = rng.normal(size=(2, size, 3))
    scale = np.linspace(0.1, 2.0, size)
    return {
        "w": (scale[:, None, None] * rng.normal(size=(size, 2, 4))).astype(np.float32),
        "b": (scale * rng.normal(size=size)).astype(np.float32),
        "z": (scale[:, None] * (real + 1j * imag)).astype(np.complex64),
    }


def size_of(example):
    return np.sqrt(sum((np.abs(np.asarray(x, np.complex128)) ** 2).sum() for x in example))


def by_hand(grads, limit):
    """A loop over the examples, in float64."""
    total, clipped = [0.0] * len(grads), 0
    for example in zip(*grads, strict=True):
        norm = size_of(example)
        clipped += norm > limit
        total = [s + x * min(1.0, limit / norm) for s, x in zip(total, example, strict=True)]
    return total, clipped


@pytest.mark.parametrize("limit", [0.5, 2.5, 100.0])
def test_global(limit):
    grads = batch()
    total, clipped = optcore.transforms.per_example_global_norm_clip(grads, limit)
    expected, count = by_hand(list(grads.values()), limit)
    for got, want in zip((total[name] for name in grads), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert clipped == count
    assert clipped.dtype == jnp.int32
    assert 0 < clipped <= 6 or limit == 100.0


@pytest.mark.parametrize("uniform", [True, False])
def test_layer(uniform):
    grads = batch()
    total, clipped = optcore.transforms.per_example_layer_norm_clip(grads, 1.5, uniform)
    sizes = {"w": 8, "b": 1, "z": 3}
    for name, g in grads.items():
        limit = 1.5 * np.sqrt(1 / 3 if uniform else sizes[name] / 12)
        (expected,), count = by_hand([g], limit)
        np.testing.assert_allclose(total[name], expected, rtol=1e-5, atol=1e-6)
        assert clipped[name] == count
        assert 0 < count < 6


@pytest.mark.parametrize("uniform", [None, True, False])
def test_one_example_changes_the_sum_by_at_most_the_limit(uniform):
    def clip(grads):
        if uniform is None:
            return optcore.transforms.per_example_global_norm_clip(grads, 0.75)[0]
        return optcore.transforms.per_example_layer_norm_clip(grads, 0.75, uniform)[0]

    grads = jax.tree.map(lambda g: 100 * g, batch())
    without = jax.tree.map(lambda g: g[1:], grads)
    change = jax.tree.map(lambda a, b: a - b, clip(grads), clip(without))
    assert size_of(change.values()) == pytest.approx(0.75, rel=1e-4)


@pytest.mark.parametrize("name", ["per_example_global_norm_clip", "per_example_layer_norm_clip"])
def test_like_optax(name):
    ours, theirs = named(name), getattr(optax, name)
    mine, his = (list(inspect.signature(f).parameters.values()) for f in (ours, theirs))
    assert [(p.name, p.default, p.kind) for p in mine] == [(p.name, p.default, p.kind) for p in his]
    grads = [g for g in batch().values() if not np.iscomplexobj(g)]
    for limit in (0.0, 0.8, np.inf):
        got = ours(grads, limit)
        expected = theirs(grads, limit)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
                     list(got[0]), list(expected[0]))  # fmt: skip
        np.testing.assert_array_equal(np.ravel(got[1]), np.ravel(expected[1]))


def test_large_and_zero_gradients():
    grads = jnp.array([[3e30, 4e30], [0.0, 0.0], [0.3, 0.4]])
    total, clipped = optcore.transforms.per_example_global_norm_clip(grads, 1.0)
    np.testing.assert_allclose(total, [0.9, 1.2], rtol=1e-5)
    assert clipped == 1
    total, clipped = optcore.transforms.per_example_global_norm_clip(grads, 0.0)
    np.testing.assert_array_equal(total, 0.0)
    assert clipped == 2


def test_a_nan_does_not_pass_for_small():
    total, _ = optcore.transforms.per_example_global_norm_clip(jnp.array([[jnp.nan], [1.0]]), 1.0)
    assert np.isnan(total).all()


def test_trees():
    grads = {"w": jnp.ones((2, 3), jnp.bfloat16), "none": None, "n": jnp.array([[3], [4]])}
    total, _ = jax.jit(optcore.transforms.per_example_global_norm_clip)(grads, jnp.inf)
    assert total["none"] is None
    assert total["w"].dtype == jnp.float32
    assert total["n"].tolist() == [7.0]
    assert optcore.transforms.per_example_global_norm_clip({}, 1.0) == ({}, 0)
    assert optcore.transforms.per_example_layer_norm_clip({}, 1.0) == ({}, {})


@pytest.mark.parametrize(
    "clip",
    [
        optcore.transforms.per_example_global_norm_clip,
        optcore.transforms.per_example_layer_norm_clip,
    ],
)
def test_every_leaf_needs_the_axis_of_the_examples(clip):
    with pytest.raises(ValueError, match=r"'b'.*float32\[\].*vmap"):
        clip({"a": jnp.zeros((2, 3)), "b": jnp.float32(1.0)}, 1.0)
    with pytest.raises(ValueError, match=r"'a' holds 2 examples.*'b' 3"):
        clip({"a": jnp.zeros((2, 3)), "b": jnp.zeros(3)}, 1.0)


@pytest.mark.parametrize(
    "clip",
    [
        optcore.transforms.per_example_global_norm_clip,
        optcore.transforms.per_example_layer_norm_clip,
    ],
)
@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_limits_are_not_negative(clip, limit):
    with pytest.raises(ValueError, match="norm_clip must be at least 0, got"):
        clip({"a": jnp.zeros((2, 3))}, limit)
