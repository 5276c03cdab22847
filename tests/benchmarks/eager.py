"""Eager updates, as scripts and notebooks make them."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import OPTIMIZERS, SHAPES, composed, libraries
from .timing import Row, interleave, row, timed


def measure(options: Any) -> Iterator[Row]:
    """An un-jitted `update` on a small model: a declared chain, and one with a plain function."""
    adamw = next(o for o in OPTIMIZERS if o.name == "adamw")
    chains = {
        "declared chain": lambda lib: composed(lib, adamw),
        "chain with a lambda": lambda lib: lib.chain(
            lib.clip_by_global_norm(1.0), lib.adamw(lambda count: 1e-3 + 0 * count)
        ),
    }
    for name, make in chains.items():
        if options.picks("eager", name):
            runs = {library: _update(make(lib)) for library, lib in libraries().items()}
            yield row("eager", name, interleave(runs, options.repeats))


def _update(tx: Any) -> Callable[[], float]:
    params = {f"p{i}": jnp.ones(shape) for i, shape in enumerate(SHAPES)}
    grads = jax.tree.map(lambda p: 0.1 * p, params)
    current = [tx.init(params)]

    def work() -> Any:
        updates, current[0] = tx.update(grads, current[0], params)
        return updates

    return lambda: timed(work)
