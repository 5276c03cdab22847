"""Where the arrays of a state belong; `state_lies_on_the_mesh` asks it of every transformation."""

import math
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optcore
from optcore.sharding import init_sharded, state_shardings
from tests import oracles
from tests.benchmarks import scale

P = PartitionSpec
README = pathlib.Path(optcore.sharding.__file__).parent / "README.md"


def mesh(kind=AxisType.Auto, shape=(4, 2), names=("data", "model")):
    return jax.make_mesh(shape, names, axis_types=(kind,) * len(shape))


def placed(on, **specs):
    """Parameters of these specs; a letter for each axis, of 8 elements."""
    return {
        name: jax.device_put(
            jnp.linspace(0.1, 1.0, 8 ** len(spec)).reshape((8,) * len(spec)),
            NamedSharding(on, P(*spec)),
        )
        for name, spec in specs.items()
    }


def specs(tree):
    return jax.tree.map(lambda sharding: sharding.spec, tree)


def test_slots_are_cut_as_their_parameters():
    params = placed(mesh(), w=("data", "model"), b=("model",))
    found = specs(state_shardings(optcore.scale_by_adam(), params))
    assert found.count == P()
    assert found.mu == found.nu == {"w": P("data", "model"), "b": P("model")}


def test_a_factored_slot_keeps_the_axes_that_it_has():
    params = placed(mesh(), w=("data", "model"), b=("model",))
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2)
    found = specs(state_shardings(tx, params))
    assert found.nu_row["w"] == P("data")
    assert found.nu_col["w"] == P(None, "model")
    assert found.nu["b"] == P("model")


def test_what_the_devices_do_not_divide_is_left_whole():
    params = placed(mesh(), w=("data", "model"), both=(("data", "model"), None))
    state = optcore.store(optcore.trace(0.9), "int8", min_size=1)
    found = specs(state_shardings(state, params))
    codes = found.inner.trace
    # One scale for a block of 8 elements, which two devices cannot share.
    assert codes["w"] == P("data", "model")
    assert {tuple(spec) for spec in jax.tree.leaves(found.scales)} == {
        ("data",),
        (("data", "model"),),
    }
    # Of two mesh axes at one axis as many stay as divide it.
    odd = {"w": jax.ShapeDtypeStruct((4, 3), jnp.float32)}
    cut = {"w": NamedSharding(mesh(), P(("data", "model")))}
    assert specs(state_shardings(optcore.trace(0.9), odd, cut)).trace["w"] == P("data")


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_params_may_be_shapes(kind):
    on = mesh(kind)
    params = placed(on, w=("data", "model"))
    tx = optcore.adafactor(0.1, min_dim_size_to_factor=2)
    expected = state_shardings(tx, params)
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), params)
    own = jax.tree.map(lambda p: p.sharding, params)
    assert state_shardings(tx, shapes, own) == expected
    known = jax.tree.map(
        lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype, sharding=p.sharding), params
    )
    assert state_shardings(tx, known) == expected


def test_zero_cuts_what_is_copied():
    params = placed(mesh(), w=(None, "model"), cut=("data", None), b=(None,))
    params["odd"] = jax.device_put(jnp.ones(7), NamedSharding(mesh(), P()))
    found = specs(state_shardings(optcore.scale_by_adam(), params, zero="data"))
    assert found.count == P()
    assert found.mu == {
        "w": P("data", "model"),
        "cut": P("data"),
        "b": P("data"),
        "odd": P(),
    }
    factored = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2)
    found = specs(state_shardings(factored, placed(mesh(), w=(None, None)), zero="data"))
    assert found.nu_row["w"] == P("data")
    assert found.nu_col["w"] == P()
    both = specs(state_shardings(optcore.scale_by_adam(), params, zero=("data", "model")))
    assert both.mu["b"] == P(("data", "model"))
    assert both.mu["cut"] == P("data", "model")


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optcore.chain(optcore.clip_by_global_norm(0.1), optcore.adamw(0.1)),
        lambda: optcore.adafactor(0.1, min_dim_size_to_factor=2),
        lambda: optcore.store(optcore.adam(0.1), "int8", min_size=1),
        lambda: optcore.guard(optcore.lamb(0.1)),
    ],
    ids=["clip_adamw", "adafactor", "int8", "guard_lamb"],
)
@pytest.mark.sample(None)
def test_zero_gives_what_one_device_gives(make, kind):
    tx, on = make(), mesh(kind, (8,), ("data",))
    alone = {"w": jnp.linspace(-1.0, 1.0, 64).reshape(8, 8), "b": jnp.linspace(0.1, 1.0, 8)}
    grads = jax.tree.map(jnp.sin, alone)
    copied = NamedSharding(on, P())
    params, spread = jax.device_put(alone, copied), jax.device_put(grads, copied)
    wanted = state_shardings(tx, params, zero="data")

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optcore.apply_updates(params, updates), state

    own = jax.tree.map(lambda _: copied, params)
    compiled = jax.jit(step, out_shardings=(own, wanted), donate_argnums=1)
    expected, there = alone, tx.init(alone)
    state = init_sharded(tx, params, zero="data")
    first = state
    for _ in range(3):
        expected, there = jax.jit(step)(expected, there, grads)
        params, state = compiled(params, state, spread)
    assert all(x.is_deleted() for x in jax.tree.leaves(first))
    for sharding, x in zip(jax.tree.leaves(wanted), jax.tree.leaves(state), strict=True):
        assert x.sharding.is_equivalent_to(sharding, x.ndim)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), params, expected
    )


