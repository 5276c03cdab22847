"""Norms against float64, in every kernel that some platform runs, and over several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optcore
from optcore import global_norm
from optcore._core import _norm, norm_along
from tests.oracles import double_precision

on_every_platform = pytest.mark.usefixtures("platform")
REAL = np.array([[3.0, -4.0], [12.0, 0.5]])
COMPLEX = REAL + 1j * REAL[::-1]
TREES = {
    "plain": [REAL],
    "huge": [1e30 * REAL],
    "tiny": [1e-30 * REAL],
    "largest": [1e37 * REAL],
    "smallest": [1e-37 * REAL],
    "squares just overflow": [2e19 * np.ones(1)],
    "squares just vanish": [1e-23 * REAL],
    "squares lose digits": [3e-20 * REAL],
    "sum of squares overflows": [1.5e19 * np.ones(3)],
    "mixed": [np.array([3e30, 4e-30, 0.0, 1.0])],
    "mixed leaves": [3e25 * REAL, 1e-25 * REAL, REAL],
    "one leaf huge among small": [1e-3 * REAL] * 9 + [1e28 * REAL],
    "all leaves tiny": [1e-30 * REAL] * 9 + [np.array(2e-30), 1e-32 * COMPLEX],
    "complex": [COMPLEX],
    "complex huge": [1e30 * COMPLEX],
    "complex tiny": [1e-30 * COMPLEX],
    "only the imaginary part huge": [REAL + 1e30j],
    "zero": [0 * REAL, 0 * COMPLEX],
    "infinite": [np.array([1.0, -np.inf]), 1e-30 * REAL],
    "NaN": [np.array([1.0, np.nan]), 1e30 * REAL],
    "infinite and NaN": [np.array([np.inf, np.nan])],
    "a large leaf": [1e-30 * np.ones((300, 300)), 2e-30 * np.ones(2)],
}


def close(got, expected, tolerance=2e-6):
    """Also where both are tiny, which `pytest.approx` takes for 0 unless it is told otherwise."""
    np.testing.assert_allclose(got, expected, tolerance)


def exact(tree):
    """The norm in float64 of numbers whose squares float64 holds."""
    return float(np.sqrt(sum(np.sum(np.abs(x) ** 2) for x in map(np.asarray, tree))))


def narrowed(tree, dtype):
    """In this width, complex where it is."""
    paired = {"float32": "complex64", "float64": "complex128", "bfloat16": "complex64"}
    return [jnp.asarray(x, paired[dtype] if np.iscomplexobj(x) else dtype) for x in tree]


def widened(tree):
    return [np.asarray(x, np.complex128 if jnp.iscomplexobj(x) else np.float64) for x in tree]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
@on_every_platform
def test_norm_against_float64(tree, compiled):
    leaves = narrowed(tree, "float32")
    norm = jax.jit(lambda leaves: global_norm(leaves)) if compiled else global_norm
    close(norm(leaves), exact(widened(leaves)))


@pytest.mark.parametrize("magnitude", [1e30, 1e-30])
@on_every_platform
def test_norm_of_one_number(magnitude):
    """XLA computes with one number otherwise than with several."""
    for shape in ((), (1,), (1, 1)):
        x = jnp.full(shape, -magnitude)
        for tree in (x, [x, jnp.zeros(3)], [x.astype(jnp.bfloat16)], [x + 0j]):
            got = jax.jit(lambda tree: global_norm(tree))(tree)
            close(got, magnitude, 4e-3)


@pytest.mark.parametrize("name", ["plain", "huge", "tiny", "mixed leaves", "complex huge", "NaN"])
@on_every_platform
def test_norm_of_bfloat16_against_float64(name):
    leaves = narrowed(TREES[name], "bfloat16")
    total = jax.jit(lambda leaves: global_norm(leaves))(leaves)
    assert total.dtype == jnp.float32
    close(total, exact(widened(leaves)))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@on_every_platform
def test_norm_of_narrow_leaves_is_computed_wide(dtype):
    # The square of 300 is beyond float16, and 10000 equal terms stop adding up in bfloat16.
    x = jnp.full((100, 100), 300.0, dtype)
    total = global_norm({"x": x, "y": jnp.zeros(3, dtype)})
    assert total.dtype == jnp.float32
    close(total, float(x[0, 0]) * 100, 1e-5)
    slope = jax.grad(global_norm)(x)
    assert slope.dtype == dtype
    close(slope.astype(jnp.float32), 0.01, 1e-2)


@pytest.mark.parametrize("count", [1, 2, 8, 9, 30])
@pytest.mark.parametrize("magnitude", [1e-30, 1.0, 1e25])
@on_every_platform
def test_norm_of_few_and_of_many_leaves_of_a_kind(count, magnitude):
    rng = np.random.default_rng(count)
    tree = {
        name: [rng.standard_normal(shape) * magnitude for _ in range(count)]
        for name, shape in {
            "matrix": (3, 4),
            "vector": (5,),
            "scalar": (),
            "large": (300, 300),
        }.items()
        if name != "large" or count < 3
    }
    narrow = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
    whole = np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])
    for norm in (global_norm, jax.jit(lambda tree: global_norm(tree))):
        close(norm(narrow), np.linalg.norm(whole))


@on_every_platform
def test_norm_of_complex_and_mixed_leaves():
    tree = [jnp.array([3 + 4j, 12j]), jnp.float32(84.0), jnp.int32(10**6), jnp.bfloat16(0)]
    total = global_norm(tree)
    assert total.dtype == jnp.float32
    close(total, 85.0)


@pytest.mark.parametrize("tree", [(), {}, None, {"a": None}, jnp.zeros((0, 3)), [jnp.int32(3)]])
def test_norm_of_nothing_is_zero(tree):
    total = global_norm(tree)
    assert total.shape == ()
    assert total.dtype == jnp.float32
    assert total == 0


@pytest.mark.parametrize("magnitude", [1e300, 1e30, 1.0, 1e-30, 1e-300])
@on_every_platform
def test_norm_in_double_precision(magnitude):
    with double_precision():
        leaves = narrowed([magnitude * REAL, magnitude * COMPLEX, np.array(-magnitude)], "float64")
        expected = magnitude * exact([REAL, COMPLEX, np.array(1.0)])
        for norm in (global_norm, jax.jit(lambda leaves: global_norm(leaves))):
            assert norm(leaves).dtype == jnp.float64
            close(norm(leaves), expected, 1e-13)
        total = global_norm([jnp.array([3e30, 4e30]), jnp.ones(2, jnp.float32)])
        assert total.dtype == jnp.float64
        close(total, 5e30, 1e-12)


@pytest.mark.parametrize("magnitude", [1e30, 1e18, 1.0, 1e-18, 1e-30])
@on_every_platform
def test_derivative_of_the_norm(magnitude):
    leaves = narrowed([magnitude * REAL, magnitude * COMPLEX, np.array(-magnitude)], "float32")
    whole = exact(widened(leaves))
    for slope in (jax.grad(global_norm), jax.jit(jax.grad(lambda leaves: global_norm(leaves)))):
        for got, x in zip(slope(leaves), widened(leaves), strict=True):
            # JAX's derivative by a complex number is the conjugate of the direction of ascent.
            close(got, (x / whole).conj())


@on_every_platform
def test_derivative_of_the_norm_is_zero_at_zero():
    x = {"a": jnp.zeros(3), "b": jnp.zeros((), jnp.complex64)}
    slopes = jax.jit(jax.grad(lambda x: global_norm(x)))(x)
    np.testing.assert_array_equal(slopes["a"], np.zeros(3))
    assert slopes["b"] == 0


@on_every_platform
def test_norms_under_vmap_are_rescued_one_by_one():
    x = np.float32([[3e30, 4e30], [3.0, 4.0], [3e-30, 4e-30], [0.0, 0.0], [np.nan, 1.0]])
    norms = jax.jit(jax.vmap(lambda x: global_norm(x)))(x)
    close(norms, [5e30, 5, 5e-30, 0, np.nan])


@on_every_platform
def test_leaves_of_one_kind_are_traced_once(monkeypatch):
    traced = []
    monkeypatch.setattr(_norm, "abs_sq", lambda x: traced.append(x.shape) or x * x)
    leaves = [jnp.ones((_norm.LARGE // 4, 4 + i % 2)) for i in range(20)]
    jax.make_jaxpr(lambda leaves: global_norm(leaves))(leaves)
    # Two kinds, as they are and times a factor.
    assert len(traced) <= 4


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_which_kernel_a_platform_runs(platform, count, monkeypatch):
    """A branch on a single CPU, and only there: in a loop, collectives could not be combined."""
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jax, "device_count", lambda: count)
    branches = "while[" in str(jax.make_jaxpr(lambda x: global_norm(x))(jnp.ones(8)))
    assert branches == (platform == "cpu" and count == 1)


ROWS = np.array([[3.0, 1e-3, 0.0], [-4.0, 2.0, 0.0], [12.0, 1.0, 0.0]])


@on_every_platform
@pytest.mark.parametrize("axes", [0, (1,), (0, 1)])
@pytest.mark.parametrize("imaginary", [0, 1j])
@pytest.mark.parametrize("magnitude", [1e36, 1e30, 1e12, 1.0, 1e-12, 1e-30, 1e-34])
def test_norm_along_axes_against_float64(magnitude, imaginary, axes):
    x = magnitude * (ROWS + imaginary * ROWS[::-1])
    (narrow,) = narrowed([x], "float32")

    def along(x):
        # As in the function for a leaf, where it is called.
        with jax.numpy_dtype_promotion("standard"):
            return norm_along(x, axes)

    (got, back) = jax.jit(lambda x: jax.vjp(along, x))(narrow)
    assert got.dtype == jnp.float32
    expected = np.sqrt(np.sum(np.abs(x) ** 2, axis=axes, keepdims=True))
    close(got, expected)
    close(along(narrow), expected)
    whole = np.where(expected > 0, expected, 1)
    (slope,) = back(jnp.ones_like(got))
    close(slope, (x / whole).conj())


@on_every_platform
def test_norm_along_an_axis_rescues_each_by_itself():
    x = np.float32([[3e30, 3.0, 3e-30, 0.0, np.inf, np.nan], [4e30, 4.0, 4e-30, 0.0, 1.0, 1.0]])
    close(norm_along(x, 0), [[5e30, 5, 5e-30, 0, np.inf, np.nan]])


@on_every_platform
def test_norm_along_an_axis_in_double_precision():
    with double_precision():
        got = norm_along(jnp.array([[3e300, 3e-300], [4e300, 4e-300]]), 0)
        close(got, [[5e300, 5e-300]], 1e-14)


@on_every_platform
def test_norm_along_an_axis_of_length_zero():
    np.testing.assert_array_equal(norm_along(jnp.zeros((0, 2)), 0), np.zeros((1, 2)))


def devices():
    return Mesh(np.array(jax.devices()), ("d",))


def spread(tree):
    """The first axis of every leaf over all devices."""
    sharding = NamedSharding(devices(), PartitionSpec("d"))
    return jax.tree.map(lambda x: jax.device_put(x, sharding), tree)


def gradients(magnitude):
    """A matrix and a vector, of which every device holds two rows and one number."""
    rng = np.random.default_rng(0)
    tree = {"w": rng.normal(size=(16, 3)), "b": rng.normal(size=8), "z": np.zeros(8)}
    return jax.tree.map(lambda x: np.float32(magnitude * x), tree)


MAGNITUDES = pytest.mark.parametrize("magnitude", [1e30, 1e-30])


@MAGNITUDES
@on_every_platform
def test_jit_over_devices_gives_the_norm_of_the_whole(magnitude):
    g = gradients(magnitude)
    for tree in (g, {"b": g["b"]}):
        got = jax.jit(lambda tree: global_norm(tree))(spread(tree))
        expected = exact(widened(jax.tree.leaves(tree)))
        close(got, expected)


def guarded(magnitude):
    """Clipped to a quarter, then ten times an average; the last is not finite where an input is."""
    clip = optcore.clip_by_global_norm(0.25 * magnitude)
    return optcore.guard(optcore.chain(clip, optcore.ema(0.5), optcore.scale(10.0)))


@MAGNITUDES
@on_every_platform
@pytest.mark.sample(2)
def test_jit_over_devices_clips_and_guards_as_on_one(magnitude):
    g, tx = gradients(magnitude), guarded(magnitude)
    bad = {**g, "b": np.where(np.arange(8) == 5, np.float32(np.inf), g["b"])}

    def run(place):
        step = jax.jit(lambda g, state: tx.update(g, state))
        state = tx.init(place(g))
        made = []
        for grads in (g, bad, g):
            updates, state = step(place(grads), state)
            made.append(jax.tree.map(np.asarray, (updates, state)))
        return made

    one, all_of_them = run(lambda tree: jax.tree.map(jnp.asarray, tree)), run(spread)
    jax.tree.map(close, all_of_them, one)
    (first, _), (skipped, state), (_, last) = all_of_them
    norm = exact(widened(jax.tree.leaves(first)))
    close(norm, 2.5 * magnitude)
    assert not any(np.any(x) for x in jax.tree.leaves(skipped))
    assert (state.skipped, last.skipped, last.total_notfinite) == (1, 0, 1)


@MAGNITUDES
def test_inside_shard_map_the_norm_is_that_of_the_whole(magnitude):
    g = gradients(magnitude)
    part, own = PartitionSpec("d"), np.float32([3.0]) * magnitude

    def norms(g, own):
        return global_norm((g, own)), global_norm(g["b"]), global_norm(own)

    inside = jax.shard_map(
        norms, mesh=devices(), in_specs=(part, PartitionSpec()), out_specs=PartitionSpec()
    )
    expected = [(*g.values(), own), [g["b"]], [own]]
    for got, leaves in zip(jax.jit(inside)(g, own), expected, strict=True):
        close(got, exact(widened(list(leaves))))


@MAGNITUDES
def test_the_norm_of_parts_has_the_derivative_of_the_whole(magnitude):
    g = gradients(magnitude)
    part = PartitionSpec("d")
    inside = jax.shard_map(global_norm, mesh=devices(), in_specs=part, out_specs=PartitionSpec())
    slopes = jax.jit(jax.grad(lambda g: inside(g)))(g)
    norm = exact(widened(jax.tree.leaves(g)))
    jax.tree.map(lambda slope, x: close(slope, x / norm, 1e-5), slopes, g)


@MAGNITUDES
def test_inside_shard_map_all_devices_clip_and_guard_alike(magnitude):
    """An infinity that one of them holds makes all of them skip."""
    g, tx = gradients(magnitude), guarded(magnitude)
    bad = {**g, "b": np.where(np.arange(8) == 5, np.float32(np.inf), g["b"])}

    def steps(*grads):
        state, made = tx.init(grads[0]), []
        for g in grads:
            updates, state = tx.update(g, state)
            made.append((updates, (state.skipped, state.total_notfinite)))
        return made

    part = PartitionSpec("d")
    out = [(part, PartitionSpec())] * 3
    inside = jax.shard_map(steps, mesh=devices(), in_specs=(part,) * 3, out_specs=out)
    for got, expected in zip(jax.jit(inside)(g, bad, g), steps(g, bad, g), strict=True):
        jax.tree.map(close, got, expected)
