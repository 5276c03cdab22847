"""Noise: its distribution, and what it depends on."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore

KEY = jax.random.key(3)
SIZE = 40_000


def noises(tx, tree, steps):
    """The noise that is added to zeros in each step."""
    zeros = jax.tree.map(jnp.zeros_like, tree)
    state = tx.init(zeros)
    for _ in range(steps):
        u, state = tx.update(zeros, state)
        yield u


def test_the_variance_decays_as_the_paper_says():
    eta, gamma = 3.0, 1.3
    shape = jnp.zeros(SIZE)
    for t, u in enumerate(noises(optcore.add_noise(eta, gamma, KEY), shape, 4), start=1):
        deviation = np.sqrt(eta / t**gamma)
        # Five standard errors of the mean and of the variance of as many normal numbers.
        assert abs(np.mean(u)) < 5 * deviation / np.sqrt(SIZE)
        assert np.var(u) == pytest.approx(deviation**2, rel=5 * np.sqrt(2 / SIZE))
        beyond_two = np.mean(np.abs(u) > 2 * deviation)
        assert beyond_two == pytest.approx(0.0455, abs=5 * np.sqrt(0.0455 / SIZE))


def test_the_schedule_is_optaxs():
    *_, ours = noises(optcore.add_noise(3.0, 1.3, KEY), jnp.zeros(SIZE), 2)
    with jax.numpy_dtype_promotion("standard"):
        *_, theirs = noises(optax.add_noise(3.0, 1.3, jax.random.key(0)), jnp.zeros(SIZE), 2)
    assert np.var(ours) == pytest.approx(float(np.var(theirs)), rel=0.1)


def test_it_is_added():
    g = jnp.array([1.0, -2.0, 3.0])
    tx = optcore.add_noise(0.3, 0.5, KEY)
    (noise,) = noises(tx, g, 1)
    np.testing.assert_allclose(tx.update(g, tx.init(g))[0] - g, noise, rtol=1e-5)


def test_both_parts_of_complex_numbers_share_the_variance():
    (u,) = noises(optcore.add_noise(2.0, 0.0, KEY), jnp.zeros(SIZE, jnp.complex64), 1)
    for part in (u.real, u.imag):
        assert np.var(part) == pytest.approx(1.0, rel=0.04)
    assert abs(np.mean(u.real * u.imag)) < 0.03


def test_every_leaf_and_every_step_has_noise_of_its_own():
    tree = {"a": jnp.zeros(3), "b": [jnp.zeros(3), jnp.zeros(3)]}
    drawn = [u for step in noises(optcore.add_noise(1.0, 0.0, KEY), tree, 3) for u in
             jax.tree.leaves(step)]  # fmt: skip
    assert len({float(x) for u in drawn for x in u}) == 27


def test_the_noise_of_a_leaf_is_that_of_its_path():
    few, many = {"b": jnp.zeros(3)}, {"a": jnp.zeros(2), "b": jnp.zeros(3), "c": None}
    tx = optcore.add_noise(1.0, 0.5, KEY)
    for u, v in zip(noises(tx, few, 2), noises(tx, many, 2), strict=True):
        np.testing.assert_array_equal(u["b"], v["b"])
        assert v["c"] is None


def test_another_key_is_other_noise():
    (u,) = noises(optcore.add_noise(1.0, 0.5, KEY), jnp.zeros(3), 1)
    (v,) = noises(optcore.add_noise(1.0, 0.5, jax.random.key(4)), jnp.zeros(3), 1)
    assert not np.any(u == v)


def test_the_state_may_be_donated():
    tx, g = optcore.add_noise(1.0, 0.5, KEY), jnp.zeros(3)
    step = jax.jit(tx.update, donate_argnums=1)
    first, _ = step(g, tx.init(g))
    again, _ = step(g, tx.init(g))
    np.testing.assert_array_equal(first, again)


def test_members_of_an_ensemble_may_have_their_own_keys():
    g = jnp.zeros(3)

    def first(key):
        tx = optcore.add_noise(1.0, 0.5, key)
        return tx.update(g, tx.init(g))[0]

    keys = jax.random.split(KEY, 2)
    drawn = jax.vmap(first)(keys)
    np.testing.assert_array_equal(drawn, jnp.stack([first(k) for k in keys]))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "add_noise: key is required"),
        (0, "one typed random key"),
        (np.uint32([0, 1]), "one typed random key"),
        (jax.random.split(KEY), "one typed random key"),
    ],
    ids=["missing", "seed", "raw", "several"],
)
def test_the_key_must_be_a_typed_one(key, message):
    with pytest.raises(TypeError, match=message):
        optcore.add_noise(0.1, 0.5, key)


def test_derivatives_without_noise_are_finite():
    def total(eta):
        tx = optcore.add_noise(eta, 0.5, KEY)
        return tx.update(jnp.zeros(3), tx.init(jnp.zeros(3)))[0].sum()

    assert np.isfinite(jax.grad(total)(0.0))


def test_arguments_are_optaxs():
    ours, theirs = (list(inspect.signature(f.add_noise).parameters) for f in (optcore, optax))
    assert ours == [name for name in theirs if name != "seed"]
