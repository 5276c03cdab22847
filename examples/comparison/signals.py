"""Averages of noisy numbers: how they lag, and how they scatter while they are young."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optcore

from . import digits
from .sheet import Options, Sheet, dress, panels


def averaged(tx: optcore.GradientTransformation, series: jax.Array) -> np.ndarray:
    """The updates of a transformation for a series of scalars."""

    def body(state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        u, state = tx.update(x, state)
        return state, u

    return np.asarray(jax.lax.scan(body, tx.init(series[0]), series)[1])


def averages(options: Options) -> Sheet:
    """Exponentially weighted averages for several β."""
    t = jnp.arange(240)
    truth = 2 + jnp.where(t < 120, 0.0, 2.0) + jnp.sin(t / 25)
    series = truth + 0.6 * jax.random.normal(jax.random.key(1), t.shape)
    figure, ((left, right),) = panels(1, 2, (14, 5))
    left.plot(t, series, ".", color="silver", ms=4, label="the series")
    left.plot(t, truth, color="black", lw=1, ls=":", label="without its noise")
    for beta in (0.5, 0.9, 0.98):
        lag = beta / (1 - beta)
        left.plot(t, averaged(optcore.ema(beta), series), label=f"β = {beta}, lag {lag:.0f} steps")
    left.plot(
        t, averaged(optcore.ema(0.98, debias=False), series), "C2--", lw=1,
        label="β = 0.98, start not corrected",
    )  # fmt: skip
    dress(left, "step", "value", "a noisy series that jumps at step 120")
    ramp = jnp.arange(240.0)
    words = []
    for number, beta in enumerate((0.5, 0.9, 0.98)):
        behind = np.asarray(ramp) - averaged(optcore.ema(beta), ramp)
        right.plot(t, behind, color=f"C{number}", label=f"β = {beta}")
        right.axhline(beta / (1 - beta), color=f"C{number}", lw=0.8, ls=":")
        words.append(f"averages: β = {beta} is {behind[-1]:.1f} steps behind a straight line")
    dress(
        right, "step", "steps behind", "behind a straight line; dotted: β / (1 - β)", ylim=(0, 55)
    )
    return Sheet(figure, words)


def warmup(options: Options) -> Sheet:
    """The scatter of Adam's steps while its second moment is young, and three ways to train."""
    steps, warm = 400, 100
    grads = jax.random.normal(jax.random.key(0), (steps, 4000))
    ramp = optcore.linear_schedule(1 / warm, 1.0, warm - 1)
    ways = {
        "Adam": optcore.scale_by_adam(b1=0.0),
        f"Adam, warm-up of {warm} steps": optcore.chain(
            optcore.scale_by_adam(b1=0.0), optcore.scale(ramp)
        ),
        "RAdam": optcore.optimizers.scale_by_radam(b1=0.0),
    }
    figure, ((left, right),) = panels(1, 2, (14, 5))
    words = []
    for number, (name, tx) in enumerate(ways.items()):

        def body(state: Any, g: jax.Array, tx: Any = tx) -> tuple[Any, jax.Array]:
            u, state = tx.update(g, state)
            # With b1 = 0 the update is the gradient times a separate rate per coordinate.
            return state, jnp.quantile(u / g, jnp.array([0.05, 0.95]))

        _, bands = jax.jit(lambda g, tx=tx, body=body: jax.lax.scan(body, tx.init(g[0]), g))(grads)
        below, above = np.maximum(np.asarray(bands).T, 1e-4)
        t = np.arange(1, steps + 1)
        left.fill_between(t, below, above, alpha=0.3, color=f"C{number}", label=name)
        left.plot(t, above, color=f"C{number}", lw=1)
        left.plot(t, below, color=f"C{number}", lw=1)
        words.append(
            f"warm-up: {name}: at step 10, nine tenths of the coordinates' rates lie between "
            f"{below[9]:.2g} and {above[9]:.2g} times the learning rate"
        )
    dress(
        left, "step", "rate of a coordinate / learning rate",
        "nine tenths of the coordinates, gradients of variance 1",
        xscale="log", yscale="log",
    )  # fmt: skip
    low, high = 0.03, 0.3
    trained = {
        "Adam": optcore.adam,
        f"Adam, warm-up of {warm} steps": lambda rate: optcore.adam(
            optcore.prepend_warmup(optcore.constant_schedule(rate), warm)
        ),
        "RAdam": optcore.radam,
    }
    seeds = 10 * options.seeds
    for name, make in trained.items():
        pair = digits.training_losses([make(low), make(high)], options.steps, seeds)
        digits.plot_band(right, pair[1], name)
        last = pair[:, :, -max(1, options.steps // 10) :].mean(axis=(1, 2))
        words.append(
            f"warm-up: {name}: loss over the last tenth of the steps {last[1]:.2g} at the rate "
            f"{high}, {last[0]:.2g} at {low}"
        )
    title = f"digits, rate {high}, mean and spread of {seeds} seeds"
    dress(right, "step", "loss of a mini-batch (nats)", title, yscale="log")
    return Sheet(figure, words)
