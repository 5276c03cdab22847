"""Train a small convolutional network on scikit-learn's handwritten digits.

    python examples/train_digits.py
    python examples/train_digits.py --optimizer sgd --learning-rate 0.3 --batch-size all

The optimizer is composed from its parts by default; `--optimizer` takes any that is registered.
The last line gives the training loss, the test accuracy and the speed; a PNG shows the run.
"""

import argparse
import contextlib
import difflib
import importlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

import optcore

Params = dict[str, jax.Array]


class Images(NamedTuple):
    """Pixels (n, 8, 8), float32 in [0, 1], and their digits, (n,) int32."""

    pixels: jax.Array
    digits: jax.Array


class Metrics(NamedTuple):
    """The metrics of every step."""

    loss: jax.Array
    gradient_norm: jax.Array
    learning_rate: jax.Array


def init_network(key: jax.Array) -> Params:
    shapes = {"conv1": (9, 16), "conv2": (9 * 16, 32), "dense": (4 * 4 * 32, 10)}
    params = {}
    for name, (inputs, outputs) in shapes.items():
        key, own = jax.random.split(key)
        params[name] = jax.random.normal(own, (inputs, outputs)) * math.sqrt(2 / inputs)
        params[f"{name}_bias"] = jnp.zeros(outputs)
    return params


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 3×3 convolution that keeps the images' size."""
    # `lax.conv` inside a scan misses XLA's fast kernels on CPUs: here a hundred times slower.
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1) @ kernel


def network(params: Params, pixels: jax.Array) -> jax.Array:
    """Two convolutions, a 2×2 maximum and a dense layer: (n, 8, 8) to logits (n, 10)."""
    x = pixels[..., None]
    x = jax.nn.relu(convolve(x, params["conv1"]) + params["conv1_bias"])
    x = jax.nn.relu(convolve(x, params["conv2"]) + params["conv2_bias"])
    n, height, width, channels = x.shape
    x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    return x.reshape(n, -1) @ params["dense"] + params["dense_bias"]


@jax.jit
def cross_entropy(params: Params, images: Images) -> jax.Array:
    log_p = jax.nn.log_softmax(network(params, images.pixels))
    return -jnp.take_along_axis(log_p, images.digits[:, None], axis=1).mean()


@jax.jit
def accuracy(params: Params, images: Images) -> jax.Array:
    return (network(params, images.pixels).argmax(axis=1) == images.digits).mean()


def known_optimizers() -> list[str]:
    """Optimizers with a rate first that need only gradients, parameters and a loss."""

    def fits(name: str, factory: Any) -> bool:
        public = name in vars(optcore) and next(iter(factory.roles)) == "learning_rate"
        given = {"params", "value", "value_fn"} >= set(factory.needs) and not factory.per_example
        kinds = {role.kind for role in factory.roles.values()}
        return public and given and not kinds & {"key", "transformation"}

    found = optcore.registry("optimizer").items()
    return ["composed", *sorted(name for name, factory in found if fits(name, factory))]


