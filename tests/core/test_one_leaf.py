"""An update that is kept in another form counts as one leaf, wherever updates are looked at."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import RowSparse
from optcore._core import select
from tests.storage.rows import dense, sparse, table, touched

PARAMS = {"t": table(), "w": jnp.array([1.0, -2.0]), "frozen": jnp.ones(2)}
GRADS = {"t": sparse(), "w": jnp.array([0.5, 3.0]), "frozen": None}


def updated(tx, grads=GRADS, params=PARAMS, **extra):
    return jax.jit(lambda g: tx.update(g, tx.init(params), params=params, **extra)[0])(grads)


SAME = [
    optcore.identity(),
    optcore.scale(-0.5),
    optcore.sgd(optcore.linear_schedule(1.0, 0.5, 3)),
    optcore.scale_by_sign(),
    optcore.transforms.set_to_zero(),
    optcore.clip(0.7),
    optcore.clip_by_norm(0.7),
    optcore.clip_by_global_norm(0.7),
    optcore.normalize_by_update_norm(2.0),
    optcore.zclip(warmup_steps=1),
    optcore.chain(optcore.clip_by_global_norm(0.7), optcore.clip(0.2), optcore.sgd(0.1)),
    optcore.named_chain(("clip", optcore.clip_by_global_norm(0.7)), ("scale", optcore.scale(2.0))),
    optcore.add_decayed_weights(0.1, mask={"t": False, "w": True, "frozen": True}),
    optcore.chain(),
]


@pytest.mark.parametrize("tx", SAME, ids=str)
def test_the_same_as_dense(tx):
    got, expected = updated(tx), updated(tx, dense(GRADS))
    assert isinstance(got["t"], RowSparse)
    assert got["frozen"] is None
    for name in ("t", "w"):
        np.testing.assert_allclose(dense(got)[name], expected[name], rtol=1e-6)


def test_reduce_on_plateau():
    tx = optcore.reduce_on_plateau(patience=1)
    got = updated(tx, value=jnp.float32(1.0))
    np.testing.assert_allclose(dense(got)["t"], dense(GRADS)["t"], rtol=1e-6)


@pytest.mark.parametrize(
    "tx", [optcore.add_decayed_weights(0.1), optcore.transforms.add_l1_decay(0.1)], ids=str
)
def test_decay_acts_on_the_rows_that_are_touched(tx):
    got, expected = dense(updated(tx))["t"], updated(tx, dense(GRADS))["t"]
    rows = touched(GRADS["t"])
    np.testing.assert_allclose(got[rows], expected[rows], rtol=1e-6)
    np.testing.assert_array_equal(got[~rows], 0)
    assert np.all(expected[~rows] != 0)


def foreign():
    import optax

    return optcore.chain(optax.scale(0.5))


@pytest.mark.parametrize(
    ("make", "owner"),
    [
        (lambda: optcore.adam(0.1), "scale_by_adam"),
        (lambda: optcore.adagrad(optcore.linear_schedule(0.1, 0.2, 3)), "scale_by_rss"),
        (lambda: optcore.chain(optcore.clip(1.0), optcore.trace(0.9)), "trace"),
        (lambda: optcore.centralize(), "centralize"),
        (lambda: optcore.clip_by_block_rms(1.0), "clip_by_block_rms"),
        (lambda: optcore.stateless(lambda updates, params: updates), "stateless"),
        (lambda: optcore.skip_on_spike(optcore.sgd(0.1)), "skip_on_spike"),
        (lambda: optcore.cautious(optcore.sgd(0.1)), "cautious"),
        (lambda: optcore.split_real_and_imaginary(optcore.sgd(0.1)), "split_real_and_imaginary"),
        (foreign, "chain"),
    ],
)
def test_what_takes_only_arrays_says_so(make, owner):
    with pytest.raises(TypeError, match=f"^{owner}: the update of 't' is a RowSparse .* lazy_rows"):
        updated(make())


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({**GRADS, "t": sparse(shape=(7, 2))}, r"'t' is float32\[7,2\], the parameter is float32"),
        ({**GRADS, "t": sparse().astype(jnp.complex64)}, "'t' .* both real or both complex"),
        ({"t": sparse(), "w": jnp.ones(2)}, "'frozen' is missing"),
    ],
)
def test_checks_see_one_leaf(grads, message):
    with pytest.raises(ValueError, match=message):
        optcore.sgd(0.1).update(grads, optcore.sgd(0.1).init(PARAMS), params=PARAMS)


def test_a_mask_takes_it_whole():
    masked = select("a test", {"t": False, "w": True, "frozen": True}, GRADS, PARAMS)
    assert masked["t"] is None
    assert select("a test", True, GRADS, PARAMS)["t"].shape == (7, 3)


def test_a_tree_that_is_one_leaf():
    tx = optcore.sgd(0.5)
    update, _ = tx.update(sparse(), tx.init(table()), params=table())
    np.testing.assert_allclose(update.todense(), -0.5 * sparse().todense(), rtol=1e-6)


def test_updates_are_at_least_float32():
    params = {"t": table(dtype=jnp.bfloat16)}
    for dtype in (jnp.bfloat16, jnp.float32):
        tx = optcore.sgd(0.5)
        updates, _ = tx.update({"t": sparse(dtype=dtype)}, tx.init(params), params=params)
        assert updates["t"].dtype == jnp.float32


def test_per_example_gradients_are_arrays():
    tx = optcore.dpsgd(0.1, 1.0, 0.1, key=jax.random.key(0))
    with pytest.raises(ValueError, match="one gradient per example"):
        tx.update(GRADS, tx.init(PARAMS), params=PARAMS)
