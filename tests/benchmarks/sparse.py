"""Tables: a step that touches the rows of a batch, against steps with dense gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optcore

from .rows import BATCH, COLUMNS, OPTIMIZERS, SPARSE, TABLE, Optimizer
from .timing import Row, interleave, row, timed


def measure(options: Any) -> Iterator[Row]:
    """Gather, backward pass, update and addition, with everything donated."""
    rows = max((options.size or TABLE) // COLUMNS, 1)
    for optimizer in OPTIMIZERS:
        name = f"{rows} × {COLUMNS}, batch of {BATCH}, {optimizer.name}"
        if optimizer.name in SPARSE and options.picks("sparse", name):
            yield _one(optimizer, rows, name, options)


def _one(optimizer: Optimizer, rows: int, name: str, options: Any) -> Row:
    runs: dict[str, Callable[[], float]] = {}
    temporary: dict[str, int] = {}
    lazy = optcore.lazy_rows(optimizer.make(optcore, 1e-3))
    derivative = optcore.sparse_value_and_grad(_loss, True)
    runs["optcore"], temporary["optcore"] = _step(optcore, lazy, derivative, rows)
    for library, lib in optimizer.libraries().items():
        peer = "dense" if library == "optcore" else library
        tx = optimizer.make(lib, 1e-3)
        runs[peer], temporary[peer] = _step(lib, tx, jax.value_and_grad(_loss), rows)
    table = 4 * rows * COLUMNS
    note = ", ".join(f"{peer} {size / table:.3g}" for peer, size in temporary.items())
    return row("sparse", name, interleave(runs, options.repeats), f"temporaries × table: {note}")


def _loss(table: jax.Array, indices: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(table[indices] * weights)


def _step(lib: Any, tx: Any, derivative: Any, rows: int) -> tuple[Callable[[], float], int]:
    rng = np.random.default_rng(0)
    indices = jnp.asarray(rng.integers(0, rows, BATCH, np.int32))
    weights = jnp.asarray(rng.standard_normal((BATCH, COLUMNS), np.float32))
    table = jnp.asarray(rng.standard_normal((rows, COLUMNS), np.float32))

    def step(table: Any, state: Any, indices: Any, weights: Any) -> Any:
        _, grads = derivative(table, indices, weights)
        updates, state = tx.update(grads, state, table)
        return lib.apply_updates(table, updates), state

    state = tx.init(table)
    jitted = jax.jit(step, donate_argnums=(0, 1))
    compiled = jitted.lower(table, state, indices, weights).compile()
    analysis: Any = compiled.memory_analysis()
    current = [table, state]

    def work() -> Any:
        current[:] = compiled(*current, indices, weights)
        return current

    return lambda: timed(work), analysis.temp_size_in_bytes
