"""Train a small transformer to write Python, on all available devices.

    python examples/train_sharded.py
    python examples/train_sharded.py --devices 8
    python examples/train_sharded.py --processes 2

The parameters are cut along two axes of a mesh: `fsdp`, over which the batch is spread too, and
`tensor`, which divides the heads and the hidden layers. The optimizer's state is cut like the
parameters. `--devices` splits one CPU into several devices, and `--processes` starts several
programs that train together. The text is the source code of Python's own library. A PNG shows the
losses and the memory of one device.
"""

import argparse
import importlib.util
import math
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from train_digits import Parser, fail, number, progress, require, writable

import optcore
from optcore.sharding import init_sharded, state_shardings

P = PartitionSpec
MODULES = ("argparse", "difflib", "doctest", "inspect", "pickle", "tarfile", "turtle", "typing")
WIDTH, HEADS, LAYERS, CONTEXT = 64, 4, 2, 64

Params = dict[str, jax.Array]
Step = Callable[[Params, Any, jax.Array], tuple[Params, Any, jax.Array]]

SPECS = {
    "embed": P(None, "fsdp"),
    "position": P(None, "fsdp"),
    "attention": P("fsdp", None, "tensor", None),
    "out": P("tensor", None, "fsdp"),
    "up": P("fsdp", "tensor"),
    "down": P("tensor", "fsdp"),
    "scale": P(),
    "unembed": P("fsdp"),
}
"""How a parameter is cut, by the last part of its name."""


class Text(NamedTuple):
    """Characters as int32 numbers, for training and testing, and the number of kinds."""

    train: np.ndarray
    test: np.ndarray
    kinds: int


