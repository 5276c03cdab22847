"""Train word vectors to tell which module of the standard library a line of code comes from.

    python examples/embeddings.py
    python examples/embeddings.py --optimizer adagrad --dense

A line is a bag of its words and pairs of words, hashed to the rows of one large table; the mean of
their vectors goes through a linear layer (Joulin et al., arXiv 1607.01759). A batch uses few of the
rows, and `lazy_rows` makes the optimizer touch only those; `--dense` trains the same model with
dense gradients. The output shows the savings, and its last line the loss, accuracy and speed.
"""

import argparse
import functools
import importlib.util
import itertools
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import optcore

# fmt: off
MODULES = (
    "argparse", "calendar", "configparser", "csv", "difflib", "doctest", "fractions", "heapq",
    "inspect", "mailbox", "pdb", "pickle", "random", "statistics", "tarfile", "textwrap",
    "turtle", "typing",
)
# fmt: on
WIDTH = 32
"""The number of words and pairs used from a line; the rest of a longer line is ignored."""
COLUMNS = 32
OPTIMIZERS: dict[str, tuple[Callable[[Any], optcore.GradientTransformation], float]] = {
    "adagrad": (functools.partial(optcore.adagrad, initial_accumulator_value=1e-6), 0.05),
    "adam": (optcore.adam, 0.01),
    "rmsprop": (optcore.rmsprop, 0.01),
    "sgd": (optcore.sgd, 3.0),
}
"""Optimizers with suitable rates."""

Params = dict[str, jax.Array]


class Lines(NamedTuple):
    """Rows of the table for each line, (n, WIDTH) int32, and the numbers of its module, (n,)."""

    rows: jax.Array
    module: jax.Array


def words_of(line: str) -> list[str]:
    """Words and signs, and the pairs of neighbours."""
    words = re.findall(r"\w+|[^\w\s]", line)
    return words + [f"{a} {b}" for a, b in itertools.pairwise(words)]


