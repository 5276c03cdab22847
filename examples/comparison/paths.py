"""Paths on losses of one or two parameters: saddle, cliff, flat stretch, AdaGrad's burst."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optcore
from optcore import diagnostics

from .sheet import Options, Sheet, dress, panels

Optimizers = dict[str, optcore.GradientTransformation]


def walks(loss_fn: Any, start: Any, optimizers: Optimizers, steps: int) -> dict[str, Any]:
    """The trajectory of each."""
    begin = jnp.asarray(start, jnp.float32)
    return {n: diagnostics.trajectory(loss_fn, begin, tx, steps) for n, tx in optimizers.items()}


def landscapes(options: Options) -> Sheet:
    """The classical losses, each with the same four optimizers at suitable rates."""
    figure, grid = panels(2, 3, (17, 10))
    cases = (
        (diagnostics.bowl, (-4, 1), (-5, 2), (-2, 2), False, 0.09, 100),
        (diagnostics.rosenbrock, (-1.2, 1), (-2, 2), (-1, 3), True, 1e-3, 2000),
        (diagnostics.beale, (1, 1.5), (-1, 4.5), (-2, 3), True, 0.01, 1000),
        (diagnostics.saddle, (1, -0.001), (-1.5, 1.5), (-1.5, 1.5), False, 0.05, 80),
        (diagnostics.plateau, (2.6, 1.2), (-4, 4), (-4, 4), False, 0.5, 100),
        (diagnostics.cliff, (1.6, 1.5), (-8, 3), (-3, 3), False, 0.5, 60),
    )
    for axes, (loss_fn, start, x, y, log, rate, steps) in zip(grid.flat, cases, strict=True):
        paths = walks(
            loss_fn,
            start,
            {
                f"gradient descent, {rate:g}": optcore.sgd(rate),
                f"momentum 0.9, {rate / 5:g}": optcore.sgd(rate / 5, 0.9),
                "RMSProp, 0.03": optcore.rmsprop(0.03),
                "Adam, 0.1": optcore.adam(0.1),
            },
            steps,
        )
        diagnostics.plot_trajectories(loss_fn, paths, x=x, y=y, log=log, axes=axes)
        axes.set_title(f"{loss_fn.__name__}, {steps} steps")
    return Sheet(figure, ["landscapes: discs are starts, crosses are ends"])


def saddle(options: Options) -> Sheet:
    """x² - y² from almost on the ridge."""
    rate, steps = 0.02, 180
    paths = walks(
        diagnostics.saddle,
        (1.0, -0.001),
        {
            "gradient descent": optcore.sgd(rate),
            "momentum 0.9": optcore.sgd(rate, 0.9),
            "Nesterov 0.9": optcore.sgd(rate, 0.9, nesterov=True),
            "RMSProp": optcore.rmsprop(rate),
            "Adam": optcore.adam(rate),
        },
        steps,
    )
    figure, ((left, right),) = panels(1, 2, (8, 3.8))
    window: dict[str, Any] = {"x": (-1.3, 1.3), "y": (-2.6, 0.6)}
    diagnostics.plot_trajectories(diagnostics.saddle, paths, axes=left, **window)
    left.get_legend().remove()
    left.set_title(f"x² - y² from (1, -0.001), rate {rate}")
    for name, path in paths.items():
        right.plot(path.losses, label=name)
    right.axhline(0, color="gray", lw=0.8, ls="--")
    dress(right, "step", "loss", "the loss at the saddle is 0", ylim=(-3, 1.2))
    words = ["saddle: steps until the loss is below -0.1"]
    for name, path in paths.items():
        below = np.flatnonzero(np.asarray(path.losses) < -0.1)
        words.append(f"  {name}: {below[0] if below.size else f'not in {steps}'}")

    def animate(file: Path) -> None:
        diagnostics.animate_trajectories(diagnostics.saddle, paths, file, frames=46, **window)

    return Sheet(figure, words, animation=animate)


def clipping(options: Options) -> Sheet:
    """One step from the wall, with and without clipping."""
    start, rate, steps = (1.6, 1.5), 0.5, 60
    paths = walks(
        diagnostics.cliff,
        start,
        {
            "gradient descent": optcore.sgd(rate),
            "clipped to norm 0.5": optcore.chain(
                optcore.clip_by_global_norm(0.5), optcore.sgd(rate)
            ),
        },
        steps,
    )
    figure, ((left, middle, right),) = panels(1, 3, (17, 5))
    x, y = (-9.5, 2.5), (-2.5, 2.5)
    diagnostics.plot_trajectories(diagnostics.cliff, paths, axes=left, x=x, y=y)
    left.set_title(f"a cliff at x = 1, rate {rate}")
    for name, path in paths.items():
        middle.plot(path.losses, label=name)
        right.plot(path.gradient_norms, label=name)
    dress(middle, "step", "loss", yscale="log", ylim=(1e-4, 10))
    dress(right, "step", "gradient norm before the clip", yscale="log")
    far = {name: float(np.abs(np.asarray(p.points)[:, 0]).max()) for name, p in paths.items()}
    words = [f"clipping: {name} strays to a distance of {d:.1f}" for name, d in far.items()]
    return Sheet(figure, words)


def stretch(x: jax.Array) -> jax.Array:
    """A slope until -1, nothing until 1, and a hollow of depth 2 at 3 with a rising far side."""
    slope = 0.5 * jnp.minimum(x + 1, 0) ** 2
    inside = jnp.clip(x, 1, 3)
    return slope - (1 - jnp.cos(jnp.pi * (inside - 1) / 2)) + jnp.maximum(x - 3, 0) ** 2


def momentum(options: Options) -> Sheet:
    """Momentum over a stretch without gradient, and past the minimum."""
    rate, steps = 0.1, 100
    paths = walks(
        stretch,
        -3.0,
        {
            "gradient descent": optcore.sgd(rate),
            "momentum 0.9": optcore.sgd(rate, 0.9),
            "Nesterov 0.9": optcore.sgd(rate, 0.9, nesterov=True),
        },
        steps,
    )
    figure, ((left, right),) = panels(1, 2, (13, 4.8))
    xs = jnp.linspace(-3.3, 5, 300)
    left.plot(xs, jax.vmap(stretch)(xs), color="gray", lw=1.2)
    for number, (name, path) in enumerate(paths.items()):
        lift = 0.15 * number
        left.plot(path.points, path.losses + lift, ".-", ms=4, lw=0.6, label=name)
        right.plot(path.points, label=name)
    left.axvspan(-1, 1, color="gold", alpha=0.25, label="gradient exactly 0")
    right.axhspan(-1, 1, color="gold", alpha=0.25, label="gradient exactly 0")
    right.axhline(3, color="gray", lw=0.8, ls="--", label="the minimum")
    dress(left, "parameter", "loss (paths lifted to tell them apart)", f"rate {rate}")
    dress(right, "step", "parameter")
    words = []
    for name, path in paths.items():
        points = np.asarray(path.points)
        ending = f"overshoots the minimum by {points.max() - 3:.2f}" if points.max() > 3 else ""
        words.append(f"momentum: {name} ends at {points[-1]:.2f} {ending}".rstrip())
    return Sheet(figure, words)


START = (-40.0, 1.0)


def valley(point: jax.Array) -> jax.Array:
    """A bowl that is a thousand times steeper across than along."""
    return diagnostics.bowl(point, (0.01, 10.0))


def mean_adagrad(rate: float) -> optcore.GradientTransformation:
    """Divides by the root of the *mean* of all squares: AdaGrad with a rate that grows as √t."""
    return optcore.adagrad(lambda t: rate * jnp.sqrt(1 + jnp.float32(t)), 0.0)


def adagrad(options: Options) -> Sheet:
    """A denominator with a fixed weight but no forgetting: the effect, and a remedy."""
    rate, steps = 0.3, 400
    optimizers: Optimizers = {
        "root of the mean of squares, constant rate": mean_adagrad(rate),
        "the same, rate / √t: AdaGrad": optcore.adagrad(rate, 0.0),
        "RMSProp": optcore.rmsprop(rate),
        "Adam": optcore.adam(rate),
    }

    paths = walks(valley, START, optimizers, steps)
    figure, ((left, middle, right),) = panels(1, 3, (19, 5.4))
    diagnostics.plot_trajectories(valley, paths, axes=left, x=(-42, 6), y=(-1.2, 1.2))
    left.set_title(f"bowl with curvatures 0.01 and 10, rate {rate}, {steps} steps")
    left.legend(fontsize="small", loc="lower left")
    for number, (name, path) in enumerate(paths.items()):
        middle.plot(
            np.abs(np.asarray(path.points)[:, 1]) + 1e-9, color=f"C{number}", label=name, lw=1
        )
    dress(
        middle, "step", "distance from the valley's floor", "colours as on the left", legend=False,
        yscale="log", ylim=(1e-9, 10),
    )  # fmt: skip
    ratios = denominators(1000)
    for name, values in ratios.items():
        right.plot(np.arange(1, len(values) + 1), values, label=name)
    dress(right, "step", "denominator", "gradients of variance 1", xscale="log", yscale="log")
    floor = np.abs(np.asarray(paths["root of the mean of squares, constant rate"].points)[:, 1])
    quiet = int(np.flatnonzero(floor < 1e-6)[0])
    burst = quiet + int(floor[quiet:].argmax())
    words = [
        "adagrad: divided by the root of the mean of squares, it is within 1e-6 of the floor at "
        f"step {quiet}, and thrown out to {floor[burst]:.1g} at step {burst}: a decaying rate, "
        "which is what AdaGrad's sum amounts to, cures it",
        "adagrad, a folk claim that fails: RMSProp's denominator does not grow for ever: after "
        f"1000 steps it is {ratios['RMSProp: √ of a running mean'][-1]:.2f}, AdaGrad's "
        f"{ratios['AdaGrad: √ of a sum'][-1]:.1f}",
        "adagrad, another: AdaGrad has no momentum: after a gradient of 1, a gradient of 0 moves "
        f"it by {coasting(optcore.adagrad(0.1)):g}, and sgd with momentum 0.9 by "
        f"{coasting(optcore.sgd(0.1, 0.9)):g}",
    ]
    return Sheet(figure, words)


def denominators(steps: int) -> dict[str, np.ndarray]:
    """The denominators of AdaGrad and RMSProp over the steps, for gradients of variance 1."""
    grads = jax.random.normal(jax.random.key(0), (steps,))
    rules = {
        "AdaGrad: √ of a sum": optcore.optimizers.scale_by_rss(0.0, 0.0),
        "RMSProp: √ of a running mean": optcore.scale_by_rms(0.99, 0.0, bias_correction=True),
    }
    found = {}
    for name, tx in rules.items():

        def body(state: Any, g: jax.Array, tx: Any = tx) -> tuple[Any, jax.Array]:
            u, state = tx.update(g, state)
            return state, g / u

        _, values = jax.lax.scan(body, tx.init(grads[0]), grads)
        found[name] = np.asarray(values)
    return found


def coasting(tx: optcore.GradientTransformation) -> float:
    """The step after a gradient of 1 when the next gradient is 0."""
    state = tx.init(jnp.zeros(()))
    for g in (1.0, 0.0):
        update, state = tx.update(jnp.float32(g), state)
    return float(update) + 0.0
