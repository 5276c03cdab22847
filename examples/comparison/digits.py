"""A small network on scikit-learn's digits: rates, batch sizes, and the shape of its minima."""

import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from small_network import Params, accuracy, cross_entropy, init_network
from train_digits import Images, load_digits

import optcore
from optcore import diagnostics

from .sheet import Options, Sheet, dress, panels

BATCH = 64


@functools.cache
def data() -> tuple[Images, Images]:
    """The images for training, and those for testing."""
    # They are concrete arrays even if the first call comes from a trace.
    with jax.ensure_compile_time_eval():
        return load_digits()


def batch(images: Images, rows: jax.Array) -> Images:
    return Images(images.pixels[rows], images.digits[rows])


def epoch_rows(key: jax.Array, steps: int, size: int) -> jax.Array:
    """Rows of `steps` batches; every epoch in a new order."""
    total = len(data()[0].digits)
    per_epoch = total // size
    keys = jax.random.split(key, -(-steps // per_epoch))
    orders = jax.vmap(lambda k: jax.random.permutation(k, total))(keys)
    return orders[:, : per_epoch * size].reshape(-1, size)[:steps]


def train(tx: Any, params: Params, rows: jax.Array) -> tuple[Params, jax.Array]:
    """Parameters after one step per row of batches, and the losses of the batches."""
    images, _ = data()

    def body(carry: Any, row: jax.Array) -> Any:
        params, state = carry
        value, grads = jax.value_and_grad(cross_entropy)(params, batch(images, row))
        updates, state = tx.update(grads, state, params=params, value=value)
        return (optcore.apply_updates(params, updates), state), value

    (params, _), losses = jax.lax.scan(body, (params, tx.init(params)), rows)
    return params, losses


def starts(steps: int, seeds: int) -> tuple[Params, jax.Array]:
    """Parameters and rows of batches for each seed."""
    keys = jax.random.split(jax.random.key(0), seeds)
    return jax.vmap(init_network)(keys), jax.vmap(lambda key: epoch_rows(key, steps, BATCH))(keys)


def training_losses(optimizers: Sequence[Any], steps: int, seeds: int) -> np.ndarray:
    """Losses of mini-batches, `(optimizers, seeds, steps)`, in one program.

    The optimizers may differ in their numbers only.
    """
    runs = jax.vmap(lambda *arguments: train(*arguments)[1], (None, 0, 0))
    several = jax.jit(jax.vmap(runs, (0, None, None)))
    return np.asarray(several(optcore.stack(optimizers), *starts(steps, seeds)))


def plot_band(axes: Any, losses: np.ndarray, label: str, every: float = 1.0) -> None:
    """The geometric mean over seeds, slightly smoothed, and the range of the middle."""
    logs = np.log(np.maximum(losses, 1e-9))
    window = max(1, losses.shape[1] // 50)
    kernel = np.ones(window) / window
    smooth = np.stack([np.convolve(row, kernel, "valid") for row in logs])
    x = every * (np.arange(smooth.shape[1]) + (window - 1) / 2)
    (line,) = axes.plot(x, np.exp(smooth.mean(0)), label=label)
    low, high = np.exp(np.quantile(smooth, [0.1, 0.9], axis=0))
    axes.fill_between(x, low, high, color=line.get_color(), alpha=0.15, lw=0)


def rates(options: Options) -> Sheet:
    """Gradient descent at four kinds of rates."""
    kinds = {"too small": 0.003, "good": 0.5, "too large": 1.2, "diverging": 60.0}
    figure, ((axes,),) = panels(1, 1, (8, 5))
    optimizers = [optcore.sgd(rate) for rate in kinds.values()]
    found = training_losses(optimizers, options.steps, options.seeds)
    words = []
    for (kind, rate), losses in zip(kinds.items(), found, strict=True):
        # After divergence the loss is NaN or huge.
        shown = np.minimum(np.where(np.isfinite(losses), losses, 1e4), 1e4)
        plot_band(axes, shown, f"{kind}: {rate:g}")
        last = shown[:, -max(1, options.steps // 10) :].mean()
        words.append(f"rates: {kind} ({rate:g}): loss {last:.3g} over the last tenth of the steps")
    title = f"digits, sgd, batches of {BATCH}, {options.seeds} seeds"
    dress(axes, "step", "loss of a mini-batch (nats)", title, yscale="log")
    return Sheet(figure, words)


def batches(options: Options) -> Sheet:
    """All images, mini-batches or single images: at equal epochs, and at equal time."""
    images, _ = data()
    total = len(images.digits)
    epochs = max(2, options.steps // 15)
    ways = {"one image, rate 0.02": (1, 0.02), "64 images, rate 0.5": (64, 0.5)}
    ways["all images, rate 0.5"] = (total, 0.5)
    figure, ((left, right),) = panels(1, 2, (13, 5))
    words, longest = [], 0.0
    full_loss = jax.jit(lambda params: cross_entropy(params, images))
    for name, (size, rate) in ways.items():
        tx = optcore.sgd(rate)
        params = init_network(jax.random.key(0))
        per_epoch = total // size
        orders = epoch_rows(jax.random.key(1), epochs * per_epoch, size)
        orders = orders.reshape(epochs, per_epoch, size)
        run = jax.jit(lambda p, rows, tx=tx: train(tx, p, rows)[0]).lower(params, orders[0])
        step = run.compile()
        jax.block_until_ready(step(params, orders[0]))
        losses, seconds = [float(full_loss(params))], [0.0]
        # The first has the epochs that the figure shows; the others continue until its time is up.
        while len(losses) <= epochs or (seconds[-1] < longest and len(losses) < 100 * epochs):
            rows = orders[len(losses) % epochs]
            start = time.perf_counter()
            params = jax.block_until_ready(step(params, rows))
            seconds.append(seconds[-1] + time.perf_counter() - start)
            losses.append(float(full_loss(params)))
        longest = longest or seconds[-1]
        left.plot(losses[: epochs + 1], ".-", label=name)
        right.plot(np.asarray(seconds) * 1e3, losses, ".-", label=name)
        words.append(
            f"batches: {name}: loss {losses[epochs]:.3g} after {epochs} epochs, that is "
            f"{per_epoch * epochs} steps and {seconds[epochs] * 1e3:.0f} ms; {losses[-1]:.3g} "
            f"after {seconds[-1] * 1e3:.0f} ms"
        )
    dress(left, "epoch", "loss of all training images (nats)", "equal epochs", yscale="log")
    left.legend(fontsize="small", loc="lower left")
    right.set_xlim(0, longest * 1e3)
    dress(
        right, "time on this machine (ms), without compiling", "loss of all training images (nats)",
        "equal time", yscale="log",
    )  # fmt: skip
    return Sheet(figure, words)


def minima(options: Options) -> Sheet:
    """Two snapshots of one run with restarts, their average, and the loss between and around."""
    training, testing = data()
    cycle = options.steps
    tx = optcore.sgd(optcore.cosine_restarts_schedule(1.0, cycle), 0.9)
    params = init_network(jax.random.key(2))

    def cycles(params: Params, rows: jax.Array) -> list[Params]:
        found, state = [], tx.init(params)

        def body(carry: Any, row: jax.Array) -> Any:
            params, state = carry
            grads = jax.grad(cross_entropy)(params, batch(training, row))
            updates, state = tx.update(grads, state, params=params)
            return (optcore.apply_updates(params, updates), state), None

        for part in rows.reshape(3, cycle, BATCH):
            (params, state), _ = jax.lax.scan(body, (params, state), part)
            found.append(params)
        return found

    rows = epoch_rows(jax.random.key(3), 3 * cycle, BATCH)
    _, first, second = jax.jit(cycles)(params, rows)
    average = jax.tree.map(lambda a, b: (a + b) / 2, first, second)
    points = {"first": first, "second": second, "average": average}
    figure, ((line, plane, bars),) = panels(1, 3, (18, 5.2))
    parts = {"training images": training, "test images": testing}
    lines = {
        name: diagnostics.loss_line(functools.partial(cross_entropy, images=images), first, second)
        for name, images in parts.items()
    }
    diagnostics.plot_loss_line(lines, axes=line)
    line.set_ylim(bottom=0)
    line.set(title="between the ends of two cosine cycles", ylabel="loss (nats)")
    on_training = functools.partial(cross_entropy, images=training)
    keys = jax.random.split(jax.random.key(4))
    d, e = (diagnostics.filter_directions(second, key) for key in keys)
    surface = diagnostics.loss_surface(on_training, second, (d, e), points=25)
    diagnostics.plot_loss_surface(surface, axes=plane)
    plane.set(
        title="around the second, loss in nats",
        xlabel="first direction (1: as long as each filter)",
        ylabel="second direction (1: as long as each filter)",
    )
    words = []
    for number, (name, point) in enumerate(points.items()):
        found = diagnostics.sharpness(on_training, point, jax.random.key(5), radius=0.2)
        bars.bar(name, float(found.rise), yerr=float(found.error), color=f"C{number}", capsize=6)
        words.append(
            f"minima: {name}: sharpness {found.rise:.3g} ± {found.error:.1g} nats, training loss "
            f"{on_training(point):.3g}, test loss {cross_entropy(point, testing):.3g} nats, "
            f"test accuracy {accuracy(point, testing):.1%}"
        )
    bars.set(
        title="sharpness (sharp minima can generalise too)",
        ylabel="mean rise of the loss 0.2 of a filter's length away (nats)",
    )
    bars.grid(alpha=0.3, axis="y")
    return Sheet(figure, words)
