"""sparse_value_and_grad: jax.value_and_grad, without a dense gradient of a table."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optcore import RowSparse, sparse_value_and_grad
from tests.storage.rows import dense, shapes_in, table

pytestmark = pytest.mark.usefixtures("broadcasting")

IDS = jnp.array([[1, 5], [1, 0]])
W = jnp.array([[1.0, -2.0], [0.5, 1.5], [2.0, 0.25]])
PARAMS = {"t": table(), "w": W, "nothing": None}
TABLES = {"t": True, "w": False, "nothing": False}


@jax.jit
def jitted(t, ids):
    return jnp.take(t, ids, axis=0)


def rows_in_front(t, ids):
    """A gather that gives the axis of a row first."""
    numbers = jax.lax.GatherDimensionNumbers((0,), (0,), (0,))
    rows = jax.lax.gather(t, ids[..., None], numbers, (1, t.shape[1]), mode="fill")
    return jnp.moveaxis(rows, 0, -1)


GATHERS = {
    "index": lambda t, ids: t[ids],
    "negative": lambda t, ids: t[ids - 7],
    "take": lambda t, ids: jnp.take(t, ids, axis=0),
    "clipped": lambda t, ids: jnp.take(t, 2 * ids, axis=0, mode="clip"),
    "filled": lambda t, ids: t.at[2 * ids].get(mode="fill", fill_value=0),
    "narrow": lambda t, ids: t[ids.astype(jnp.uint8)],
    "numpy": lambda t, ids: t[np.array([[0, 3], [3, 3]])],
    "one row": lambda t, ids: t[ids[0, 0]],
    "the last row": lambda t, ids: t[-1],
    "every second row": lambda t, ids: t[1:6:2],
    "mapped": lambda t, ids: jax.vmap(lambda i: t[i])(ids),
    "mapped, row by row": lambda t, ids: jax.vmap(lambda i: t[i])(ids.ravel()),
    "mapped to the back": lambda t, ids: jax.vmap(lambda i: t[i], out_axes=1)(ids).swapaxes(0, 1),
    "jitted": jitted,
    "mapped, of jitted": lambda t, ids: jax.vmap(jitted, (None, 0))(t, ids),
    "rows in front": rows_in_front,
    "in turn": lambda t, ids: t[ids] * jitted(t, ids[::-1]) + t[ids[:1]],
    "depends on values": lambda t, ids: t[jnp.argsort(t[ids][..., 0])],
}


def loss(gather, params, ids):
    h = jax.nn.relu(gather(params["t"], ids)) @ params["w"]
    return jnp.sum(jnp.sin(h) ** 2)


@pytest.mark.parametrize("name", GATHERS)
def test_equals_the_dense_gradient(name):
    f = functools.partial(loss, GATHERS[name])
    value, grads = jax.jit(sparse_value_and_grad(f, TABLES))(PARAMS, IDS)
    expected, expected_grads = jax.jit(jax.value_and_grad(f))(PARAMS, IDS)
    assert isinstance(grads["t"], RowSparse)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert np.max(np.abs(expected_grads["t"])) > 0.1, "the test cannot tell"
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        dense(grads),
        expected_grads,
    )


def test_nothing_of_the_size_of_the_table_is_made():
    f = functools.partial(loss, GATHERS["in turn"])
    whole = PARAMS["t"].shape

    def sizes(derivative):
        made = shapes_in(jax.make_jaxpr(derivative)(PARAMS, IDS).jaxpr)
        return [name for name, shape in made if shape == whole]

    assert sizes(sparse_value_and_grad(f, TABLES)) == []
    assert sizes(jax.value_and_grad(f)) != [], "the test cannot tell"


def test_eager():
    f = functools.partial(loss, GATHERS["filled"])
    value, grads = sparse_value_and_grad(f, TABLES)(PARAMS, IDS)
    again, again_grads = jax.jit(sparse_value_and_grad(f, TABLES))(PARAMS, IDS)
    np.testing.assert_allclose(value, again, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), grads, again_grads)
    # 2 · 5 is not a row of the table, and has no gradient.
    assert grads["t"].indices.tolist() == [2, 7, 2, 0]


def test_something_else_besides_the_value():
    def with_aux(params, ids, *, scale):
        return scale * loss(GATHERS["index"], params, ids), (params, ids + 1)

    f = sparse_value_and_grad(with_aux, TABLES, has_aux=True)
    (value, (params, more)), grads = jax.jit(f)(PARAMS, IDS, scale=2.0)
    np.testing.assert_allclose(value, 2 * loss(GATHERS["index"], PARAMS, IDS), rtol=1e-6)
    np.testing.assert_array_equal(params["t"], PARAMS["t"])
    np.testing.assert_array_equal(more, IDS + 1)
    assert grads["t"].values.shape == (4, 3)


def test_a_table_that_is_not_used():
    _, grads = sparse_value_and_grad(lambda p: jnp.sum(p["w"]), TABLES)(PARAMS)
    assert grads["t"].values.shape == (0, 3)
    assert not np.any(grads["t"].todense())


def test_which_are_tables_by_a_function():
    def large(params):
        return jax.tree.map(lambda p: p.size > 10, params)

    params = {"a": {"t": table(), "b": table(1, shape=(20,))}, "w": jnp.ones(2)}

    def f(params, ids):
        return jnp.sum(params["a"]["t"][ids]) * jnp.sum(params["a"]["b"][ids] ** 2)

    _, grads = sparse_value_and_grad(f, large)(params, IDS)
    assert isinstance(grads["a"]["b"], RowSparse)
    expected = jax.grad(f)(params, IDS)
    for name in ("t", "b"):
        np.testing.assert_allclose(grads["a"][name].todense(), expected["a"][name], rtol=1e-6)


def test_rows_keep_the_dtype_of_the_table():
    params = {**PARAMS, "t": PARAMS["t"].astype(jnp.bfloat16)}

    def cast(t, ids):
        return t[ids].astype(jnp.float32)

    _, grads = sparse_value_and_grad(functools.partial(loss, cast), TABLES)(params, IDS)
    assert grads["t"].dtype == jnp.bfloat16


def test_vmap_is_a_loop():
    f = jax.jit(sparse_value_and_grad(functools.partial(loss, GATHERS["in turn"]), TABLES))
    several = jnp.stack([IDS, IDS + 1])
    mapped = jax.vmap(f, (None, 0))(PARAMS, several)
    looped = jax.tree.map(lambda *x: jnp.stack(x), *[f(PARAMS, ids) for ids in several])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), mapped, looped)


def scanned(params, ids):
    return jax.lax.scan(lambda s, i: (s + jnp.sum(params["t"][i]), None), 0.0, ids[0])[0]


@pytest.mark.parametrize(
    ("f", "culprit"),
    [
        (lambda p, ids: jnp.sum(p["t"][ids] @ p["t"].T), "transpose"),
        (lambda p, ids: jnp.sum(p["t"] ** 2), "(integer_pow|square)"),
        (lambda p, ids: jnp.sum((2.0 * p["t"])[ids]), "mul"),
        (lambda p, ids: jnp.sum(p["t"][:, 0]), "slice"),
        (lambda p, ids: jnp.sum(p["t"][ids, 0]), "gather"),
        (lambda p, ids: jnp.sum(p["t"][:, ids]), "gather"),
        (lambda p, ids: jnp.sum(p["t"].astype(jnp.bfloat16)[ids]), "convert_element_type"),
        (lambda p, ids: jax.checkpoint(lambda t: jnp.sum(t[ids]))(p["t"]), "(checkpoint|remat)"),
        (scanned, "scan"),
    ],
)
def test_a_table_may_only_be_gathered_from(f, culprit):
    with pytest.raises(ValueError, match=f"'t' is used by {culprit}.*only allowed use of a table"):
        sparse_value_and_grad(f, TABLES)(PARAMS, IDS)


def test_integer_parameters_are_refused_as_by_jax():
    with pytest.raises(TypeError, match="int32"):
        sparse_value_and_grad(lambda p: jnp.sum(p["t"][p["n"]]), {"t": True, "n": False})(
            {"t": table(), "n": jnp.int32(1)}
        )


@pytest.mark.parametrize("leaf", [jnp.float32(1.0), jnp.ones((3, 2), jnp.int32)])
def test_what_can_be_no_table(leaf):
    with pytest.raises(ValueError, match="'t' cannot be a table: expected a floating-point array"):
        sparse_value_and_grad(lambda p: 0.0, True)({"t": leaf})


def test_the_embedding_of_flax():
    nn = pytest.importorskip("flax.linen", reason="its Embed gathers the rows")
    module = nn.Embed(7, 3)
    params = module.init(jax.random.key(0), IDS)

    def f(params, ids):
        return jnp.sum(jnp.sin(module.apply(params, ids)))

    _, grads = sparse_value_and_grad(f, True)(params, IDS)
    expected = jax.grad(f)(params, IDS)["params"]["embedding"]
    found = grads["params"]["embedding"]
    assert isinstance(found, RowSparse)
    np.testing.assert_allclose(found.todense(), expected, rtol=1e-6)