def bytes_on_one_device(state):
    return sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))


def test_the_readme_s_bytes():
    """Of parameters and state; the rest of a row is read off a compiled program."""
    found = re.findall(r"^\| (.+?), (.+?) \| ([\d.]+) \| ([\d.]+) \|", README.read_text(), re.M)
    assert len(found) == len(scale.PLACES) * len(scale.STORAGES)
    on = mesh(shape=(8,), names=("data",))
    for place, storage, of_params, of_state in found:
        spec, zero = scale.PLACES[place]
        dtype, make = scale.STORAGES[storage]
        w = jax.ShapeDtypeStruct((1024, 1024), dtype, sharding=NamedSharding(on, spec))
        tx = make(optcore)
        shapes, shardings = jax.eval_shape(tx.init, w), state_shardings(tx, w, zero=zero)
        sizes = jax.tree.map(
            lambda x, s: math.prod(s.shard_shape(x.shape)) * x.dtype.itemsize, shapes, shardings
        )
        assert f"{sum(jax.tree.leaves(sizes)) / w.size:.3g}" == of_state
        assert w.dtype.itemsize / (8 if spec else 1) == float(of_params)


def test_jit_alone_copies_where_axes_are_automatic():
    """So it is said, and why there is `init_sharded`."""
    params = placed(mesh(), w=("data", "model"))
    state = jax.jit(optcore.scale_by_adam().init)(params)
    assert state.mu["w"].sharding.is_fully_replicated


def test_a_count_that_is_alone_would_compile_twice():
    params = placed(mesh(), w=("data", "model"))
    tx = optcore.adam(0.1)
    step = jax.jit(lambda g, s, p: tx.update(g, s, p))
    _, state = step(params, tx.init(params), params)
    with oracles.count_compilations() as compiled:
        step(params, state, params)
    assert compiled == []


def test_on_one_device_nothing_is_moved():
    params = jnp.ones(3)
    state = optcore.scale_by_adam().init(params)
    assert not isinstance(state.count.sharding, NamedSharding)


def test_of_another_library_nothing_is_known():
    params = placed(mesh(), w=("data", "model"))
    found = specs(state_shardings(optax.scale_by_adam(), params))
    assert found.mu["w"] == P()


def test_errors():
    tx, params = optcore.adam(0.1), placed(mesh(), w=("data",), b=("model",))
    with pytest.raises(ValueError, match=r"'b' has the sharding .*expected a NamedSharding"):
        state_shardings(tx, {**params, "b": jnp.ones(2)})
    other = placed(mesh(shape=(8,), names=("data",)), b=("data",))
    with pytest.raises(ValueError, match="'b' and 'w' are on different meshes"):
        state_shardings(tx, {**params, **other})
    with pytest.raises(ValueError, match=r"zero must name axes.*\('data', 'model'\).*'rows'"):
        state_shardings(tx, params, zero="rows")
    with pytest.raises(ValueError, match="only one of them has 'b'"):
        state_shardings(tx, params, {"w": params["w"].sharding})
    with pytest.raises(ValueError, match="must hold an array with a mesh"):
        state_shardings(tx, {})
