"""One run by several processes: `python -m tests.sharding.processes PORT COUNT NUMBER FOLDER`.

Each process writes what it has at the end, as JSON. All together write checkpoints, and read them.
"""

import importlib.util
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optcore
from optcore.sharding import init_sharded, state_shardings

P = PartitionSpec
LAYOUTS = {"data parallel": P(), "fully sharded": P("data")}
STEPS = 6
SPOILT = 2
"""The step in whose batch the last example, which the last process holds, is NaN."""

OPTIMIZERS = {
    "clipped": lambda: optcore.chain(optcore.clip_by_global_norm(0.1), optcore.adamw(1e-2)),
    "adafactor": lambda: optcore.adafactor(1e-2, min_dim_size_to_factor=2),
    "guard": lambda: optcore.guard(
        optcore.chain(optcore.clip_by_global_norm(0.1), optcore.adamw(1e-2))
    ),
    "accumulate": lambda: optcore.accumulate(optcore.adamw(1e-2), 2),
    "loss_scale": lambda: optcore.dynamic_loss_scale(optcore.adamw(1e-2), 8.0, growth_steps=2),
    "int8": lambda: optcore.store(optcore.adamw(1e-2), "int8", min_size=1, block=8),
}
SKIPPING = ("guard", "accumulate", "loss_scale")


def batches(spoilt):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, 16, 32)).astype(np.float32)
    y = rng.normal(size=(STEPS, 16, 8)).astype(np.float32)
    if spoilt:
        x[SPOILT, -1, 0] = np.nan
    return x, y


def start():
    rng = np.random.default_rng(1)
    return {
        "w": rng.normal(size=(32, 8)).astype(np.float32) / 4,
        "b": np.zeros(8, np.float32),
    }


def loss(params, x, y):
    return jnp.mean(jnp.square(x @ params["w"] + params["b"][None] - y))


def step_of(tx):
    def step(params, state, x, y):
        if "scale" in getattr(state, "_fields", ()):
            _, grads = optcore.scaled_value_and_grad(loss)(state, params, x, y)
        else:
            grads = jax.grad(loss)(params, x, y)
        updates, state = tx.update(grads, state, params)
        return optcore.apply_updates(params, updates), state

    return step


def numbers(state):
    """What was counted and decided."""
    fields = ("count", "mini_step", "skipped", "total_notfinite", "scale", "finite_count")
    held = {name for name in getattr(state, "_fields", ()) if getattr(state, name) is not None}
    return {name: float(getattr(state, name)) for name in fields if name in held}


def trained_alone(name):
    """The end of the run of one process and one device."""
    tx = OPTIMIZERS[name]()
    params = jax.tree.map(jnp.asarray, start())
    state, step = tx.init(params), jax.jit(step_of(tx))
    for x, y in zip(*batches(name in SKIPPING), strict=True):
        params, state = step(params, state, x, y)
    return params, numbers(state)


def check_restored(folder, tree, shardings):
    """What all processes write with orbax comes back in the same places."""
    orbax = importlib.import_module("orbax.checkpoint")
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder, tree)
        checkpointer.wait_until_finished()
        abstract = jax.tree.map(
            lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            tree,
            shardings,
        )
        restored = checkpointer.restore(folder, abstract)
    for old, new in zip(jax.tree.leaves(tree), jax.tree.leaves(restored), strict=True):
        assert new.sharding == old.sharding
        for a, b in zip(old.addressable_shards, new.addressable_shards, strict=True):
            np.testing.assert_array_equal(a.data, b.data)


def trained_together(name, layout, folder):
    """The same by all processes; compiled once, and the shardings stay."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    tx, spec = OPTIMIZERS[name](), LAYOUTS[layout]

    def put(x, spec):
        return jax.make_array_from_callback(x.shape, NamedSharding(mesh, spec), lambda i: x[i])

    params = jax.tree.map(lambda p: put(p, spec), start())
    shardings = jax.tree.map(lambda p: p.sharding, params), state_shardings(tx, params)
    state = init_sharded(tx, params)
    step = jax.jit(step_of(tx), out_shardings=shardings)
    for x, y in zip(*batches(name in SKIPPING), strict=True):
        params, state = step(params, state, put(x, P("data")), put(y, P("data")))
    assert step._cache_size() == 1
    if importlib.util.find_spec("orbax"):
        check_restored(folder / f"{name} {layout}", (params, state), shardings)
    whole = multihost_utils.process_allgather(params, tiled=True)
    return {"params": jax.tree.map(np.ndarray.tolist, whole), "numbers": numbers(state)}


def main(port, count, number, folder):
    folder = pathlib.Path(folder)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(number))
    found = {
        f"{name}, {layout}": trained_together(name, layout, folder)
        for name in OPTIMIZERS
        for layout in LAYOUTS
    }
    (folder / f"{number}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
