"""The map over leaves: precision, absence, traces and slots."""

from typing import NamedTuple

import chex
import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optcore import map_leaves, per_leaf, slots
from optcore._core import copies
from tests import oracles
from tests.oracles import double_precision


def momentum(g, m):
    m = 0.5 * m + g
    return -m, m


def test_without_slots_the_result_is_one_tree():
    g = {"a": jnp.array([1.0, 2.0]), "b": (jnp.float32(3.0), None)}
    u = map_leaves(lambda g: 2 * g, g)
    chex.assert_trees_all_equal(u, {"a": jnp.array([2.0, 4.0]), "b": (jnp.float32(6.0), None)})


def test_slots_come_back_each_as_a_tree():
    def leaf(g, m, v, p, scale):
        return g + p, m + 10 * g, scale * v

    trees = [{"a": jnp.float32(x), "b": [jnp.float32(10 * x)]} for x in (1, 2, 3, 4)]
    g, m, v, p = trees
    u, m, v = map_leaves(leaf, g, (m, v), (p,), (jnp.float32(100.0),))
    chex.assert_trees_all_equal(u, {"a": jnp.float32(5), "b": [jnp.float32(50)]})
    chex.assert_trees_all_equal(m, {"a": jnp.float32(12), "b": [jnp.float32(120)]})
    chex.assert_trees_all_equal(v, {"a": jnp.float32(300), "b": [jnp.float32(3000)]})


@pytest.mark.parametrize("jit", [False, True])
def test_where_there_is_no_update_the_slots_stay(jit):
    g = {"a": None, "b": jnp.float32(1.0), "c": np.zeros(2, jax.dtypes.float0)}
    m = {"a": jnp.float32(7.0), "b": jnp.float32(2.0), "c": None}
    for missing in (m, {**m, "a": None}):
        if jit:
            # float0 cannot be an argument of a jitted function; a closure holds it.
            rest = {"a": g["a"], "c": g["c"]}

            def call(b, m, rest=rest):
                return map_leaves(momentum, {**rest, "b": b}, (m,))

            u, new = jax.jit(call)(g["b"], missing)
        else:
            u, new = map_leaves(momentum, g, (missing,))
        assert u["a"] is None
        assert u["c"] is None
        assert u["b"] == -2
        chex.assert_trees_all_equal(new, {**missing, "b": jnp.float32(2.0)})


@pytest.mark.parametrize("tree", [(), {}, {"a": ()}, None])
def test_trees_without_leaves(tree):
    u, m = map_leaves(momentum, tree, (tree,))
    assert u == tree
    assert m == tree


def test_narrow_leaves_are_computed_in_float32():
    def leaf(g, m, p):
        assert g.dtype == m.dtype == p.dtype == jnp.float32
        return g / 3, m + g / 3

    g, p = jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.float16)
    u, m = map_leaves(leaf, g, (jnp.zeros(2, jnp.bfloat16),), (p,))
    assert u.dtype == jnp.float32
    np.testing.assert_allclose(u, 1 / 3, rtol=1e-7)
    assert m.dtype == jnp.bfloat16
    np.testing.assert_array_equal(m, jnp.full(2, 1 / 3, jnp.bfloat16))


def test_the_widest_leaf_decides():
    def leaf(g, m, z, rate):
        assert g.dtype == m.dtype == rate.dtype == jnp.float64
        assert z.dtype == jnp.complex128
        return g * rate, m + g

    with double_precision():
        g, m = jnp.full(2, 1 / 3, jnp.float64), jnp.zeros(2, jnp.float32)
        z = jnp.zeros(2, jnp.complex64)
        u, m = map_leaves(leaf, g, (m,), (z,), (jnp.float32(2.0),))
        assert u.dtype == jnp.float64
        np.testing.assert_allclose(u, 2 / 3, rtol=1e-15)
        assert m.dtype == jnp.float32


