"""What each format of parameters and moments takes and costs; `python -m tests.storage_table`.

Adam trains the network of `examples/train_digits.py`, and a small model of characters on a text
that is made here, with several seeds at once. The table of formats in the guide of `storage` is
what this prints; `--write` puts it there.
"""

import argparse
import dataclasses
import functools
import hashlib
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optcore
from examples import train_digits

GUIDE = pathlib.Path(__file__).parents[1] / "optcore" / "storage" / "README.md"
BEGIN, END = "<!-- storage:begin -->\n", "<!-- storage:end -->\n"
KEY = jax.random.key(0)
SEEDS = 5


@dataclasses.dataclass(frozen=True)
class Format:
    """One way to keep parameters and the state of an optimizer.

    Attributes:
      name: as code.
      wrap: from the optimizer to the one that keeps them so.
      stays: what stays float32.
      dtype: of the parameters.
      holds: whether it is meant to train as well as float32.
    """

    name: str
    wrap: Callable[[Any], Any]
    stays: str
    dtype: Any = jnp.float32
    holds: bool = True


MOMENTS = "parameters; moments of fewer than 4096 elements"

FORMATS = [
    Format("adam, float32", lambda tx: tx, "all"),
    Format("adam, bfloat16 parameters", lambda tx: tx, "moments", jnp.bfloat16, holds=False),
    Format("master_weights(adam)", optcore.master_weights, "moments, a copy", jnp.bfloat16),
    Format("split_weights(adam)", optcore.split_weights, "moments", jnp.bfloat16),
    Format(
        "split_weights(adam, 8)", lambda tx: optcore.split_weights(tx, 8), "moments", jnp.bfloat16
    ),
    Format("kahan(adam)", optcore.kahan, "moments", jnp.bfloat16),
    Format(
        "stochastic_rounding(adam, key=key)",
        lambda tx: optcore.stochastic_rounding(tx, key=KEY),
        "moments",
        jnp.bfloat16,
    ),
    Format('store(adam, "bf16", key=key)', lambda tx: optcore.store(tx, "bf16", key=KEY), MOMENTS),
    Format('store(adam, "int8")', lambda tx: optcore.store(tx, "int8"), MOMENTS),
    Format('store(adam, "int8_softsign")', lambda tx: optcore.store(tx, "int8_softsign"), MOMENTS),
    Format('store(adam, "fp8")', lambda tx: optcore.store(tx, "fp8"), MOMENTS, holds=False),
    Format('store(adam, "int4")', lambda tx: optcore.store(tx, "int4"), MOMENTS, holds=False),
    Format(
        'split_weights(store(adam, "int8"), 8)',
        lambda tx: optcore.split_weights(optcore.store(tx, "int8"), 8),
        "moments of fewer than 4096 elements",
        jnp.bfloat16,
    ),
]


def bytes_per_parameter(format: Format, shape: tuple[int, ...]) -> float:
    """Of parameters and state, as arguments of the compiled step."""
    tx = format.wrap(optcore.adam(1e-3))
    params = jax.ShapeDtypeStruct(shape, format.dtype)
    state = jax.eval_shape(tx.init, params)

    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optcore.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
    analysis: Any = compiled.memory_analysis()
    size = int(np.prod(shape))
    return (analysis.argument_size_in_bytes - size * jnp.dtype(format.dtype).itemsize) / size


NUMBERS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    *("nineteen", "twenty"),
]
DIGEST = "f3657196b1748ab9"
CONTEXT = 8


@functools.cache
def text() -> str:
    """Sums in words, which a model can learn; the same on every machine."""
    lines, x = [], 12345
    for _ in range(1500):
        # Numbers of a linear congruential generator, of which the upper bits are used.
        x = (1103515245 * x + 12345) % 2**31
        a, b = (x >> 16) % 11, (x >> 8) % 11
        lines.append(f"{NUMBERS[a]} and {NUMBERS[b]} is {NUMBERS[a + b]}.")
    made = "\n".join(lines)
    digest = hashlib.sha256(made.encode()).hexdigest()[:16]
    if digest != DIGEST:
        raise ValueError(f"the text is another one: its digest is {digest}, expected {DIGEST}")
    return made


