"""A call of an accumulator between two steps: against optax's, and against an addition."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import ACCUMULATED, libraries, matrix
from .timing import Row, interleave, row, timed

NEVER = 1 << 30
"""A window that is not completed while it is measured."""


def measure(options: Any) -> Iterator[Row]:
    """A call that completes no window, with a state that may be overwritten."""
    for name, (count, size, make) in ACCUMULATED.items():
        title = f"micro step, {name}"
        if options.picks("accumulate", title):
            params = [jnp.ones(matrix(options.size or size))] * count
            runs = {
                library: _micro_step(_accumulator(library, lib, make), params)
                for library, lib in libraries().items()
            }
            runs["addition"] = _addition(params)
            yield row("accumulate", title, interleave(runs, options.repeats))


def _accumulator(library: str, lib: Any, make: Callable[[Any], Any]) -> Any:
    ours = library == "optcore"
    return lib.accumulate(make(lib), NEVER) if ours else lib.MultiSteps(make(lib), NEVER)


def _micro_step(tx: Any, params: Any) -> Callable[[], float]:
    state = [tx.init(params)]
    grads = jax.tree.map(lambda p: 0.1 * p, params)

    # Donated buffers are paired with the first results of their shape, so the state comes first.
    def state_and_updates(grads: Any, state: Any, params: Any) -> Any:
        return tx.update(grads, state, params)[::-1]

    step = jax.jit(state_and_updates, donate_argnums=1)

    def work() -> Any:
        state[0], updates = step(grads, state[0], params)
        return updates, state[0]

    return lambda: timed(work)


def _addition(params: Any) -> Callable[[], float]:
    total = [jax.tree.map(jnp.zeros_like, params)]
    grads = jax.tree.map(lambda p: 0.1 * p, params)
    add = jax.jit(lambda a, g: jax.tree.map(jnp.add, a, g), donate_argnums=0)

    def work() -> Any:
        total[0] = add(total[0], grads)
        return total[0]

    return lambda: timed(work)