def test_a_real_scalar_of_the_step_acts_on_complex_leaves():
    def leaf(g, m, rate):
        return rate * g / (rate + jnp.abs(m)), m

    z = jnp.array([2 + 4j])
    u, m = map_leaves(leaf, z, (jnp.zeros(1, jnp.complex64),), scalars=(jnp.float32(0.5),))
    np.testing.assert_array_equal(u, z)
    assert u.dtype == m.dtype == jnp.complex64


def test_one_trace_per_distinct_signature():
    traced = []

    def leaf(g, m, c):
        traced.append(g.shape)
        return c * g, m + g

    g = {
        "layers": [{"w": jnp.ones((2, 3)), "b": jnp.ones(3)} for _ in range(10)],
        "half": jnp.ones((2, 3), jnp.bfloat16),
    }
    m = jax.tree.map(lambda x: jnp.zeros(x.shape), g)
    u, m = jax.jit(lambda g, m, c: map_leaves(leaf, g, (m,), scalars=(c,)))(g, m, jnp.float32(2))
    assert sorted(traced) == [(2, 3), (2, 3), (3,)]
    chex.assert_trees_all_equal(u["layers"][9], {"w": jnp.full((2, 3), 2.0), "b": jnp.full(3, 2.0)})


def test_eager_and_traced_give_the_same():
    g, m = oracles.start(), oracles.start(5)
    eager = map_leaves(momentum, g, (m,))
    traced = jax.jit(lambda g, m: map_leaves(momentum, g, (m,)))(g, m)
    chex.assert_trees_all_close(eager, traced, rtol=1e-6)