@functools.cache
def characters() -> tuple[np.ndarray, int]:
    """The text as numbers, and how many different ones there are."""
    alphabet = sorted(set(text()))
    return np.array([alphabet.index(c) for c in text()], np.int32), len(alphabet)


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to train.

    Attributes:
      name: of the table's column.
      init: from a key to float32 parameters.
      loss: of parameters and the rows of a batch.
      rows: how many rows there are.
      rate: the highest learning rate.
      steps: how long it trains.
      batch: rows of a step.
    """

    name: str
    init: Callable[[jax.Array], Any]
    loss: Callable[[Any, jax.Array], jax.Array]
    rows: int
    rate: float
    steps: int
    batch: int


def digits() -> Task:
    """The convolutional network of the example, on its training images."""
    images, _ = train_digits.load_digits()

    def loss(params: Any, rows: jax.Array) -> jax.Array:
        batch = train_digits.Images(images.pixels[rows], images.digits[rows])
        return train_digits.cross_entropy(params, batch)

    return Task("digits", train_digits.init_network, loss, len(images.digits), 3e-3, 150, 32)


def language() -> Task:
    """The next character from the eight before it, with two hidden layers."""
    numbers, size = characters()
    shapes = {"embed": (size, 16), "in": (CONTEXT * 16, 96), "hidden": (96, 96), "out": (96, size)}

    def init(key: jax.Array) -> Any:
        keys = jax.random.split(key, len(shapes))
        return {
            name: jax.random.normal(k, shape) / np.sqrt(shape[0] if name != "embed" else 1)
            for k, (name, shape) in zip(keys, shapes.items(), strict=True)
        }

    def loss(params: Any, rows: jax.Array) -> jax.Array:
        windows = jnp.asarray(numbers)[rows[:, None] + jnp.arange(CONTEXT + 1)]
        x = params["embed"][windows[:, :-1]].reshape(len(rows), -1)
        x = jax.nn.relu(x @ params["in"])
        x = jax.nn.relu(x @ params["hidden"])
        log_p = jax.nn.log_softmax(x @ params["out"])
        return -jnp.take_along_axis(log_p, windows[:, -1:], axis=1).mean()

    return Task("characters", init, loss, len(numbers) - CONTEXT, 3e-3, 200, 64)


def final_losses(task: Task, format: Format) -> np.ndarray:
    """The loss over 1024 rows after training, for each seed."""
    rate = optcore.warmup_cosine_decay_schedule(0.0, task.rate, 20, task.steps, 0.01 * task.rate)
    tx = format.wrap(optcore.adam(rate))

    def wide(params: Any) -> Any:
        return jax.tree.map(lambda p: p.astype(jnp.float32), params)

    def run(key: jax.Array) -> jax.Array:
        key, own = jax.random.split(key)
        params = jax.tree.map(lambda p: p.astype(format.dtype), task.init(own))

        def step(carry: Any, key: jax.Array) -> Any:
            params, state = carry
            rows = jax.random.randint(key, (task.batch,), 0, task.rows)
            grads = jax.grad(lambda p: task.loss(wide(p), rows))(params)
            updates, state = tx.update(grads, state, params)
            return (optcore.apply_updates(params, updates), state), None

        keys = jax.random.split(key, task.steps)
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), keys)
        return task.loss(wide(params), jnp.arange(1024) * (task.rows // 1024))

    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    return np.asarray(jax.jit(jax.vmap(run))(keys), np.float64)


def as_good(losses: np.ndarray, reference: np.ndarray) -> bool:
    """Whether the mean is within the spread of the reference over its seeds: their deviation."""
    return bool(losses.mean() <= reference.mean() + reference.std(ddof=1))


def main() -> None:
    """Print the table, or write it into the guide."""
    parser = argparse.ArgumentParser(prog="python -m tests.storage_table")
    parser.add_argument("--write", action="store_true", help="put it into the guide")
    arguments = parser.parse_args()
    tasks = (digits(), language())
    lines = [
        "| Format | Bytes per parameter | of 257 × 1001 | What stays float32 | "
        + " | ".join(f"Loss, {task.name}" for task in tasks)
        + " | As float32 |",
        "|---|---|---|---|" + "---|" * len(tasks) + "---|",
    ]
    references = [final_losses(task, FORMATS[0]) for task in tasks]
    for format in FORMATS:
        found = [final_losses(task, format) for task in tasks]
        sizes = [
            f"{bytes_per_parameter(format, shape):.3f}" for shape in ((1024, 1024), (257, 1001))
        ]
        losses = [f"{x.mean():.4f} ± {x.std(ddof=1):.4f}" for x in found]
        good = all(map(as_good, found, references))
        verdict = "-" if format is FORMATS[0] else "yes" if good else "no"
        lines.append(
            f"| `{format.name}` | {' | '.join(sizes)} | {format.stays} | {' | '.join(losses)} | "
            f"{verdict}{'' if format.holds else ' (may miss)'} |"
        )
        print(lines[-1], flush=True)
    if arguments.write:
        written = GUIDE.read_text()
        pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
        table = BEGIN + "\n".join(lines) + "\n" + END
        GUIDE.write_text(re.sub(pattern, lambda _: table, written, flags=re.DOTALL))


if __name__ == "__main__":
    main()
