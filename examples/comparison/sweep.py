"""Every registered optimizer over the same small budget of rates: curves and a table."""

import importlib
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from small_network import Params, accuracy, cross_entropy

import optcore

from . import digits
from .sheet import Options, Sheet, panels

FACTORS = 10.0 ** np.linspace(-2, 2, 9)
"""The rates to try, relative to that of the registered example."""

EVERY = 10
"""Steps between two evaluations of the accuracy."""

GOAL = 0.95


class Sweep(NamedTuple):
    """The results of a sweep.

    Attributes:
      rates: `(rates,)`.
      losses: `(rates, seeds)`: of all training images after the last step; infinite if diverged.
      reached: `(rates, seeds)`: steps until the goal on test images; infinite if never.
    """

    rates: np.ndarray
    losses: np.ndarray
    reached: np.ndarray

    @property
    def best(self) -> int:
        """The rate with the lowest mean loss."""
        return int(self.losses.mean(axis=1).argmin())


def swept(names: Iterable[str]) -> dict[str, optcore.GradientTransformation]:
    """The examples of the optimizers that have a rate, by name; all if there are no names."""
    found = {}
    for name, factory in optcore.registry("optimizer").items():
        example = factory.example()
        rate = example.arguments.get(rate_name(example))
        if name in vars(optcore) and isinstance(rate, float):
            found[name] = example
    unknown = set(names) - set(found)
    if unknown:
        raise ValueError(f"unknown optimizers {sorted(unknown)}; known are {sorted(found)}")
    return {name: tx for name, tx in sorted(found.items()) if not names or name in names}


def rate_name(tx: Any) -> str:
    """The argument that is the learning rate, or the upper bound of one."""
    name: str = next(iter(tx.arguments))
    return name


