"""The measurements, as data."""

import dataclasses
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import optcore

try:
    import optax
except ImportError:
    optax = None
# The threads of torch's OpenMP spin for a while after their work, at the cost of who comes next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
try:
    import torch
except ImportError:
    torch = None

LARGE = 16_777_216
"""Elements of the large leaf, a square matrix: 64 MiB in float32."""


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """One optimizer in every library that has it.

    Attributes:
      name: of the row.
      make: from a library (`optcore` or `optax`) and a learning rate to the transformation.
      torch: from a list of parameters to torch's fastest (fused, or multi-tensor), or `None`.
      optax: whether optax has it.
    """

    name: str
    make: Callable[[Any, Any], Any]
    torch: Callable[[Any], Any] | None = None
    optax: bool = True

    def libraries(self) -> dict[str, Any]:
        """The libraries that have it, ours first."""
        return {n: lib for n, lib in libraries().items() if n == "optcore" or self.optax}


OPTIMIZERS = [
    Optimizer(
        "sgd", lambda lib, rate: lib.sgd(rate), lambda p: torch.optim.SGD(p, 1e-3, fused=True)
    ),
    Optimizer(
        "sgd, momentum",
        lambda lib, rate: lib.sgd(rate, 0.9),
        lambda p: torch.optim.SGD(p, 1e-3, momentum=0.9, fused=True),
    ),
    Optimizer(
        "adagrad",
        lambda lib, rate: lib.adagrad(rate),
        lambda p: torch.optim.Adagrad(p, 1e-3, fused=True),
    ),
    Optimizer("rmsprop", lambda lib, rate: lib.rmsprop(rate)),
    Optimizer("rmsprop, centred", lambda lib, rate: lib.rmsprop(rate, centered=True)),
    Optimizer("rmsprop, momentum", lambda lib, rate: lib.rmsprop(rate, momentum=0.9)),
    Optimizer(
        "adam", lambda lib, rate: lib.adam(rate), lambda p: torch.optim.Adam(p, 1e-3, fused=True)
    ),
    Optimizer("adam, Nesterov", lambda lib, rate: lib.adam(rate, nesterov=True)),
    Optimizer(
        "adamw", lambda lib, rate: lib.adamw(rate), lambda p: torch.optim.AdamW(p, 1e-3, fused=True)
    ),
    Optimizer("sign_sgd", lambda lib, rate: lib.sign_sgd(rate)),
    Optimizer("signum", lambda lib, rate: lib.signum(rate)),
    Optimizer("lion", lambda lib, rate: lib.lion(rate)),
    # optax's takes no schedule, like its sm3.
    Optimizer(
        "rprop",
        lambda lib, rate: lib.rprop(1e-3),
        lambda p: torch.optim.Rprop(p, 1e-3, foreach=True),
    ),
    Optimizer("qhm", lambda lib, rate: lib.qhm(rate), optax=False),
    Optimizer("aggmo", lambda lib, rate: lib.aggmo(rate), optax=False),
    Optimizer(
        "optimistic_gradient_descent", lambda lib, rate: lib.optimistic_gradient_descent(rate)
    ),
    Optimizer("fromage", lambda lib, rate: lib.fromage(rate)),
    Optimizer("lars", lambda lib, rate: lib.lars(rate)),
    Optimizer("noisy_sgd", lambda lib, rate: lib.noisy_sgd(rate, key=jax.random.key(0))),
    Optimizer(
        "asgd",
        lambda lib, rate: lib.asgd(rate),
        lambda p: torch.optim.ASGD(p, 1e-3, foreach=True),
        optax=False,
    ),
    Optimizer(
        "nadam",
        lambda lib, rate: lib.nadam(rate),
        lambda p: torch.optim.NAdam(p, 1e-3, foreach=True),
    ),
    Optimizer("nadamw", lambda lib, rate: lib.nadamw(rate)),
    Optimizer(
        "adamax",
        lambda lib, rate: lib.adamax(rate),
        lambda p: torch.optim.Adamax(p, 1e-3, foreach=True),
    ),
    Optimizer("adamaxw", lambda lib, rate: lib.adamaxw(rate)),
    Optimizer(
        "amsgrad",
        lambda lib, rate: lib.amsgrad(rate),
        lambda p: torch.optim.Adam(p, 1e-3, amsgrad=True, fused=True),
    ),
    Optimizer(
        "radam",
        lambda lib, rate: lib.radam(rate),
        lambda p: torch.optim.RAdam(p, 1e-3, foreach=True),
    ),
    Optimizer("adabelief", lambda lib, rate: lib.adabelief(rate)),
    Optimizer("yogi", lambda lib, rate: lib.yogi(rate)),
    Optimizer(
        "adadelta",
        lambda lib, rate: lib.adadelta(rate),
        lambda p: torch.optim.Adadelta(p, 1e-3, foreach=True),
    ),
    Optimizer("laprop", lambda lib, rate: lib.laprop(rate), optax=False),
    Optimizer("acprop", lambda lib, rate: _contrib(lib).acprop(rate)),
    Optimizer("adan", lambda lib, rate: lib.adan(rate)),
    Optimizer("adopt", lambda lib, rate: _contrib(lib).adopt(rate)),
    Optimizer("ademamix", lambda lib, rate: _contrib(lib).ademamix(rate)),
    Optimizer("simplified_ademamix", lambda lib, rate: _contrib(lib).simplified_ademamix(rate)),
    Optimizer("novograd", lambda lib, rate: lib.novograd(rate)),
    Optimizer("madgrad", lambda lib, rate: _contrib(lib).madgrad(rate)),
    Optimizer("qhadam", lambda lib, rate: lib.qhadam(rate), optax=False),
    Optimizer("stable_adamw", lambda lib, rate: lib.stable_adamw(rate), optax=False),
    Optimizer("lamb", lambda lib, rate: lib.lamb(rate)),
    Optimizer(
        "adafactor",
        lambda lib, rate: lib.adafactor(rate),
        lambda p: torch.optim.Adafactor(p, 1e-3, foreach=True),
    ),
    Optimizer("sm3", lambda lib, rate: lib.sm3(1e-3)),
    Optimizer("adam_mini", lambda lib, rate: lib.adam_mini(rate), optax=False),
    Optimizer("came", lambda lib, rate: lib.came(rate), optax=False),
    Optimizer("grams", lambda lib, rate: lib.grams(rate), optax=False),
    Optimizer("ftrl", lambda lib, rate: lib.ftrl(rate), optax=False),
    Optimizer("optimistic_adam", lambda lib, rate: lib.optimistic_adam(1e-3)),
    Optimizer("optimistic_adam_v2", lambda lib, rate: lib.optimistic_adam_v2(rate)),
    Optimizer("adamc", lambda lib, rate: lib.adamc(rate, 1e-3), optax=False),
    Optimizer("hyperball_adamw", lambda lib, rate: lib.hyperball_adamw(rate), optax=False),
    Optimizer("polyak_sgd", lambda lib, rate: _given(lib, lib.polyak_sgd(1e-3), value=1.0)),
    Optimizer(
        "sophia, of given estimates",
        lambda lib, rate: _contrib(lib).sophia(
            rate, hessian_diagonal_fn=lib.stateless(lambda g, params: jax.tree.map(jnp.square, g))
        ),
    ),
]

