"""Find a learning rate with one short run, and compare it with a grid of rates.

    python examples/find_learning_rate.py
    python examples/find_learning_rate.py --optimizers sgd adam --steps 400

For each optimizer a range test raises the rate after every mini-batch of scikit-learn's
handwritten digits. Then small networks are trained at the suggested rate and at twelve others,
all in one program. A table says how good the suggestion was; a PNG shows the tests.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from comparison.sheet import save_png
from small_network import accuracy, cross_entropy, init_network
from train_digits import Images, load_digits, require

import optcore
from optcore.tuning import RangeTest, lr_range_test, plot_range_test, sweep

OPTIMIZERS: dict[str, Callable[[Any], optcore.GradientTransformation]] = {
    "sgd": optcore.sgd,
    "momentum": lambda rate: optcore.sgd(rate, momentum=0.9),
    "adam": optcore.adam,
    "composed": lambda rate: optcore.chain(
        optcore.clip_by_global_norm(1.0),
        optcore.scale_by_rms(decay=0.99),
        optcore.trace(0.9),
        optcore.scale_by_learning_rate(rate),
    ),
}
GRID = np.geomspace(1e-4, 30.0, 12)


def sampler(training: Images, batch_size: int = 64) -> Callable[[jax.Array], Images]:
    """A function from a random key to a mini-batch."""

    def sample(key: jax.Array) -> Images:
        rows = jax.random.randint(key, (batch_size,), 0, len(training.digits))
        return Images(training.pixels[rows], training.digits[rows])

    return sample


def accuracies(
    name: str, rates: Sequence[float], data: tuple[Images, Images], steps: int, seeds: int
) -> np.ndarray:
    """Test accuracy in percent after training at constant rates, the mean over the seeds."""
    training, testing = data
    sample = sampler(training)

    def train(learning_rate: jax.Array, seed: jax.Array) -> jax.Array:
        tx = OPTIMIZERS[name](learning_rate)
        start_key, order = jax.random.split(jax.random.key(seed))
        params = init_network(start_key)

        def body(carry: Any, step: jax.Array) -> Any:
            params, state = carry
            batch = sample(jax.random.fold_in(order, step))
            grads = jax.grad(cross_entropy)(params, batch)
            updates, state = tx.update(grads, state, params=params)
            return (optcore.apply_updates(params, updates), state), None

        (params, _), _ = jax.lax.scan(body, (params, tx.init(params)), jnp.arange(steps))
        return 100 * accuracy(params, testing)

    found = sweep(train, {"learning_rate": rates, "seed": range(seeds)}, maximize=True)
    return found.results["result"].reshape(len(rates), seeds).mean(axis=1)


def range_test(name: str, training: Images, steps: int, seed: int) -> RangeTest:
    return lr_range_test(
        cross_entropy,
        init_network,
        OPTIMIZERS[name](1.0),
        sampler(training),
        lowest=1e-5,
        highest=100.0,
        steps=steps,
        key=jax.random.key(seed),
    )


def plot(tests: dict[str, RangeTest], out: str) -> None:
    figure = require("matplotlib.figure").Figure(
        figsize=(8, 3.2 * len(tests)), layout="constrained"
    )
    panels = figure.subplots(len(tests), squeeze=False)[:, 0]
    for panel, (name, test) in zip(panels, tests.items(), strict=True):
        plot_range_test(test, axes=panel)
        panel.set_title(name)
        panel.set_xlabel("learning rate (dimensionless)")
        panel.set_ylabel("smoothed loss (nats per image)")
    save_png(figure, out)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    names = list(OPTIMIZERS)
    option("--optimizers", nargs="+", choices=names, default=names, metavar="NAME", help="which")
    option("--steps", type=int, default=200, help="of each range test, at least 20")
    option("--train-steps", type=int, default=400, help="of each training run")
    option("--seeds", type=int, default=3, help="runs at each rate")
    option("--seed", type=int, default=0, help="of the range tests")
    option("--out", default="find_learning_rate.png", help="PNG of the range tests")
    options = parser.parse_args(argv)
    for name, low in (("steps", 20), ("train_steps", 1), ("seeds", 1), ("seed", 0)):
        if getattr(options, name) < low:
            parser.error(f"--{name.replace('_', '-')} must be at least {low}")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    data = load_digits()
    tests = {n: range_test(n, data[0], options.steps, options.seed) for n in options.optimizers}
    plot(tests, options.out)
    print(f"wrote {options.out}")
    print("optimizer  suggestion  accuracy  best of grid  accuracy")
    for name, test in tests.items():
        suggestion = test.suggestions.steepest
        rates = [suggestion, *GRID]
        found = accuracies(name, rates, data, options.train_steps, options.seeds)
        best = int(found[1:].argmax()) + 1
        print(
            f"{name:9}  {suggestion:10.2g}  {found[0]:7.2f}%  {rates[best]:12.2g}  "
            f"{found[best]:7.2f}%"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
