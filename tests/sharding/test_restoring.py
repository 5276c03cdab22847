"""A run that is saved by eight devices goes on with fewer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optcore
from optcore.sharding import init_sharded, state_shardings
from optcore.testing._subject import assert_close
from tests import oracles

ocp = pytest.importorskip("orbax.checkpoint")

P = PartitionSpec
SPECS = {"w": P("data", "model"), "b": P("model")}
OPTIMIZERS = {
    "adamw": lambda: optcore.adamw(0.1),
    "adafactor": lambda: optcore.adafactor(0.1, min_dim_size_to_factor=2),
    "int8": lambda: optcore.store(optcore.adam(0.1), "int8", min_size=1, block=4),
    "guarded": lambda: optcore.guard(optcore.accumulate(optcore.adam(0.1), 2)),
    "noise": lambda: optcore.chain(
        optcore.add_noise(1.0, 0.5, jax.random.key(0)), optcore.sgd(0.1, momentum=0.9)
    ),
    "average": lambda: optcore.with_average(optcore.adam(0.1), "lawa", window=2),
    "scheduled": lambda: optcore.inject(optcore.adam(optcore.cosine_decay_schedule(0.1, 10))),
}


def on(shape, kind):
    devices = jax.devices()[: int(np.prod(shape))]
    return jax.make_mesh(shape, ("data", "model"), devices=devices, axis_types=(kind,) * 2)


def put(tree, mesh):
    return {name: jax.device_put(x, NamedSharding(mesh, SPECS[name])) for name, x in tree.items()}


def numbers(seed):
    rng = np.random.default_rng(seed)
    shapes = {"w": (8, 8), "b": (8,)}
    return {name: jnp.asarray(rng.normal(size=s), jnp.float32) for name, s in shapes.items()}


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.sample(3)
def test_it_goes_on_with_fewer_devices(name, kind, tmp_path):
    tx, many, few = OPTIMIZERS[name](), on((4, 2), kind), on((2, 2), kind)

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optcore.apply_updates(params, updates), state

    params = put(numbers(0), many)
    half = jax.jit(step)(params, init_sharded(tx, params), put(numbers(1), many))
    expected = jax.jit(step)(*half, put(numbers(2), many))

    def abstract(x, sharding):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    targets = {n: abstract(x, NamedSharding(few, SPECS[n])) for n, x in numbers(0).items()}
    shapes = jax.eval_shape(tx.init, params)
    state = jax.tree.map(abstract, shapes, state_shardings(tx, targets))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "half", half)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "half", (targets, state))
    compiled = jax.jit(lambda *args: step(*args))
    got = compiled(*restored, put(numbers(2), few))
    with oracles.count_compilations() as again:
        compiled(*got, put(numbers(2), few))
    assert again == []
    assert_close(got, expected, 1e-5)
