"""On a mesh of explicit axes: what gathers, scatters and reshapes says where the result lies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optcore
from optcore.diagnostics import curvature
from optcore.sharding import init_sharded, state_shardings
from optcore.testing._subject import assert_close

P = PartitionSpec
SPECS = [P("data"), P(None, "model"), P("data", "model"), P()]
on_all = pytest.mark.parametrize("spec", SPECS, ids=str)


def mesh():
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)


def put(x, spec):
    return jax.device_put(x, NamedSharding(mesh(), spec))


def table():
    return np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)


def gradient(place=lambda x, spec: jnp.asarray(x)):
    """Of rows of which one comes twice, the indices cut along an axis of the mesh."""
    values = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    indices = place(np.int32([9, 3, 1, 3]), P("data"))
    return optcore.RowSparse(indices, place(values, P()), (16, 4))


def dense(tree):
    def one(x):
        return x.todense() if isinstance(x, optcore.RowSparse) else x

    return jax.tree.map(one, tree, is_leaf=lambda x: isinstance(x, optcore.RowSparse))


STEPS = {
    "clip": lambda: optcore.chain(optcore.clip_by_global_norm(0.5), optcore.sgd(0.1)),
    "lazy": lambda: optcore.lazy_rows(optcore.adam(0.1)),
    "lazy, catching up": lambda: optcore.lazy_rows(optcore.rmsprop(0.1), decays={"nu": 0.9}),
}


@on_all
@pytest.mark.parametrize("name", STEPS)
@pytest.mark.sample(4)
def test_steps_of_few_rows(name, spec):
    tx = STEPS[name]()

    def two(p, g):
        state = tx.init(p)
        for _ in range(2):
            updates, state = tx.update(g, state, p)
            p = optcore.apply_updates(p, updates)
        return p, dense(state)

    sharded = put(table(), spec)
    got, state = jax.jit(two)(sharded, gradient(put))
    assert got.sharding.is_equivalent_to(sharded.sharding, 2)
    expected, expected_state = two(jnp.asarray(table()), gradient())
    assert_close(got, expected)
    assert_close(state, expected_state)


@on_all
def test_rows_of_another_dtype_are_added(spec):
    p = jnp.asarray(table(), jnp.bfloat16)
    got = jax.jit(optcore.apply_updates)(put(p, spec), gradient(put))
    np.testing.assert_array_equal(got, optcore.apply_updates(p, gradient()))


@on_all
@pytest.mark.parametrize("entered", [False, True], ids=["outside", "set_mesh"])
def test_gradients_of_gathered_rows(entered, spec):
    on = mesh()

    def loss(params, words, out_sharding):
        rows = params["table"].at[words].get(out_sharding=out_sharding)
        return jnp.sum(jnp.square(rows) * params["w"])

    def step(params, words, out_sharding):
        f = optcore.sparse_value_and_grad(loss, {"table": True, "w": False})
        return dense(f(params, words, out_sharding))

    words = np.int32([9, 3, 1, 3])
    params = {"table": jnp.asarray(table()), "w": jnp.full((1, 4), 2.0)}
    expected = step(params, words, None)
    placed = {"table": put(params["table"], spec), "w": put(params["w"], P())}
    run = jax.jit(lambda params, words: step(params, words, NamedSharding(on, P())))
    if entered:
        with jax.set_mesh(on):
            got = run(placed, put(words, P("data")))
    else:
        got = run(placed, put(words, P("data")))
    assert_close(got, expected)


@on_all
def test_curvature_of_parameters_that_are_cut(spec):
    def loss(p):
        return jnp.sum(p["table"] ** 4)

    def ends(p):
        return curvature(loss, p, jax.random.key(0))

    assert_close(jax.jit(ends)({"table": put(table(), spec)}), ends({"table": table()}), 1e-4)


@pytest.mark.parametrize("codec", ["int8", "int4", "int8_softsign"])
@pytest.mark.parametrize("width", [512, 768, 1000])
@pytest.mark.sample(1)
def test_blocks_across_devices(codec, width):
    """Of which some have parts on two devices."""
    on = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    x = np.random.default_rng(0).normal(size=(2, width)).astype(np.float32)
    cut = jax.device_put(x, NamedSharding(on, P(None, "data")))
    tx = optcore.store(optcore.adam(0.1), codec, min_size=1)

    def two(p):
        state = tx.init(p)
        for _ in range(2):
            updates, state = tx.update(p, state, p)
        return updates

    where = state_shardings(tx, cut)
    made = init_sharded(tx, cut)
    assert all(
        x.sharding.is_equivalent_to(s, x.ndim)
        for x, s in zip(jax.tree.leaves(made), jax.tree.leaves(where), strict=True)
    )
    assert_close(jax.jit(two)(cut), jax.jit(two)(jnp.asarray(x)), 1e-5)


@on_all
@pytest.mark.sample(1)
def test_rows_of_a_loss_train_outside_of_the_mesh(spec):
    """`sparse_value_and_grad` and a state of slots in one step, without `set_mesh`."""
    on = mesh()
    params = {"t": jnp.asarray(table()), "o": jnp.full((4, 1), 0.5)}
    words = np.int32([1, 5, 1])
    tx = optcore.lazy_rows(optcore.adam(0.1))

    def step(params, words, out_sharding):
        def loss(params, words):
            rows = params["t"].at[words].get(out_sharding=out_sharding)
            return jnp.mean((rows @ params["o"]) ** 2)

        f = optcore.sparse_value_and_grad(loss, {"t": True, "o": False})
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(f(params, words)[1], state, params)
            params = optcore.apply_updates(params, updates)
        return params

    placed = {"t": put(params["t"], spec), "o": put(params["o"], P())}
    got = jax.jit(lambda p, w: step(p, w, NamedSharding(on, P())))(placed, put(words, P()))
    assert_close(got, step(params, words, None), 1e-5)
