"""Stochastic rounding: right on average, and the same bits however a run is laid out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optcore
from tests.storage.narrow import bits, walk

KEY = jax.random.key(5)
TX = optcore.stochastic_rounding(optcore.sgd(1.0), key=KEY)


def test_small_steps_arrive_on_average():
    """By chance: 5 sigma for each weight, and for their mean."""
    count = 4096
    w, _ = walk(TX, jnp.ones(count, jnp.bfloat16), jnp.full((500, count), 1e-3))
    w = np.asarray(w, np.float64)
    share, spacing = 1e-3 * 2**8, 2**-8
    sigma = spacing * np.sqrt(500 * share * (1 - share))
    assert np.abs(w - 0.5).max() <= 5 * sigma
    assert abs(w.mean() - 0.5) <= 5 * sigma / np.sqrt(count)


def start():
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.standard_normal((16, 24)), jnp.bfloat16)}
    params["b"] = params["w"][0]
    grads = jax.tree.map(
        lambda p: jnp.asarray(rng.standard_normal((6, *p.shape)), "float32"), params
    )
    return params, jax.tree.map(lambda g: 1e-3 * g, grads)


def steps(params, state, grads, some, update):
    for i in some:
        updates, state = update(jax.tree.map(lambda g, i=i: g[i], grads), state, params)
        params = optcore.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((4, 2), ("x", "y")),
        pytest.param((8, 1), ("x", None), marks=pytest.mark.slow),
        pytest.param((1, 8), (None, "y"), marks=pytest.mark.slow),
    ],
    ids=["both", "rows", "columns"],
)
def test_the_layout_changes_nothing(shape, spec):
    """Over eight devices along either axis, or both; the first third on one."""
    update = jax.jit(TX.update)
    params, grads = start()
    expected, _ = steps(params, TX.init(params), grads, range(6), update)
    mesh = Mesh(np.array(jax.devices()).reshape(shape), ("x", "y"))
    wide, narrow = (NamedSharding(mesh, PartitionSpec(*s)) for s in (spec, spec[1:]))
    before, state = steps(params, TX.init(params), grads, range(2), update)
    # Interrupted and taken up on other devices: the count alone says where.
    before = jax.tree.map(lambda x: jax.device_put(x, wide if x.ndim == 2 else narrow), before)
    state = TX.init(before)._replace(count=jnp.asarray(int(state.count), jnp.int32))
    got, _ = steps(before, state, grads, range(2, 6), update)
    for name in expected:
        np.testing.assert_array_equal(bits(got[name]), bits(expected[name]))


def test_missing_key():
    with pytest.raises(TypeError, match="key is required"):
        optcore.stochastic_rounding(optcore.sgd(0.1))


def test_other_leaves_change_nothing():
    params, grads = start()
    both, _ = steps(params, TX.init(params), grads, range(3), jax.jit(TX.update))
    alone, only = {"w": params["w"]}, {"w": grads["w"]}
    one, _ = steps(alone, TX.init(alone), only, range(3), jax.jit(TX.update))
    np.testing.assert_array_equal(bits(one["w"]), bits(both["w"]))
