"""Memory: temporaries of the compiled step, and bytes of state per parameter."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import OPTIMIZERS, Optimizer, composed, matrix, step
from .timing import Row

SIZE = 1 << 20


def measure(options: Any) -> Iterator[Row]:
    """Per optimizer, one and four leaves, alone and behind a clip."""
    for count in (1, 4):
        for clipped in (False, True):
            for optimizer in OPTIMIZERS:
                name = f"{count} × {optimizer.name}" + (", clip, schedule" if clipped else "")
                if options.picks("memory", name):
                    yield _one(optimizer, count, clipped, name, options)


def _one(optimizer: Optimizer, count: int, clipped: bool, name: str, options: Any) -> Row:
    found = {}
    for library, lib in optimizer.libraries().items():
        tx = composed(lib, optimizer) if clipped else optimizer.make(lib, 1e-3)
        found[library] = _bytes(lib, tx, count, options)
    temporary = {name: f"{t / (4 * SIZE * count):.3g}" for name, (t, _) in found.items()}
    peers = ", ".join(f"{peer} {t}" for peer, t in temporary.items() if peer != "optcore")
    state = ", ".join(f"{peer} {s / (SIZE * count):.3g}" for peer, (_, s) in found.items())
    return Row(
        "memory",
        name,
        float(temporary["optcore"]),
        "× parameters",
        {},
        note=f"temporaries: {peers}; bytes of state per parameter: {state}",
    )


def _bytes(lib: Any, tx: Any, count: int, options: Any) -> tuple[int, int]:
    params = [jax.ShapeDtypeStruct(matrix(SIZE), jnp.float32)] * count
    state = jax.eval_shape(tx.init, params)

    compiled = step(lib, tx, options.compiler_options).lower(params, state, params).compile()
    analysis: Any = compiled.memory_analysis()
    state_bytes = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    return analysis.temp_size_in_bytes, state_bytes