def load_text() -> Text:
    """The ASCII source of some modules, with the last tenth of each for testing."""
    parts = []
    for name in MODULES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        text = Path(spec.origin).read_text(encoding="utf-8")
        parts.append(np.frombuffer(text.encode("ascii", "ignore"), np.uint8))
    kinds = np.unique(np.concatenate(parts))
    numbers = [np.searchsorted(kinds, part).astype(np.int32) for part in parts]
    cuts = [len(part) * 9 // 10 for part in numbers]
    train = np.concatenate([part[:cut] for part, cut in zip(numbers, cuts, strict=True)])
    test = np.concatenate([part[cut:] for part, cut in zip(numbers, cuts, strict=True)])
    return Text(train, test, len(kinds))


def shapes(kinds: int) -> dict[str, tuple[int, ...]]:
    size = WIDTH // HEADS
    found: dict[str, tuple[int, ...]] = {"embed": (kinds, WIDTH), "position": (CONTEXT, WIDTH)}
    for layer in range(LAYERS):
        found |= {
            f"{layer}/first/scale": (WIDTH,),
            f"{layer}/attention": (WIDTH, 3, HEADS, size),
            f"{layer}/out": (HEADS, size, WIDTH),
            f"{layer}/second/scale": (WIDTH,),
            f"{layer}/up": (WIDTH, 4 * WIDTH),
            f"{layer}/down": (4 * WIDTH, WIDTH),
        }
    return found | {"last/scale": (WIDTH,), "unembed": (WIDTH, kinds)}


def init_params(key: jax.Array, kinds: int) -> Params:
    params = {}
    for name, shape in shapes(kinds).items():
        key, own = jax.random.split(key)
        inputs = math.prod(shape[:-1]) if name.endswith("out") else shape[0]
        spread = 0.02 if name in ("embed", "position") else inputs**-0.5
        params[name] = (
            jnp.ones(shape) if name.endswith("scale") else spread * jax.random.normal(own, shape)
        )
    return params


def shardings_of(mesh: Mesh, kinds: int) -> dict[str, NamedSharding]:
    return {name: NamedSharding(mesh, SPECS[name.rpartition("/")[2]]) for name in shapes(kinds)}


def normalize(x: jax.Array, scale: jax.Array) -> jax.Array:
    return x * scale * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def transformer(params: Params, text: jax.Array) -> jax.Array:
    """Characters (n, CONTEXT) to logits (n, CONTEXT, kinds) of the next characters."""
    x = params["embed"][text] + params["position"]
    causal = jnp.tril(jnp.ones((CONTEXT, CONTEXT), bool))
    for layer in range(LAYERS):
        y = normalize(x, params[f"{layer}/first/scale"])
        q, k, v = jnp.moveaxis(jnp.einsum("ntd,dihk->nithk", y, params[f"{layer}/attention"]), 1, 0)
        weights = jnp.einsum("nthk,nshk->nhts", q, k) * (HEADS / WIDTH) ** 0.5
        weights = jax.nn.softmax(jnp.where(causal, weights, -1e9))
        mixed = jnp.einsum("nhts,nshk->nthk", weights, v)
        x = x + jnp.einsum("nthk,hkd->ntd", mixed, params[f"{layer}/out"])
        y = normalize(x, params[f"{layer}/second/scale"])
        x = x + jax.nn.gelu(y @ params[f"{layer}/up"]) @ params[f"{layer}/down"]
    return normalize(x, params["last/scale"]) @ params["unembed"]


def loss(params: Params, rows: jax.Array) -> jax.Array:
    """Nats per character, of rows of CONTEXT + 1 characters."""
    log_p = jax.nn.log_softmax(transformer(params, rows[:, :-1]))
    return -jnp.take_along_axis(log_p, rows[:, 1:, None], axis=2).mean()


def make_optimizer(rate: float, steps: int) -> optcore.GradientTransformation:
    schedule = optcore.warmup_cosine_decay_schedule(0.0, rate, max(steps // 10, 1), steps)
    adamw = optcore.adamw(schedule, b2=0.99, weight_decay=0.1)
    return optcore.guard(optcore.chain(optcore.clip_by_global_norm(1.0), adamw))


def make_mesh(tensor: int) -> Mesh:
    count = jax.device_count()
    return jax.make_mesh(
        (count // tensor, tensor), ("fsdp", "tensor"), axis_types=(AxisType.Auto,) * 2
    )


def make_step(tx: optcore.GradientTransformation, mesh: Mesh, shardings: Any) -> Step:
    """One step; its results keep the shardings of its arguments, so it is compiled once."""

    def step(params: Params, state: Any, rows: jax.Array) -> tuple[Params, Any, jax.Array]:
        value, grads = jax.value_and_grad(loss)(params, rows)
        updates, state = tx.update(grads, state, params)
        return optcore.apply_updates(params, updates), state, value

    out = (*shardings, NamedSharding(mesh, P()))
    return jax.jit(step, donate_argnums=(0, 1), out_shardings=out)


def placed(rows: np.ndarray, mesh: Mesh) -> jax.Array:
    """A batch; each process makes the part that its devices hold."""
    sharding = NamedSharding(mesh, P("fsdp"))
    return jax.make_array_from_callback(rows.shape, sharding, lambda index: rows[index])


def rows_of(text: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    starts = rng.integers(0, len(text) - CONTEXT, count)
    return text[starts[:, None] + np.arange(CONTEXT + 1)]


def held(tree: Any) -> int:
    """Bytes of a tree on the first device of this process."""
    first = jax.local_devices()[0]
    shards = [s for x in jax.tree.leaves(tree) for s in x.addressable_shards if s.device == first]
    return sum(shard.data.nbytes for shard in shards)


def plot(losses: np.ndarray, bytes_held: dict[str, tuple[int, int]], run: Any, title: str) -> None:
    figure = require("matplotlib.figure").Figure(figsize=(7, 7), layout="constrained")
    above, below = figure.subplots(2)
    above.plot(np.arange(1, len(losses) + 1), losses)
    above.set(title=title, xlabel="step (updates)", ylabel="loss\n(nats per character)")
    places = np.arange(len(bytes_held))
    for offset, column, label in ((-0.2, 0, "whole"), (0.2, 1, "on one device")):
        sizes = [both[column] / 2**20 for both in bytes_held.values()]
        below.bar(places + offset, sizes, 0.4, label=label)
    below.set_xticks(places, list(bytes_held))
    below.set(ylabel="memory (MiB)")
    below.legend()
    figure.savefig(run.out, format="png", dpi=120)


def train(run: argparse.Namespace) -> None:
    tensor = run.tensor or (2 if jax.device_count() % 2 == 0 and jax.device_count() > 2 else 1)
    if jax.device_count() % tensor or HEADS % tensor:
        fail(f"--tensor {tensor} must divide {jax.device_count()} devices and {HEADS} heads")
    mesh, text = make_mesh(tensor), load_text()
    cut = mesh.shape["fsdp"]
    if run.batch_size % cut or WIDTH % cut:
        fail(f"{cut} devices along fsdp must divide --batch-size and the width {WIDTH}")
    leads = jax.process_index() == 0

    tx = make_optimizer(run.learning_rate, run.steps)
    where = shardings_of(mesh, text.kinds)
    params = jax.jit(init_params, static_argnums=1, out_shardings=where)(
        jax.random.key(run.seed), text.kinds
    )
    state = init_sharded(tx, params)
    step = make_step(tx, mesh, (where, state_shardings(tx, params)))
    total = {"parameters": params, "state of the optimizer": state}
    bytes_held = {
        name: (sum(x.nbytes for x in jax.tree.leaves(tree)), held(tree))
        for name, tree in total.items()
    }

    rng, losses = np.random.default_rng(run.seed), []
    steps: Iterable[int] = progress(run.steps, run.steps) if leads else range(run.steps)
    started = time.perf_counter()
    for _ in steps:
        rows = placed(rows_of(text.train, rng, run.batch_size), mesh)
        params, state, value = step(params, state, rows)
        # Several steps in flight would starve each other on devices that share a CPU.
        losses.append(float(value))
    speed = run.steps * run.batch_size * CONTEXT / (time.perf_counter() - started)

    tests = rows_of(text.test, np.random.default_rng(0), 8 * run.batch_size)
    tested = float(jax.jit(loss)(params, placed(tests, mesh)))
    if not leads:
        return
    title = f"{cut} × {tensor} devices (fsdp × tensor), {jax.process_count()} process(es)"
    plot(np.asarray(losses), bytes_held, run, title)
    print(f"wrote {run.out}")
    whole, part = (sum(both[i] for both in bytes_held.values()) for i in (0, 1))
    print(
        f"{title}: {part / whole:.1%} of parameters and state on each; test loss {tested:.3f} nats "
        f"per character, {speed:.0f} characters/s"
    )


def start_processes(run: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Start this program several times; if one fails, stop the others."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, __file__, *arguments, "--port", str(port)]
    started = [
        subprocess.Popen([*command, "--process", str(number)]) for number in range(run.processes)
    ]
    try:
        while any(process.poll() is None for process in started):
            if any(process.poll() for process in started):
                break
            time.sleep(0.1)
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
    return max(abs(process.wait()) for process in started)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    option("--steps", type=number(int, 1, 10**7), default=300, help="updates")
    option("--batch-size", type=number(int, 1, 10**5), default=32, help="rows of text")
    option("--learning-rate", type=number(float, 0, 1), default=1e-2, help="its peak")
    option("--tensor", type=number(int, 1, HEADS), help="devices along tensor; None chooses")
    option("--devices", type=number(int, 1, 64), help="CPU devices to make, in each process")
    option("--processes", type=number(int, 1, 16), default=1, help="programs that train together")
    option("--seed", type=number(int, 0, 2**31 - 1), default=0, help="of parameters and batches")
    option("--out", type=writable, default="train_sharded.png", help="PNG of the run")
    option("--process", type=int, help=argparse.SUPPRESS)
    option("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    require("matplotlib.figure")
    run = parse(argv)
    if run.processes > 1 and run.process is None:
        return start_processes(run, sys.argv[1:] if argv is None else argv)
    if run.devices is not None:
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", run.devices)
    if run.process is not None:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{run.port}", run.processes, run.process)
    train(run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