def sweep(tx: Any, steps: int, seeds: int) -> Sweep:
    """Train with all rates and seeds in one program."""
    images, testing = digits.data()
    own = rate_name(tx)
    rates = tx.arguments[own] * FACTORS
    per_example = tx.declaration.structure.per_example

    def step(tx: Any, carry: Any, now: tuple[jax.Array, jax.Array]) -> Any:
        (params, state), (row, key) = carry, now
        examples = digits.batch(images, row)

        def objective(params: Params) -> jax.Array:
            return cross_entropy(params, examples)

        value, grads = jax.value_and_grad(objective)(params)
        if per_example:
            grads = jax.vmap(jax.grad(cross_entropy), (None, 0))(params, examples)
        updates, state = tx.update(
            grads, state, params=params, value=value, value_fn=objective, obj_fn=objective, key=key
        )
        return (optcore.apply_updates(params, updates), state), None

    def run(tx: Any, params: Params, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        def some(carry: Any, now: Any) -> Any:
            carry, _ = jax.lax.scan(lambda c, xs: step(tx, c, xs), carry, now)
            return carry, accuracy(carry[0], testing)

        parts = rows.reshape(-1, EVERY, digits.BATCH), keys
        (params, _), right = jax.lax.scan(some, (params, tx.init(params)), parts)
        return cross_entropy(params, images), right

    several = optcore.stack([tx.replace(**{own: float(rate)}) for rate in rates])
    # Made outside, so that they are compiled once for all optimizers.
    params, rows = digits.starts(steps, seeds)
    keys = jax.random.split(jax.random.key(1), (steps // EVERY, EVERY))
    mapped = jax.vmap(jax.vmap(run, (None, 0, 0)), (0, None, None))
    losses, right = jax.jit(mapped)(several, params, rows)
    good = np.asarray(right) >= GOAL
    reached = np.where(good.any(-1), EVERY * (good.argmax(-1) + 1), np.inf)
    losses = np.asarray(losses, np.float64)
    return Sweep(rates, np.where(np.isfinite(losses), losses, np.inf), reached)


def sensitivity(options: Options) -> Sheet:
    """Final loss against rate for every optimizer, and a table of each at its best."""
    steps = max(EVERY, options.steps // EVERY * EVERY)
    optimizers = swept(options.optimizers)
    found = {name: sweep(tx, steps, options.seeds) for name, tx in watched(optimizers)}
    figure = draw(found, steps, options.seeds)
    text = table(found, steps, options.seeds)
    left_out = sorted(set(optcore.registry("optimizer")) & set(vars(optcore)) - set(swept(())))
    words = [f"sensitivity: {len(found)} optimizers", text]
    if left_out and not options.optimizers:
        words.append(f"without a single rate, and left out: {', '.join(left_out)}")
    return Sheet(figure, words, files={"sensitivity.md": text + "\n"})


def watched(optimizers: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """The items, with a progress bar if tqdm is installed and stderr is a terminal."""
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ImportError:
        return optimizers.items()
    bar: Iterable[tuple[str, Any]] = tqdm(optimizers.items(), unit="optimizer", disable=None)
    return bar


def draw(found: dict[str, Sweep], steps: int, seeds: int) -> Any:
    """A small panel for each, all with the same loss axis."""
    columns = min(8, len(found))
    rows = math.ceil(len(found) / columns)
    figure, grid = panels(
        rows, columns, (max(2.2 * columns, 7), max(1.9 * rows + 0.9, 4)), sharex=True, sharey=True
    )
    low, high = 3e-4, 30.0
    lowest = min(s.losses[s.best].mean() for s in found.values())
    for axes, (name, s) in zip(grid.flat, found.items(), strict=False):
        axes.axhline(lowest, color="silver", lw=1)
        axes.fill_between(
            FACTORS, np.clip(s.losses.min(1), low, high), np.clip(s.losses.max(1), low, high),
            alpha=0.25, lw=0,
        )  # fmt: skip
        axes.plot(FACTORS, np.clip(s.losses.mean(1), low, high), ".-", ms=4, lw=1)
        axes.plot(FACTORS[s.best], np.clip(s.losses[s.best].mean(), low, high), "C3o", ms=5)
        axes.set_title(f"{name}\n1 is {s.rates[len(FACTORS) // 2]:.2g}", fontsize=8)
        axes.set(xscale="log", yscale="log", ylim=(low, high))
        axes.grid(alpha=0.3)
        axes.tick_params(labelsize=7)
    for i, axes in enumerate(grid.flat):
        if i >= len(found):
            axes.set_axis_off()
        elif i + columns >= len(found):
            axes.tick_params(labelbottom=True)
    figure.supxlabel("learning rate, relative to that of the example")
    figure.supylabel("final loss (nats)")
    figure.suptitle(
        f"digits: loss of all training images after {steps} steps with batches of {digits.BATCH}"
        f"\nmean and range of {seeds} seeds; red: the best rate; gray: the lowest loss of all; "
        "at the upper edge: diverged",
        fontsize=10,
    )
    return figure


def table(found: dict[str, Sweep], steps: int, seeds: int) -> str:
    """Each at its own best rate, the lowest loss first."""
    lines = [
        f"| optimizer | best of {len(FACTORS)} rates | loss after {steps} steps (nats) | "
        f"steps to {GOAL:.0%} of test images |",
        "|---|---|---|---|",
    ]
    for name, s in sorted(found.items(), key=lambda item: item[1].losses.mean(1).min()):
        losses, reached = s.losses[s.best], s.reached[s.best]
        there = reached[np.isfinite(reached)]
        shown = f"{there.mean():.0f} ± {there.std():.0f}" if there.size else "-"
        if 0 < there.size < seeds:
            shown += f" ({there.size} of {seeds} seeds)"
        edge = " (at the edge)" if s.best in (0, len(FACTORS) - 1) else ""
        lines.append(
            f"| `{name}` | {s.rates[s.best]:.2g}{edge} | {losses.mean():.3g} ± {losses.std():.1g} "
            f"| {shown} |"
        )
    return "\n".join(lines)
