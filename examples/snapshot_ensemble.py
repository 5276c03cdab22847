"""Snapshot ensembles: train one network and get several (Huang et al., arXiv 1704.00109).

    python examples/snapshot_ensemble.py
    python examples/snapshot_ensemble.py --cycles 8 --last 5 --seeds 20

A small network learns scikit-learn's handwritten digits with a cosine rate that restarts in every
cycle; the parameters at the end of each cycle are kept. The ensemble predicts with the mean of the
softmax outputs of the last few. Beside it: the mean member, the last snapshot, one cosine run of
the same budget, and a fast geometric ensemble (Garipov et al., arXiv 1802.10026). All seeds train
at once; the table gives paired differences with their standard errors.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from small_network import accuracy, cross_entropy, init_network, network
from train_digits import Images, load_digits, require

import optcore
from optcore.averaging import (
    Snapshots,
    ensemble_probabilities,
    init_snapshots,
    take_snapshot,
)

PEAK = 0.1
BATCH_SIZE = 8
METHODS = (
    "snapshot ensemble",
    "mean member",
    "last snapshot",
    "single cosine run",
    "fast geometric ensemble",
)


def train(
    schedule: optcore.Schedule, ends: Sequence[int], training: Images, steps: int, key: jax.Array
) -> Snapshots:
    """Train with this rate; the parameters after each of the updates `ends` are kept."""
    tx = optcore.sgd(schedule, momentum=0.9)
    start_key, order = jax.random.split(key)
    params = init_network(start_key)

    def body(carry: Any, count: jax.Array) -> Any:
        params, state, kept = carry
        own = jax.random.fold_in(order, count)
        rows = jax.random.randint(own, (BATCH_SIZE,), 0, len(training.digits))
        batch = Images(training.pixels[rows], training.digits[rows])
        grads = jax.grad(cross_entropy)(params, batch)
        updates, state = tx.update(grads, state, params=params)
        params = optcore.apply_updates(params, updates)
        kept = take_snapshot(kept, params, jnp.isin(count + 1, jnp.array(ends)))
        return (params, state, kept), None

    start = params, tx.init(params), init_snapshots(params, len(ends))
    (_, _, kept), _ = jax.lax.scan(body, start, jnp.arange(steps))
    return kept


def errors(kept: Snapshots, testing: Images, last: int) -> dict[str, jax.Array]:
    """Test errors in percent, with those of ensembles of every size up to `last`."""

    def ensemble_error(size: int) -> jax.Array:
        probabilities = ensemble_probabilities(network, kept, testing.pixels, last=size)
        return 100 * (probabilities.argmax(axis=-1) != testing.digits).mean()

    growing = [ensemble_error(size) for size in range(1, last + 1)]
    members = 100 * (1 - jax.vmap(accuracy, (0, None))(kept.params, testing))
    return {
        "ensemble": growing[-1],
        "mean member": members[-last:].mean(),
        "last snapshot": growing[0],
        "by members": jnp.stack(growing),
    }


def compare(
    data: tuple[Images, Images], steps: int, cycles: int, last: int, keys: jax.Array
) -> dict[str, np.ndarray]:
    """Test errors in percent of every method, one per seed."""
    training, testing = data
    restarts = optcore.cosine_restarts_schedule(PEAK, steps // cycles)
    # Three quarters of the run are spent as usual; then short triangles between two rates.
    begin, short = 3 * steps // 4, max(steps // (4 * last), 2)
    half = short // 2
    triangles = optcore.cyclic_schedule(0.02 * PEAK, 0.3 * PEAK, half, short - half)
    anneal = optcore.cosine_decay_schedule(PEAK, begin, 0.02)
    geometric = optcore.join_schedules([anneal, triangles], [begin])
    geometric_ends = [begin + n for n in optcore.schedules.cycle_ends(triangles, steps - begin)][
        :last
    ]

    def one(key: jax.Array) -> dict[str, jax.Array]:
        ends = optcore.schedules.cycle_ends(restarts, steps)
        snapshots = errors(train(restarts, ends, training, steps, key), testing, last)
        whole = optcore.cosine_decay_schedule(PEAK, steps)
        single = errors(train(whole, [steps], training, steps, key), testing, 1)
        fast = train(geometric, geometric_ends, training, geometric_ends[-1], key)
        return {
            "snapshot ensemble": snapshots["ensemble"],
            "mean member": snapshots["mean member"],
            "last snapshot": snapshots["last snapshot"],
            "single cosine run": single["last snapshot"],
            "fast geometric ensemble": errors(fast, testing, len(geometric_ends))["ensemble"],
            "by members": snapshots["by members"],
        }

    return jax.device_get(jax.jit(jax.vmap(one))(keys))


def table(found: dict[str, np.ndarray]) -> str:
    """Mean errors, and how much they exceed the ensemble's, paired by seed."""
    ensemble = found["snapshot ensemble"]
    root = math.sqrt(len(ensemble))
    rows = [f"{'method':24}  error (%)  minus the snapshot ensemble's (percentage points)"]
    for name in METHODS:
        error = found[name]
        apart = error - ensemble
        paired = f"{apart.mean():+.2f} ± {apart.std(ddof=1) / root:.2f}"
        rows.append(f"{name:24}  {error.mean():9.2f}  {paired if apart.any() else ''}".rstrip())
    return "\n".join(rows)


def plot(found: dict[str, np.ndarray], out: str) -> None:
    figure = require("matplotlib.figure").Figure(figsize=(6.4, 4), layout="constrained")
    panel = figure.subplots()
    growing = found["by members"]
    root = math.sqrt(len(growing))
    members = np.arange(1, growing.shape[1] + 1)
    panel.errorbar(
        members,
        growing.mean(axis=0),
        growing.std(axis=0, ddof=1) / root,
        marker="o",
        capsize=3,
        label="ensemble of the last snapshots",
    )
    for name, style in (("single cosine run", "--"), ("fast geometric ensemble", ":")):
        panel.axhline(found[name].mean(), color="0.3", linestyle=style, label=name)
    panel.set_xticks(members)
    panel.set_xlabel("members (snapshots, the newest ones)")
    panel.set_ylabel(f"test error (%), mean of {len(growing)} seeds")
    panel.grid(alpha=0.3)
    panel.legend()
    figure.savefig(out, format="png", dpi=120)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    option("--steps", type=int, default=1200, help="updates of every method")
    option("--cycles", type=int, default=6, help="of the cosine, each with a snapshot")
    option("--last", type=int, default=4, help="snapshots in the ensemble")
    option("--seeds", type=int, default=10, help="runs of every method, at least 2")
    option("--seed", type=int, default=0, help="of all seeds")
    option("--out", default="snapshot_ensemble.png", help="PNG of the errors")
    options = parser.parse_args(argv)
    if options.seeds < 2 or options.seed < 0:
        parser.error("--seeds must be at least 2, and --seed at least 0")
    if not 1 <= options.last <= options.cycles:
        parser.error("--last must lie between 1 and --cycles")
    if options.steps < 16 * options.cycles:
        parser.error("--steps must be at least 16 per cycle")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    keys = jax.random.split(jax.random.key(options.seed), options.seeds)
    found = compare(load_digits(0.5), options.steps, options.cycles, options.last, keys)
    plot(found, options.out)
    print(f"wrote {options.out}")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
