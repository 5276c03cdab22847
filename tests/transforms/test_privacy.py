"""The private mean of a batch: what is clipped, and what the noise is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import leaf_keys
from optcore.transforms import differentially_private_aggregate

KEY = jax.random.key(3)


def once(tx, grads, params):
    return tx.update(grads, tx.init(params), params)


def test_without_noise_it_is_the_mean_of_clipped_gradients():
    rng = np.random.default_rng(0)
    grads = {"w": rng.normal(size=(5, 2, 3)), "b": rng.normal(size=5)}
    grads = jax.tree.map(np.float32, grads)
    params = {"w": jnp.zeros((2, 3)), "b": jnp.zeros(())}
    mean, _ = once(differentially_private_aggregate(1.5, 0.0, KEY), grads, params)
    sums, clipped = optcore.transforms.per_example_global_norm_clip(grads, 1.5)
    assert clipped > 0
    jax.tree.map(lambda m, s: np.testing.assert_allclose(m, s / 5, rtol=1e-6), mean, sums)


@pytest.mark.parametrize("kind", [jnp.float32, jnp.complex64])
def test_the_noise_is_normal_with_the_declared_deviation(kind):
    clip, multiplier, batch, size = 2.0, 0.7, 4, 20_000
    params = jnp.zeros(size, kind)
    tx = differentially_private_aggregate(clip, multiplier, KEY)
    noise, _ = once(tx, jnp.zeros((batch, size), kind), params)
    parts = [noise.real, noise.imag] if kind is jnp.complex64 else [noise]
    expected = clip * multiplier / batch
    for part in parts:
        z = np.asarray(part, np.float64) / expected
        # Five standard errors of mean, variance and fourth moment.
        assert abs(z.mean()) < 5 / np.sqrt(size)
        assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 / size)
        assert abs((z**4).mean() - 3) < 5 * np.sqrt(96 / size)
    if len(parts) == 2:
        assert abs(np.corrcoef(*parts)[0, 1]) < 5 / np.sqrt(size)


def test_steps_leaves_and_keys_have_noise_of_their_own():
    params = {"a": jnp.zeros(4), "b": jnp.zeros(4)}
    grads = jax.tree.map(lambda p: jnp.zeros((2, 4)), params)
    tx = differentially_private_aggregate(1.0, 1.0, KEY)
    first, state = once(tx, grads, params)
    second, later = tx.update(grads, state, params)
    other, _ = once(differentially_private_aggregate(1.0, 1.0, jax.random.key(4)), grads, params)
    drawn = [x for tree in (first, second, other) for x in jax.tree.leaves(tree)]
    for i, x in enumerate(drawn):
        for y in drawn[:i]:
            assert not np.isin(x, y).any()
    assert later.count == 2
    assert later.key.tolist() == jax.random.key_data(KEY).tolist()


def test_the_noise_of_a_leaf_does_not_depend_on_the_others():
    tx = differentially_private_aggregate(1.0, 1.0, KEY)
    alone, _ = once(tx, {"b": jnp.zeros((2, 4))}, {"b": jnp.zeros(4)})
    among, _ = once(
        tx, {"a": jnp.zeros((2, 3)), "b": jnp.zeros((2, 4))}, {"a": jnp.zeros(3), "b": jnp.zeros(4)}
    )
    np.testing.assert_array_equal(alone["b"], among["b"])


def test_leaf_keys_come_from_step_and_path():
    keys = leaf_keys(KEY, jnp.int32(5), {"layer": [jnp.zeros(2), None]})
    # The checksum is part of what makes a run repeatable: it is that of "layer/0".
    expected = jax.random.fold_in(jax.random.fold_in(KEY, 5), np.uint32(2_304_250_976))
    assert keys["layer"][1] is None
    assert keys["layer"][0] == expected


def test_first_in_a_chain():
    params = jnp.zeros(2)
    tx = optcore.chain(
        differentially_private_aggregate(1.0, 0.0, KEY), optcore.scale_by_learning_rate(0.5)
    )
    step, _ = once(tx, jnp.array([[0.6, 0.0], [0.0, 0.2]]), params)
    np.testing.assert_allclose(step, [-0.15, -0.05], rtol=1e-6)


def test_gradients_of_a_batch_that_is_already_averaged_are_refused():
    tx = differentially_private_aggregate(1.0, 0.0, KEY)
    for grads, params in ((jnp.ones(2), jnp.zeros(2)), (jnp.ones((2, 3)), jnp.zeros((2, 3)))):
        with pytest.raises(ValueError, match=r"one gradient per example.*vmap"):
            once(tx, grads, params)
    with pytest.raises(ValueError, match="one gradient per example"):
        once(tx, jnp.float32(1.0), jnp.zeros(()))


@pytest.mark.parametrize("key", [0, None, jax.random.PRNGKey(0), jax.random.split(KEY)])
def test_the_key_is_one_typed_key(key):
    with pytest.raises(TypeError, match="key"):
        differentially_private_aggregate(1.0, 1.0, key)


def test_the_key_is_part_of_the_value():
    def make(seed):
        return differentially_private_aggregate(1.0, 1.0, jax.random.key(seed))

    assert make(0) == make(0)
    assert make(0) != make(1)
    assert hash(make(0)) == hash(make(0))
    assert make(0).init(jnp.zeros(2)).key.tolist() == [0, 0]
    assert optcore.from_config(optcore.to_config(make(7))) == make(7)
    rbg = differentially_private_aggregate(1.0, 1.0, jax.random.key(0, impl="rbg"))
    assert rbg != make(0)
    assert rbg.init(jnp.zeros(2)).key.tolist() == [0, 0, 0, 0]
