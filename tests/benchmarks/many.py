"""Many leaves: trace, lower, compile, first step and step, and how they grow."""

import gc
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import LEAVES, OPTIMIZERS, SHAPES, composed, libraries, step
from .timing import Row, Sample, interleave, row, timed

PHASES = ("trace", "lower", "trace + lower", "compile", "time to first step")


def measure(options: Any) -> Iterator[Row]:
    """AdamW behind a clip with a schedule, on 30, 300 and 1000 leaves."""
    adamw = next(o for o in OPTIMIZERS if o.name == "adamw")
    medians: dict[str, dict[int, float]] = {}
    for count in LEAVES:
        if not options.picks("many", f"{count} leaves"):
            continue
        phases = {
            name: _Phases(lib, composed(lib, adamw), count) for name, lib in libraries().items()
        }
        for _ in range(options.repeats):
            for candidate in phases.values():
                candidate.compile()
        for phase in PHASES:
            samples = {name: Sample(c.seconds[phase]) for name, c in phases.items()}
            made = row("many", f"{count} leaves, {phase}", samples)
            medians.setdefault(phase, {})[count] = made.ours
            yield made
        steps = {name: candidate.step for name, candidate in phases.items()}
        yield row("many", f"{count} leaves, step", interleave(steps, 3 * options.repeats))
    for phase, by_count in medians.items():
        if len(by_count) > 1:
            low, high = min(by_count), max(by_count)
            growth = (by_count[high] - by_count[low]) / (high - low)
            yield Row("many", f"{phase}, for each further leaf", growth, "ms", {})


class _Phases:
    """A step over many leaves that is compiled again and again."""

    def __init__(self, lib: Any, tx: Any, count: int):
        self.lib, self.tx = lib, tx
        self.params = {f"p{i}": jnp.ones(SHAPES[i % len(SHAPES)]) for i in range(count)}
        self.grads = jax.tree.map(lambda p: 0.1 * p, self.params)
        self.seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
        self.current: list[Any] = []
        self.compiled: Callable[..., Any] = lambda *_: None

    def compile(self) -> None:
        """Trace, lower and compile a fresh function, and take its first step."""
        jax.clear_caches()
        # Or the garbage of the round before is collected within this one.
        gc.collect()
        params = jax.tree.map(jnp.copy, self.params)
        self.current = [params, self.tx.init(params)]
        jax.block_until_ready(self.current)

        fresh = step(self.lib, self.tx)
        times = [time.perf_counter()]
        traced = fresh.trace(*self.current, self.grads)
        times.append(time.perf_counter())
        lowered = traced.lower()
        times.append(time.perf_counter())
        self.compiled = lowered.compile()
        times.append(time.perf_counter())
        trace, lower, compilation = (b - a for a, b in itertools.pairwise(times))
        first = trace + lower + compilation + self.step()
        phases = (trace, lower, trace + lower, compilation, first)
        for phase, seconds in zip(PHASES, phases, strict=True):
            self.seconds[phase].append(seconds)

    def step(self) -> float:
        """One step of the compiled function."""

        def work() -> Any:
            self.current[:] = self.compiled(*self.current, self.grads)
            return self.current

        return timed(work)