STORED: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "store, int8": ("float32", lambda tx: optcore.store(tx, "int8")),
    "store, int8_softsign": ("float32", lambda tx: optcore.store(tx, "int8_softsign")),
    "store, fp8": ("float32", lambda tx: optcore.store(tx, "fp8")),
    "store, int4": ("float32", lambda tx: optcore.store(tx, "int4")),
    "store, bf16": ("float32", lambda tx: optcore.store(tx, "bf16", key=jax.random.key(0))),
    "master_weights": ("bfloat16", lambda tx: optcore.master_weights(tx)),
    "split_weights": ("bfloat16", lambda tx: optcore.split_weights(tx)),
    "kahan": ("bfloat16", lambda tx: optcore.kahan(tx)),
    "stochastic_rounding": (
        "bfloat16",
        lambda tx: optcore.stochastic_rounding(tx, key=jax.random.key(0)),
    ),
}
"""Adam with fewer bits: the dtype of the parameters, and what is put around it."""

LEAVES = (30, 300, 1000)
SHAPES = ((64, 64), (64,), (64, 128), (128,), (32, 64), (3, 3, 8, 16))
"""Shapes of the many leaves, in turn."""

ACCUMULATED: dict[str, tuple[int, int, Callable[[Any], Any]]] = {
    "adamw": (1, 4 * LARGE // 16, lambda lib: lib.adamw(1e-3)),
    "16 matrices, 5 products each": (16, 512 * 512, lambda lib: lib.stateless(_products)),
}
"""The cases of accumulation: leaves, their elements, and the optimizer at the end of a window."""


def _products(updates: Any, params: Any) -> Any:
    """Five products for each matrix, as many as orthogonalising it takes iterations."""

    def one(g: jax.Array) -> jax.Array:
        x = g
        for _ in range(5):
            x = g @ x
        return x

    return jax.tree.map(one, updates)


SPARSE = ("adam", "adagrad")
"""Optimizers of a table with row-sparse gradients."""
TABLE = 64_000_000
"""Elements of the table, in rows of `COLUMNS`."""
COLUMNS, BATCH = 64, 1024
"""Elements of a row, and rows that a step sees."""

RATES = tuple(1e-4 * 1.5**i for i in range(16))


def matrix(size: int) -> tuple[int, ...]:
    """A square matrix of this many elements, if there is one; otherwise a vector."""
    side = math.isqrt(size)
    return (side, side) if side * side == size else (size,)


def _contrib(lib: Any) -> Any:
    """Where optax keeps what is not in its top level."""
    return getattr(lib, "contrib", lib)


def _given(lib: Any, tx: Any, **extra: Any) -> Any:
    """`tx`, whose `update` is given the same further arguments at every step."""

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        return tx.update(updates, state, params, **extra)

    return lib.GradientTransformation(tx.init, update)


def libraries() -> dict[str, Any]:
    """The libraries to compare, ours first."""
    return {"optcore": optcore} | ({"optax": optax} if optax else {})


REGION_ANALYSIS = {"xla_cpu_copy_insertion_use_region_analysis": True}
"""XLA for CPUs then sees that an old slot is not read after the new one takes its place."""


def step(lib: Any, tx: Any, compiler_options: Any = None) -> Any:
    """A jitted training step that gives its parameters and state away."""

    def one(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return lib.apply_updates(params, updates), state

    return jax.jit(one, donate_argnums=(0, 1), compiler_options=compiler_options)


def schedule(lib: Any) -> Any:
    """A usual schedule."""
    return lib.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 10_000)


def composed(lib: Any, optimizer: Optimizer) -> Any:
    """The optimizer behind a clip, with a schedule."""
    return lib.chain(lib.clip_by_global_norm(1.0), optimizer.make(lib, schedule(lib)))
