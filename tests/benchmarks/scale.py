"""Many devices: what one of them holds, and what they send each other, in a training step.

Nothing runs: all of it is read off programs that XLA compiles for eight virtual CPU devices, in a
process of its own.
"""

import collections
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optcore
from optcore.sharding import state_shardings

from .rows import optax
from .timing import Row

DEVICES = 8
LAYERS, WIDTH = 8, 1024
P = PartitionSpec
PLACES = {"DP": (P(), None), "ZeRO-1": (P(), "data"), "FSDP": (P("data"), None)}
"""How the parameters are cut, and the axis along which the state is cut besides."""


def adamw(lib: Any) -> Any:
    """What every row trains with."""
    return lib.chain(lib.clip_by_global_norm(1.0), lib.adamw(1e-3))


STORAGES: dict[str, tuple[Any, Any]] = {
    "float32": (jnp.float32, adamw),
    "bfloat16, master weights": (
        jnp.bfloat16,
        lambda lib: lib.master_weights(adamw(lib)),
    ),
    "bfloat16, split weights": (
        jnp.bfloat16,
        lambda lib: lib.split_weights(adamw(lib)),
    ),
    "float32, int8 state": (jnp.float32, lambda lib: lib.store(adamw(lib), "int8")),
}
GUARDED = "float32, guard"
_SHAPE = re.compile(r"\b(?:f|bf|s|u|pred)(\d*)\[([\d,]*)\]")
_CALL = re.compile(
    r"= (.*?) (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)


def measure(options: Any) -> Iterator[Row]:
    """A row for each way to place and to store; beside optax's where optax has it."""
    flags = f"--xla_force_host_platform_device_count={DEVICES}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    width = str(math.isqrt(options.size)) if options.size else str(WIDTH)
    for place in PLACES:
        for storage in (*STORAGES, GUARDED):
            name = f"{place}, {storage}"
            if options.picks("scale", name):
                command = [sys.executable, "-m", "tests.benchmarks.scale", place, storage, width]
                done = subprocess.run(
                    command, env=environment, stdout=subprocess.PIPE, text=True, check=True
                )
                yield Row("scale", name, **json.loads(done.stdout.splitlines()[-1]))


def described(place: str, storage: str, width: int) -> dict[str, Any]:
    """The fields of a row."""
    ours = _Program(optcore, place, storage, width)
    ratios, note = {}, ours.text
    if storage in ("float32", GUARDED) and optax and place != "ZeRO-1":
        theirs = _Program(optax, place, storage, width)
        ratios["optax"] = ours.held / theirs.held
        note += f"; optax: {theirs.text}"
    number = LAYERS * width * width
    return {"ours": ours.held / number, "unit": "B/parameter", "ratios": ratios, "note": note}


class _Program:
    """A compiled training step of some layers: what it holds and what it sends."""

    def __init__(self, lib: Any, place: str, storage: str, width: int):
        mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))
        spec, zero = PLACES[place]
        dtype, make = STORAGES.get(storage, STORAGES["float32"])
        tx = make(lib)
        if storage == GUARDED:
            tx = optcore.guard(tx) if lib is optcore else lib.apply_if_finite(tx, 10)

        def struct(shape: tuple[int, ...], dtype: Any, spec: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))

        params = [struct((width, width), dtype, spec) for _ in range(LAYERS)]
        x = struct((32 * DEVICES, width), dtype, P("data"))
        shapes = jax.eval_shape(tx.init, params)
        if lib is optcore:
            shardings = state_shardings(tx, params, zero=zero)
        else:
            shardings = jax.tree.map(
                lambda s: NamedSharding(mesh, spec if s.shape == (width, width) else P()), shapes
            )
        state = jax.tree.map(
            lambda s, sharding: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=sharding),
            shapes,
            shardings,
        )

        def loss(params: Any, x: jax.Array) -> jax.Array:
            for w in params:
                x = jnp.tanh(x @ w)
            return jnp.mean(jnp.square(x.astype(jnp.float32)))

        def step(params: Any, state: Any, x: jax.Array) -> Any:
            grads = jax.grad(loss)(params, x)
            updates, state = tx.update(grads, state, params)
            return lib.apply_updates(params, updates), state

        out = jax.tree.map(lambda p: p.sharding, params), shardings
        jitted = jax.jit(step, donate_argnums=(0, 1), out_shardings=out)
        lowered = jitted.lower(params, state, x)
        began = time.perf_counter()
        compiled = lowered.compile()
        self.seconds = time.perf_counter() - began
        self.sent = _sent(compiled.as_text() or "")
        analysis: Any = compiled.memory_analysis()
        held = {
            "parameters": _on_one(params),
            "gradients": _on_one(params),
            "state": _on_one(state),
            "temporaries": analysis.temp_size_in_bytes,
        }
        self.parts = {name: size / (LAYERS * width * width) for name, size in held.items()}
        # Gradients are among the temporaries of the step.
        self.held = sum(size for name, size in held.items() if name != "gradients")

    @property
    def text(self) -> str:
        """In words."""
        parts = ", ".join(f"{name} {size:.3g}" for name, size in self.parts.items())
        sent = ", ".join(
            f"{count} {kind} of {size / 2**20:.3g} MiB" for kind, (count, size) in self.sent.items()
        )
        return f"{parts}; {sent}; compiled in {self.seconds:.1f} s"


def _on_one(tree: Any) -> int:
    """Bytes on one device."""
    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree)
    )


def _sent(text: str) -> dict[str, tuple[int, int]]:
    """How many operations of each kind, and the bytes that come out of them on one device."""
    found: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
    for shapes, kind in _CALL.findall(text):
        found[kind][0] += 1
        for bits, lengths in _SHAPE.findall(shapes):
            size = np.prod([int(n) for n in lengths.split(",") if n], dtype=int)
            found[kind][1] += int(size) * max(int(bits or 8) // 8, 1)
    return {kind: (count, size) for kind, (count, size) in sorted(found.items())}


if __name__ == "__main__":
    print(json.dumps(described(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
