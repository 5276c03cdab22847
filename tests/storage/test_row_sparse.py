"""RowSparse: sums of duplicates, indices outside the table, and what is done to it by mistake."""

import re

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import RowSparse
from tests.storage.rows import COLUMNS, ROWS, dense, sparse, table


@pytest.mark.slow
@hypothesis.given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 100))
@hypothesis.settings(deadline=None, max_examples=10)
def test_summed_is_the_sum_of_what_stands_several_times(indices, seed):
    values = np.random.default_rng(seed).integers(-9, 9, (len(indices), 2)).astype(np.float32)
    g = RowSparse(np.array(indices, np.int32), values, (6, 2))
    expected = np.zeros((6, 2), np.float32)
    np.add.at(expected, np.array(indices, int), values)
    summed = g.summed()
    np.testing.assert_array_equal(g.todense(), expected)
    np.testing.assert_array_equal(summed.todense(), expected)
    kept = np.asarray(summed.indices)
    assert list(kept) == sorted(set(kept)), "sorted, and each once"
    assert len(kept) == len(indices)
    used = sorted(set(indices))
    assert list(kept[: len(used)]) == used
    assert np.all(kept[len(used) :] >= 6)
    assert not np.any(summed.values[len(used) :])
    assert summed.summed() is summed


def test_sums_are_taken_in_float32():
    g = RowSparse(jnp.zeros(300, jnp.int32), jnp.ones((300, 1), jnp.bfloat16), (2, 1))
    assert g.summed().dtype == jnp.float32
    assert g.summed().values[0, 0] == 300  # bfloat16 stops at 256


@pytest.mark.parametrize(
    "indices",
    [
        np.array([1, -1, 6, 7, 2**31 - 1], np.int32),
        np.array([1, 255, 6, 7, 254], np.uint8),
        np.array([1, -3, 6, 7, -128], np.int8),
        np.array([1, 2**32 - 1, 6, 7, 2**31], np.uint32),
    ],
    ids=lambda indices: indices.dtype.name,
)
def test_rows_outside_are_dropped_under_jit(indices):
    values = jnp.array([1.0, jnp.nan, 2.0, jnp.inf, jnp.nan])

    @jax.jit
    def made(indices):
        g = RowSparse(indices, values, (7,))
        return g, g.summed(), g.todense(), optcore.global_norm(g), g.added_to(jnp.ones(7))

    g, summed, whole, norm, moved = made(indices)
    assert g.indices.tolist() == [1, 7, 6, 7, 7]
    assert summed.indices.tolist()[:2] == [1, 6]
    assert whole.tolist() == [0, 1, 0, 0, 0, 0, 2]
    assert moved.tolist() == [1, 2, 1, 1, 1, 1, 3]
    assert norm == np.sqrt(np.float32(5))


@pytest.mark.parametrize("many", [129, 1000])
def test_narrow_indices_into_many_rows(many):
    values = jnp.ones((2, 1))
    g = jax.jit(lambda i: RowSparse(i, values, (many, 1)))(np.array([5, 127], np.int8))
    assert g.indices.tolist() == [5, 127]


def test_rows_outside_are_refused_where_they_are_known():
    with pytest.raises(ValueError, match=re.escape("2 of 3 indices are outside [0, 4), the first")):
        RowSparse(jnp.array([1, 4, -1]), jnp.ones((3, 2)), (4, 2))


@pytest.mark.parametrize(
    ("indices", "values", "shape", "error", "message"),
    [
        (np.ones(2), np.ones((2, 3)), (4, 3), TypeError, "integers, got float"),
        ([0, 1], np.ones((2, 3), int), (4, 3), TypeError, "floating-point, got int"),
        ([0, 1], np.ones((3, 3)), (4, 3), ValueError, r"expected values of shape \(2, 3\), got"),
        ([0, 1], np.ones((2, 3)), (4, 2), ValueError, r"expected values of shape \(2, 2\), got"),
        ([0], np.ones((1, 1)), (2**31 - 1, 1), ValueError, "exceed int32"),
        (0, np.float32(1), (), ValueError, r"table of shape \(\)"),
    ],
)
def test_impossible_ones(indices, values, shape, error, message):
    with pytest.raises(error, match=message):
        RowSparse(indices, values, shape)


def test_indices_of_any_shape():
    g = RowSparse(jnp.array([[1, 2], [1, 0]]), jnp.ones((2, 2, 3)), (4, 3))
    assert g.indices.shape == (4,)
    assert g.todense()[:, 0].tolist() == [1, 2, 1, 0]


