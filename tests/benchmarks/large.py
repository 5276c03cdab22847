"""Large leaves: the donated step against optax, torch's fused step, and the bytes it must move."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .rows import LARGE, OPTIMIZERS, Optimizer, composed, matrix, step, torch
from .timing import Row, interleave, row, timed


def measure(options: Any) -> Iterator[Row]:
    """One and four leaves, alone and behind a clip with a schedule."""
    for count in (1, 4):
        for clipped in (False, True):
            for optimizer in OPTIMIZERS:
                name = f"{count} × {optimizer.name}" + (", clip, schedule" if clipped else "")
                if options.picks("large", name):
                    yield _one(optimizer, count, clipped, name, options)


def _one(optimizer: Optimizer, count: int, clipped: bool, name: str, options: Any) -> Row:
    size = options.size or LARGE
    runs: dict[str, Callable[[], float]] = {}
    moved = 0
    for library, lib in optimizer.libraries().items():
        tx = composed(lib, optimizer) if clipped else optimizer.make(lib, 1e-3)
        runs[library], state_bytes = donated_step(lib, tx, size, count, options)
        if library == "optcore":
            # Parameters and state are read and written, gradients read, twice if clipped.
            moved = 4 * size * count * (4 if clipped else 3) + 2 * state_bytes
    if torch is not None and optimizer.torch is not None:
        runs["torch"] = _torch_step(optimizer, size, count, clipped)
    runs["floor"] = _copy(size * count)
    samples = interleave(runs, options.repeats)
    copied = 2 * 4 * size * count
    samples["floor"].values = [s * moved / copied for s in samples["floor"].values]
    missing = "" if torch is not None or optimizer.torch is None else "torch is not installed"
    return row("large", name, samples, missing)


def _leaves(size: int, count: int, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(matrix(size), np.float32) for _ in range(count)]


def donated_step(
    lib: Any, tx: Any, size: int, count: int, options: Any, dtype: Any = "float32"
) -> tuple[Callable[[], float], int]:
    """What runs one step on leaves of a dtype, and the bytes of its state."""
    grads = [jnp.asarray(x, dtype) for x in _leaves(size, count, 0)]
    params = [jnp.asarray(x, dtype) for x in _leaves(size, count, 1)]

    # Copies: optax's madgrad starts from the parameters themselves, which cannot be donated twice.
    state = jax.tree.map(jnp.copy, tx.init(params))
    compiled = step(lib, tx, options.compiler_options).lower(params, state, grads).compile()
    current = [params, state]
    state_bytes = sum(x.nbytes for x in jax.tree.leaves(state))

    def work() -> Any:
        current[:] = compiled(*current, grads)
        return current

    def run() -> float:
        # Where arrays lie in memory decides a fifth of the time, and a donated one never moves.
        current[:] = jax.block_until_ready(jax.tree.map(jnp.copy, current))
        return timed(work)

    return run, state_bytes


def _copy(size: int) -> Callable[[], float]:
    """Read and write an array in place: the bandwidth that the floor is made of."""
    current = [jnp.ones(size, jnp.float32)]
    double = jax.jit(lambda x: x * 1.0000001, donate_argnums=0).lower(current[0]).compile()

    def work() -> Any:
        current[0] = double(current[0])
        return current[0]

    return lambda: timed(work)


def _torch_step(optimizer: Optimizer, size: int, count: int, clipped: bool) -> Callable[[], float]:
    assert optimizer.torch is not None
    params = [torch.nn.Parameter(torch.from_numpy(x)) for x in _leaves(size, count, 1)]
    grads = [torch.from_numpy(x) for x in _leaves(size, count, 0)]
    fused = optimizer.torch(params)
    for p, g in zip(params, grads, strict=True):
        p.grad = g

    def work() -> None:
        if clipped:
            torch.nn.utils.clip_grad_norm_(params, 1.0)
        fused.step()

    return lambda: timed(work)
