"""What is measured, as data."""

import dataclasses
from collections.abc import Callable
from typing import Any

import optcore

try:
    import optax
except ImportError:
    optax = None
try:
    import torch
except ImportError:
    torch = None

LARGE = 16_777_216
"""Elements of the large leaf: 64 MiB in float32."""


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """One optimizer in every library that has it.

    Attributes:
      name: of the row.
      make: from a library (`optcore` or `optax`) and a learning rate to the transformation.
      torch: from a list of parameters to the fused optimizer, or `None`.
    """

    name: str
    make: Callable[[Any, Any], Any]
    torch: Callable[[Any], Any] | None = None


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
]

LEAVES = (30, 300, 1000)
SHAPES = ((64, 64), (64,), (64, 128), (128,), (32, 64), (3, 3, 8, 16))
"""Shapes of the many leaves, in turn."""

RATES = tuple(1e-4 * 1.5**i for i in range(16))


def libraries() -> dict[str, Any]:
    """The libraries to compare, ours first."""
    return {"optcore": optcore} | ({"optax": optax} if optax else {})


def schedule(lib: Any) -> Any:
    """A usual schedule."""
    return lib.warmup_cosine_decay_schedule(0.0, 1e-3, 100, 10_000)


def composed(lib: Any, optimizer: Optimizer) -> Any:
    """The optimizer behind a clip, with a schedule."""
    return lib.chain(lib.clip_by_global_norm(1.0), optimizer.make(lib, schedule(lib)))