def load_lines(table_rows: int) -> tuple[Lines, Lines]:
    """Lines of every module, each once: four fifths to train on, the rest to test."""
    found: dict[str, int] = {}
    for number, name in enumerate(MODULES):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        for line in Path(spec.origin).read_text(encoding="utf-8").splitlines():
            if len(words_of(line)) >= 7:
                found.setdefault(line.strip(), number)
    # A row outside the table, where the gather gives zeros and no gradient.
    rows = np.full((len(found), WIDTH), table_rows, np.int32)
    for place, line in enumerate(found):
        hashed = [zlib.crc32(word.encode()) % table_rows for word in words_of(line)[:WIDTH]]
        rows[place, : len(hashed)] = hashed
    module = np.array(list(found.values()), np.int32)
    order = np.random.default_rng(0).permutation(len(found))
    parts = np.split(order, [4 * len(found) // 5])
    train, test = (Lines(jnp.asarray(rows[p]), jnp.asarray(module[p])) for p in parts)
    return train, test


def init_params(key: jax.Array, table_rows: int) -> Params:
    table, dense = jax.random.split(key)
    return {
        "table": 0.1 * jax.random.normal(table, (table_rows, COLUMNS)),
        "dense": jax.random.normal(dense, (COLUMNS, len(MODULES))),
        "bias": jnp.zeros(len(MODULES)),
    }


def logits(params: Params, rows: jax.Array) -> jax.Array:
    vectors = params["table"].at[rows].get(mode="fill", fill_value=0)
    used = (rows < len(params["table"])).sum(1, keepdims=True, dtype=jnp.float32)
    return vectors.sum(1) / used @ params["dense"] + params["bias"]


def cross_entropy(params: Params, lines: Lines) -> jax.Array:
    log_p = jax.nn.log_softmax(logits(params, lines.rows))
    return -jnp.take_along_axis(log_p, lines.module[:, None], axis=1).mean()


@jax.jit
def accuracy(params: Params, lines: Lines) -> jax.Array:
    return (logits(params, lines.rows).argmax(axis=1) == lines.module).mean()


def make_optimizer(name: str, steps: int) -> optcore.GradientTransformation:
    """Clipped, with a rate that falls to zero; rows of a table may be used rarely."""
    make, rate = OPTIMIZERS[name]
    inner = make(optcore.cosine_decay_schedule(rate, steps))
    return optcore.chain(optcore.clip_by_global_norm(1.0), optcore.lazy_rows(inner))


def value_and_grad(dense: bool) -> Any:
    if dense:
        return jax.value_and_grad(cross_entropy)
    tables = {"table": True, "dense": False, "bias": False}
    return optcore.sparse_value_and_grad(cross_entropy, tables)


def minibatches(seed: int, size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Endless batches of lines; every epoch has a new order and drops its incomplete batch."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(size).astype(np.int32)
        for start in range(0, size - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def train(
    tx: optcore.GradientTransformation, lines: Lines, table_rows: int, options: argparse.Namespace
) -> tuple[Params, Any, float, float]:
    """Parameters, state, the mean loss of the last tenth, and steps per second."""
    derivative = value_and_grad(options.dense)

    def run_chunk(carry: tuple[Params, Any], lines: Lines, chosen: jax.Array) -> Any:
        def body(carry: tuple[Params, Any], places: jax.Array) -> Any:
            params, state = carry
            batch = Lines(lines.rows[places], lines.module[places])
            loss, grads = derivative(params, batch)
            updates, state = tx.update(grads, state, params=params)
            return (optcore.apply_updates(params, updates), state), loss

        return jax.lax.scan(body, carry, chosen)

    params = init_params(jax.random.key(options.seed), table_rows)
    carry = params, tx.init(params)
    chunk = max(n for n in range(1, 51) if options.steps % n == 0)
    shape = jax.ShapeDtypeStruct((chunk, options.batch_size), np.int32)
    # Donated, the table and its state are updated in place.
    compiled = jax.jit(run_chunk, donate_argnums=0).lower(carry, lines, shape).compile()
    batches = minibatches(options.seed, len(lines.module), options.batch_size)
    losses: list[np.ndarray] = []
    start = time.perf_counter()
    for _ in range(options.steps // chunk):
        carry, made = compiled(carry, lines, np.stack([next(batches) for _ in range(chunk)]))
        losses.append(np.asarray(made))
    speed = options.steps / (time.perf_counter() - start)
    last = np.concatenate(losses)[-max(1, options.steps // 10) :]
    return *carry, float(last.mean()), speed


def saved(params: Params, state: Any, lines: Lines, batch_size: int) -> str:
    """The share of the table and of its state that a batch touches."""
    table = params["table"]
    slots = [x for x in jax.tree.leaves(state) if x.shape == table.shape]
    batch = np.asarray(lines.rows[:batch_size])
    seen = len(np.unique(batch[batch < len(table)]))
    megabytes = 1e-6 * table.nbytes
    each = 2 * (1 + len(slots)) * megabytes
    return (
        f"table of {len(table)} × {COLUMNS}: {megabytes:.4g} MB, and {len(slots)} as large in the "
        f"state\na batch of {batch_size} lines sees {seen} rows, {seen / len(table):.2%}: "
        f"{each * seen / len(table):.3g} MB of table and state to read and write in a step; "
        f"with a dense gradient {each:.4g} MB, and {2 * megabytes:.4g} MB for the gradient"
    )


def number(low: int, high: int) -> Any:
    """Parses a whole number of an interval."""

    def parse(text: str) -> int:
        if text.isdecimal() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"expected an int from {low} to {high}, got {text!r}")

    return parse


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    option("--optimizer", choices=sorted(OPTIMIZERS), default="adam", help="of all parameters")
    option("--dense", action="store_true", help="train with dense gradients")
    option("--steps", type=number(1, 10**7), default=2000, help="updates")
    option("--batch-size", type=number(1, 4096), default=64, help="lines")
    option("--table-rows", type=number(1, 2**24), default=2**18, help="rows to hash to")
    option("--seed", type=number(0, 2**31 - 1), default=0, help="of parameters and batches")
    options = parser.parse_args(argv)

    training, testing = load_lines(options.table_rows)
    tx = make_optimizer(options.optimizer, options.steps)
    params, state, loss, speed = train(tx, training, options.table_rows, options)
    print(f"{len(training.module)} lines of {len(MODULES)} modules")
    print(saved(params, state, training, options.batch_size))
    share, most = accuracy(params, testing), np.bincount(testing.module).max()
    print(f"the largest module has {most / len(testing.module):.1%} of the lines to test on")
    print(f"train loss {loss:.4g} nats, test accuracy {share:.2%}, {speed:.0f} steps/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