def test_without_places():
    g = RowSparse(jnp.zeros(0, jnp.int32), jnp.zeros((0, 3)), (4, 3))
    assert not np.any(g.todense())
    assert optcore.global_norm(g) == 0
    assert np.all(g.added_to(jnp.ones((4, 3))) == 1)


def test_an_empty_list_holds_no_indices():
    """NumPy makes floating-point numbers of it."""
    g = RowSparse([], jnp.zeros((0, 2)), (6, 2))
    np.testing.assert_array_equal(g.todense(), jnp.zeros((6, 2)))
    assert g.indices.dtype == jnp.int32


def test_the_norm_is_that_of_the_sum():
    g = {"table": sparse(), "other": jnp.array([1.0, 2.0])}
    np.testing.assert_allclose(optcore.global_norm(g), optcore.global_norm(dense(g)), rtol=1e-6)
    apart = jnp.linalg.norm(jnp.append(g["table"].values, g["other"]))
    assert abs(apart - optcore.global_norm(g)) > 0.1, "the test cannot tell"


def test_is_a_pytree_of_two_arrays():
    paths, _ = jax.tree_util.tree_flatten_with_path({"t": sparse()})
    assert [jax.tree_util.keystr(path) for path, _ in paths] == ["['t'].indices", "['t'].values"]
    scanned, _ = jax.lax.scan(lambda g, _: (g.with_values(2 * g.values), None), sparse(), length=3)
    np.testing.assert_allclose(scanned.todense(), 8 * sparse().todense(), rtol=1e-6)


def test_places_that_are_not_used_stay_zero():
    """Whatever is computed there: 0/0 would spoil every norm behind it."""
    g = RowSparse(jnp.array([1, 1]), jnp.ones((2, 1)), (3, 1)).summed()
    assert g.with_values(jnp.array([[2.0], [jnp.nan]])).values.ravel().tolist() == [2, 0]
    assert g.mapped(lambda x, _: x + 1, None).values.ravel().tolist() == [3, 0]


def test_with_values_of_another_shape():
    with pytest.raises(ValueError, match="expected values of shape"):
        sparse().with_values(jnp.ones(3))


@jax.numpy_dtype_promotion("standard")
def test_mapped_by_mistake():
    g = jax.tree.map(lambda x: x * 0.5, {"t": sparse()})
    params = {"t": table()}
    for call in (
        lambda: optcore.apply_updates(params, g),
        lambda: optcore.sgd(0.1).update(g, optcore.sgd(0.1).init(params), params=params),
    ):
        with pytest.raises(
            ValueError, match=r"'t' .* indices must be integers: did jax.tree.map change them"
        ):
            call()


@pytest.mark.parametrize("params", [table(), np.asarray(table())], ids=["jax", "numpy"])
def test_optax_apply_updates_says_what_to_do(params):
    optax = pytest.importorskip("optax", reason="its apply_updates is called")
    for apply in (optax.apply_updates, jax.jit(optax.apply_updates)):
        with pytest.raises(
            TypeError, match=r"use optcore\.apply_updates, which adds it to its rows"
        ):
            apply({"t": params}, {"t": sparse()})


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.complex64])
def test_apply_updates_adds_in_float32_and_rounds_once(dtype):
    params, g = {"t": table(dtype=dtype), "b": jnp.ones(2)}, sparse(3)
    if dtype == jnp.complex64:
        g = g.astype(dtype)
    updates = {"t": g, "b": None}
    got = jax.jit(optcore.apply_updates)(params, updates)
    expected = optcore.apply_updates(params, dense(updates))
    assert got["t"].dtype == dtype
    np.testing.assert_array_equal(got["t"], expected["t"])
    np.testing.assert_array_equal(got["b"], 1)


@pytest.mark.slow
def test_vmap_is_a_loop():
    gs = [sparse(i) for i in range(3)]
    tables = [table(i) for i in range(3)]

    def f(g, t):
        return optcore.apply_updates({"t": t}, {"t": g}), optcore.global_norm(g), g.summed().values

    stacked = jax.tree.map(lambda *x: jnp.stack(x), *gs)
    mapped = jax.vmap(f)(stacked, jnp.stack(tables))
    looped = jax.tree.map(lambda *x: jnp.stack(x), *map(f, gs, tables))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), mapped, looped)


def test_repr_says_what_it_is():
    shape = (ROWS, COLUMNS)
    assert repr(sparse()) == f"RowSparse(indices=int32[5], values=float32[5,3], shape={shape})"
    assert repr(jax.tree.map(lambda _: None, sparse())) == f"RowSparse(None, None, shape={shape})"