def make_optimizer(name: str, peak: float | None, steps: int) -> optcore.GradientTransformation:
    """An optimizer whose rate rises to `peak` and falls to zero."""

    def schedule(default: float) -> optcore.Schedule:
        top = default if peak is None else peak
        return optcore.warmup_cosine_decay_schedule(0.0, top, steps // 10, steps)

    if name == "composed":
        return optcore.chain(
            optcore.clip_by_global_norm(1.0),
            optcore.scale_by_rms(decay=0.99),
            optcore.trace(0.9),
            optcore.scale_by_learning_rate(schedule(1e-3)),
        )
    factory = optcore.registry("optimizer")[name]
    # The registered example has a sensible rate, and values for arguments without a default.
    example = factory.example()
    required = [n for n, p in factory.signature.parameters.items() if p.default is p.empty]
    arguments = {n: example.arguments[n] for n in required}
    arguments["learning_rate"] = schedule(example.arguments["learning_rate"])
    made: optcore.GradientTransformation = getattr(optcore, name)(**arguments)
    return made


def train_step(
    tx: optcore.GradientTransformation, params: Params, state: Any, batch: Images
) -> tuple[Params, Any, Metrics]:
    def objective(params: Params) -> jax.Array:
        return cross_entropy(params, batch)

    loss, grads = jax.value_and_grad(objective)(params)
    # Some optimizers also use the loss; others ignore it.
    updates, state = tx.update(grads, state, params=params, value=loss, value_fn=objective)
    params = optcore.apply_updates(params, updates)
    learning_rate = optcore.read(tx, state, "learning_rate")
    return params, state, Metrics(loss, optcore.global_norm(grads), learning_rate)


def minibatches(seed: int, size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Endless rows of batches; every epoch has a new order and drops its incomplete batch."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(size).astype(np.int32)
        for start in range(0, size - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def train(
    tx: optcore.GradientTransformation, images: Images, steps: int, batch_size: int, seed: int
) -> tuple[Params, Metrics, float]:
    """Parameters, metrics of every step, steps per second; ends early if the loss is not finite."""

    def run_chunk(carry: tuple[Params, Any], images: Images, rows: jax.Array) -> Any:
        def body(carry: tuple[Params, Any], row: jax.Array) -> Any:
            batch = Images(images.pixels[row], images.digits[row])
            params, state, metrics = train_step(tx, *carry, batch)
            return (params, state), metrics

        return jax.lax.scan(body, carry, rows)

    params = init_network(jax.random.key(seed))
    carry = params, tx.init(params)
    # The length divides the steps, so that one compiled program serves them all.
    chunk = max(n for n in range(1, 51) if steps % n == 0)
    shape = jax.ShapeDtypeStruct((chunk, batch_size), np.int32)
    compiled = jax.jit(run_chunk, donate_argnums=0).lower(carry, images, shape).compile()

    batches = minibatches(seed, len(images.digits), batch_size)
    history: list[Metrics] = []
    start = time.perf_counter()
    for _ in progress(steps // chunk, steps):
        rows = np.stack([next(batches) for _ in range(chunk)])
        carry, metrics = compiled(carry, images, rows)
        history.append(jax.device_get(metrics))
        if not np.isfinite(history[-1].loss).all():
            break
    recorded = jax.tree.map(lambda *parts: np.concatenate(parts), *history)
    speed = chunk * len(history) / (time.perf_counter() - start)
    return carry[0], recorded, speed


def progress(chunks: int, steps: int) -> Iterable[int]:
    """`range(chunks)`, with a progress bar if tqdm is installed and someone is looking."""
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ImportError:
        return range(chunks)
    bar: Iterable[int] = tqdm(range(chunks), unit="step", unit_scale=steps // chunks, disable=None)
    return bar


def plot(metrics: Metrics, run: argparse.Namespace) -> None:
    figure = require("matplotlib.figure").Figure(figsize=(7, 8), layout="constrained")
    panels = figure.subplots(3, sharex=True)
    steps = np.arange(1, len(metrics.loss) + 1)
    mean = np.ones(window := max(1, len(steps) // 50)) / window
    names = "loss\n(nats per image)", "gradient norm\n(nats per unit of weight)"
    for panel, name, values in zip(panels[:2], names, metrics[:2], strict=True):
        # A batch of one image reaches an exact 0, which a logarithmic axis cannot show.
        log = np.log(np.maximum(values, 1e-9))
        panel.plot(steps, np.exp(log), alpha=0.35, linewidth=0.8, label="each step")
        middle, smooth = (np.convolve(v, mean, "valid") for v in (steps, log))
        panel.plot(middle, np.exp(smooth), "C0", label=f"geometric mean of {window}")
        panel.set(yscale="log", ylabel=name)
        panel.legend()
    panels[2].plot(steps, metrics.learning_rate)
    panels[2].set(xlabel="step (updates)", ylabel="learning rate\n(dimensionless)")
    panels[0].set_title(f"{run.optimizer}, batches of {run.batch_size}, seed {run.seed}")
    figure.savefig(run.out, format="png", dpi=120)


def load_digits(test_share: float = 0.2) -> tuple[Images, Images]:
    """The bundled digits for training and testing: always the same stratified split."""
    digits = require("sklearn.datasets").load_digits()
    pixels, target = (digits.images / 16).astype(np.float32), digits.target.astype(np.int32)
    split = require("sklearn.model_selection").train_test_split
    parts = split(pixels, target, test_size=test_share, stratify=target, random_state=0)
    train, test, train_target, test_target = map(jnp.asarray, parts)
    return Images(train, train_target), Images(test, test_target)


def require(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0].replace("sklearn", "scikit-learn")
        fail(f"{package} is missing: pip install 'optcore[examples]'")


def fail(message: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: error: {message}", file=sys.stderr)
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    """Reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        fail(message)


def optimizer_name(text: str) -> str:
    known = known_optimizers()
    if text in known:
        return text
    near = difflib.get_close_matches(text, known, 1) or known
    raise argparse.ArgumentTypeError(f"unknown {text!r}; did you mean {' or '.join(near)}?")


def number(kind: type[int] | type[float], low: float, high: float, word: str = "") -> Any:
    """Parses a number in an interval; `word` means the highest."""

    def parse(text: str) -> float:
        with contextlib.suppress(ValueError):
            value = high if text == word else kind(text)
            if low <= value <= high:
                return value
        message = f"expected {kind.__name__} from {low:.10g} to {high:.10g}, got {text!r}"
        raise argparse.ArgumentTypeError(message)

    return parse


def writable(text: str) -> Path:
    path = Path(text)
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text!r}: {error.strerror}") from None
    if not existed:
        path.unlink()
    return path


def parse(argv: Sequence[str] | None, size: int) -> argparse.Namespace:
    parser = Parser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    known = ", ".join(known_optimizers())
    option("--optimizer", type=optimizer_name, default="composed", help=f"one of {known}")
    peak = number(float, 0, float(np.finfo(np.float32).max))
    option("--learning-rate", type=peak, help="its peak; None is one that suits the optimizer")
    option("--steps", type=number(int, 1, 10**7), default=1000, help="updates")
    option("--batch-size", type=number(int, 1, size, "all"), default=64, help="images, or all")
    option("--seed", type=number(int, 0, 2**31 - 1), default=0, help="of network and batches")
    option("--out", type=writable, default="train_digits.png", help="PNG of the run")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    require("matplotlib.figure")
    training, testing = load_digits()
    options = parse(argv, len(training.digits))
    tx = make_optimizer(options.optimizer, options.learning_rate, options.steps)
    params, metrics, speed = train(tx, training, options.steps, options.batch_size, options.seed)
    losses = np.append(metrics.loss, cross_entropy(params, training))
    finite = int(np.isfinite(losses).cumprod().sum())
    plot(Metrics(*(values[:finite] for values in metrics)), options)
    print(f"wrote {options.out}")
    if finite < len(losses):
        print(f"diverged: loss {losses[finite]} after {finite} updates; lower --learning-rate")
        return 1
    share = accuracy(params, testing)
    print(f"train loss {losses[-1]:.4g} nats, test accuracy {share:.2%}, {speed:.0f} steps/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
