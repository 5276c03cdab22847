"""Eager updates, as scripts and notebooks make them, also of programs that swapped the import."""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import OPTIMIZERS, SHAPES, composed, libraries, optax
from .timing import Row, interleave, row, timed

SWAPPED: dict[str, Callable[[Any], Any]] = {
    "optcore.optax: sgd": lambda lib: lib.sgd(1e-3),
    "optcore.optax: adam": lambda lib: lib.adam(1e-3),
    "optcore.optax: clip, adamw": lambda lib: lib.chain(
        lib.clip_by_global_norm(1.0), lib.adamw(1e-3)
    ),
    "optcore.optax: lamb": lambda lib: lib.lamb(1e-3),
    "optcore.optax: masked adam, MultiSteps": lambda lib: lib.MultiSteps(
        lib.masked(lib.adam(1e-3), {f"p{i}": i > 0 for i in range(len(SHAPES))}), 2
    ).gradient_transformation(),
}


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
    for name, make in SWAPPED.items() if optax else ():
        if options.picks("eager", name):
            doors = {"optcore": importlib.import_module("optcore.optax"), "optax": optax}
            runs = {library: _update(make(lib)) for library, lib in doors.items()}
            yield row("eager", name, interleave(runs, options.repeats))


def _update(tx: Any) -> Callable[[], float]:
    params = {f"p{i}": jnp.ones(shape) for i, shape in enumerate(SHAPES)}
    grads = jax.tree.map(lambda p: 0.1 * p, params)
    current = [tx.init(params)]

    def work() -> Any:
        updates, current[0] = tx.update(grads, current[0], params)
        return updates

    return lambda: timed(work)