def test_a_slot_may_be_a_subtree():
    def leaf(g, pair):
        return g, {"sum": pair["sum"] + g, "rows": pair["rows"] + g.sum(1)}

    g = {"w": jnp.ones((2, 3))}
    s = {"w": {"sum": jnp.zeros((2, 3), jnp.bfloat16), "rows": jnp.ones(2)}}
    _, s = map_leaves(leaf, g, (s,))
    assert s["w"]["sum"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(s["w"]["rows"], [4.0, 4.0])


def test_a_slot_of_another_tree_is_refused():
    with pytest.raises(ValueError, match=r"[Dd]ict"):
        map_leaves(momentum, {"a": jnp.ones(2)}, (jnp.ones(2),))


def test_derivatives_pass_through_every_argument():
    def total(g, m, p, c):
        u, m = map_leaves(lambda g, m, p, c: (g * c, m * p), g, (m,), (p,), (c,))
        return u + 10 * m

    slopes = jax.grad(total, argnums=(0, 1, 2, 3))(*map(jnp.float32, (2.0, 3.0, 5.0, 7.0)))
    assert [float(s) for s in slopes] == [7.0, 50.0, 30.0, 2.0]


DTYPES = [jnp.bfloat16, jnp.float16, jnp.float32, jnp.complex64]
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
leaves = st.one_of(
    st.none(), st.builds(lambda s, d: jnp.full(s, 1.5, d), shapes, st.sampled_from(DTYPES))
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=5,
)


@oracles.quick
@given(trees)
def test_slots_and_updates_look_like_the_tree(tree):
    m = slots(tree)
    chex.assert_trees_all_equal_structs(m, tree)
    chex.assert_trees_all_equal_shapes(m, tree)
    u, new = map_leaves(momentum, tree, (m,))
    chex.assert_trees_all_equal_shapes_and_dtypes(new, m)
    chex.assert_trees_all_equal_shapes_and_dtypes(u, m)
    chex.assert_trees_all_equal(new, jax.tree.map(lambda x: jnp.full_like(x, 1.5), m))


def test_slots():
    params = {
        "h": jnp.ones(2, jnp.float16),
        "z": jnp.ones(3, jnp.complex64),
        "n": jnp.int32(3),
        "x": 1.0,
    }
    dtypes = {"h": "float32", "z": "complex64", "n": None, "x": "float32"}
    assert as_names(slots(params)) == dtypes
    assert as_names(slots(params, real=True)) == {**dtypes, "z": "float32"}
    narrow = {**dict.fromkeys(dtypes, "bfloat16"), "n": None}
    assert as_names(slots(params, jnp.bfloat16)) == {**narrow, "z": "complex64"}
    assert as_names(slots(params, jnp.bfloat16, real=True)) == {**narrow, "z": "float32"}
    filled = slots(params, fill=2.5)
    np.testing.assert_array_equal(filled["h"], [2.5, 2.5])
    assert as_names(filled) == dtypes
    traced = jax.jit(lambda fill: slots(jnp.ones(2), fill=fill))(2.5)
    np.testing.assert_array_equal(traced, [2.5, 2.5])


def as_names(tree):
    return {k: None if x is None else x.dtype.name for k, x in tree.items()}


def test_slots_of_abstract_parameters():
    params = {"h": jax.ShapeDtypeStruct((2, 3), jnp.bfloat16)}
    chex.assert_trees_all_equal(slots(params), {"h": jnp.zeros((2, 3))})


def test_slots_lie_where_the_parameters_lie():
    mesh = jax.make_mesh((4,), ("x",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:4])
    sharding = jax.sharding.NamedSharding(mesh, jax.P("x"))
    p = jax.device_put(jnp.ones((8, 2)), sharding)
    for fill in (0.0, 3.0):
        assert slots(p, fill=fill).sharding.is_equivalent_to(sharding, 2)


def test_copies_share_nothing_and_keep_their_types():
    params = {"w": jnp.ones(2, jnp.bfloat16), "n": jnp.int32(1), "x": 2.0, "none": None}
    made = copies(params)
    assert made["n"] is None
    assert made["none"] is None
    np.testing.assert_array_equal(made["w"], params["w"])
    assert made["w"].dtype == jnp.bfloat16
    assert made["w"].unsafe_buffer_pointer() != params["w"].unsafe_buffer_pointer()
    assert not made["x"].weak_type
    assert made["x"] == 2
    abstract = copies(jax.ShapeDtypeStruct((3,), jnp.complex64))
    assert (abstract.shape, abstract.dtype) == ((3,), jnp.complex64)


class Remembered(NamedTuple):
    count: jax.Array
    mu: jax.Array


class Uncounted(NamedTuple):
    mu: jax.Array


def remembered(params):
    return Remembered(jnp.zeros((), jnp.int32), jnp.zeros_like(params))


def uncounted(params):
    return Uncounted(jnp.zeros_like(params))


MISTAKES = {
    "a name": (lambda: (remembered, lambda g, m: (g, m), "mu"), "sequence of names"),
    "no init": (lambda: (None, lambda g, m: (g, m), ("mu",)), "so give init"),
    "no such field": (lambda: (remembered, lambda g, m: (g, m), ("nu",)), "without nu"),
    "no count": (
        lambda: (uncounted, lambda g, m, t: (g, m), ("mu",), lambda t: (t,)),
        "without count",
    ),
    "a dict": (
        lambda: (lambda p: {"mu": p}, lambda g, m: (g, m), ("mu",)),
        "must be a NamedTuple with the fields mu, got dict without mu",
    ),
    "too few": (
        lambda: (remembered, lambda g, m: g, ("mu",)),
        "must return the update and 1 slots",
    ),
    "too many": (lambda: (None, lambda g: (g, g), ()), "must return the update alone"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_with_per_leaf_is_explained(name):
    make, message = MISTAKES[name]
    init, leaf, names, *scalars = make()

    def step(params):
        tx = per_leaf(init, leaf, names, scalars=scalars[0] if scalars else None)
        return tx.update(params, tx.init(params))

    with pytest.raises(TypeError, match=message):
        step(jnp.ones(2))
