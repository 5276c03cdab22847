"""Cyclical learning rates: triangles between two values."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from .._core import Hyperparameter, Length, Range, Schedule, schedule
from ._cycles import Cycles, even_cycles
from ._progress import between, check_ordered, geometric

Policy = Literal["triangular", "triangular2", "exp_range"]
Gamma = Annotated[Hyperparameter, Range(0, 1, closed=True, open_low=True)]


@schedule(example={"base_value": 0.1, "max_value": 1.0, "up_steps": 3, "down_steps": 5})
def cyclic_schedule(
    base_value: Hyperparameter,
    max_value: Hyperparameter,
    up_steps: Length,
    down_steps: Length | None = None,
    policy: Policy = "triangular",
    gamma: Gamma | None = None,
    scale_fn: Schedule | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
) -> Schedule:
    r"""Triangles between two values (Smith, arXiv 1506.01186).

    .. math::
        cycle = \lfloor 1 + t / (2 s) \rfloor, \quad x = |t / s - 2\, cycle + 1|

        \eta_t = base + (max - base) \max(0, 1 - x) \cdot scale

    for `s = up_steps = down_steps`. The scale is 1 (`"triangular"`), `2^(1 - cycle)`
    (`"triangular2"`), or `gamma^t` (`"exp_range"`; `t` is the step, not the cycle).

    Args:
      base_value: at the start of each cycle, and the smallest value.
      max_value: the peak of the first cycle, not below `base_value`.
      up_steps: from the base to the peak, ≥ 1.
      down_steps: from the peak back to the base, ≥ 1; by default `up_steps`.
      policy: how the peaks shrink.
      gamma: in (0, 1]; required for `"exp_range"`, and only for it.
      scale_fn: your own scale in place of the policy's: a schedule, or any function of an int32
        count, which is the number of the cycle (from 1) or the step.
      scale_mode: whether that count is the cycle or the step.

    Raises:
      ValueError: `base_value` exceeds `max_value`; `gamma` is missing or not used; `scale_fn` is
        combined with a policy other than the default.

    >>> halving = cyclic_schedule(0.0, 1.0, 2, policy="triangular2")
    >>> [halving(t).item() for t in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """
    check_ordered("cyclic_schedule", "base_value", base_value, "max_value", max_value)
    height = _height("cyclic_schedule", up_steps, down_steps, policy, gamma, scale_fn, scale_mode)
    return height.between(base_value, max_value)


@schedule(example={"base_momentum": 0.8, "max_momentum": 0.95, "up_steps": 3})
def cyclic_momentum_schedule(
    base_momentum: Hyperparameter,
    max_momentum: Hyperparameter,
    up_steps: Length,
    down_steps: Length | None = None,
    policy: Policy = "triangular",
    gamma: Gamma | None = None,
    scale_fn: Schedule | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
) -> Schedule:
    """The inverse cycle: it falls from `max_momentum` while `cyclic_schedule` rises.

    Args:
      base_momentum: the smallest value.
      max_momentum: at the start of each cycle, not below `base_momentum`.
      up_steps: of the learning rate; all that follow as in `cyclic_schedule`.
      down_steps: of the learning rate.
      policy: how the depth shrinks.
      gamma: of `"exp_range"`.
      scale_fn: in place of the policy's scale.
      scale_mode: what `scale_fn` is a function of.

    >>> momentum = cyclic_momentum_schedule(0.75, 1.0, 2)
    >>> [momentum(t).item() for t in range(5)]
    [1.0, 0.875, 0.75, 0.875, 1.0]
    """
    owner = "cyclic_momentum_schedule"
    check_ordered(owner, "base_momentum", base_momentum, "max_momentum", max_momentum)
    height = _height(owner, up_steps, down_steps, policy, gamma, scale_fn, scale_mode)
    return height.between(max_momentum, base_momentum)


class _Height:
    """The distance of the value from the base, as a fraction of the whole range."""

    def __init__(self, up: int, down: int, scale: Callable[[jax.Array, jax.Array], Any]):
        self.up, self.down, self.scale = up, down, scale

    def __call__(self, count: jax.Array) -> jax.Array:
        position = count % (self.up + self.down)
        rising = position.astype(jnp.float32) / self.up
        falling = (self.up + self.down - position).astype(jnp.float32) / self.down
        cycle = count // (self.up + self.down) + 1
        return jnp.minimum(rising, falling) * self.scale(cycle, count)

    def between(self, base: Hyperparameter, peak: Hyperparameter) -> Cycles:
        cycles = even_cycles(self.up + self.down)
        return Cycles(lambda count: between(base, peak, self(count)), cycles)


def _height(
    owner: str,
    up: int,
    down: int | None,
    policy: Policy,
    gamma: Hyperparameter | None,
    scale_fn: Schedule | None,
    scale_mode: str,
) -> _Height:
    if gamma is None and policy == "exp_range":
        raise ValueError(f"{owner}: the policy 'exp_range' needs gamma, in (0, 1], got none")
    if gamma is not None and policy != "exp_range":
        raise ValueError(
            f"{owner}: gamma belongs to the policy 'exp_range', got gamma={gamma} with "
            f"the policy {policy!r}"
        )
    if scale_fn is not None and policy != "triangular":
        raise ValueError(
            f"{owner}: scale_fn takes the place of the policy's scale, got both scale_fn and "
            f"the policy {policy!r}"
        )
    down = up if down is None else down
    if up + down >= 2**31:
        raise ValueError(f"{owner}: a cycle must have fewer than 2**31 steps, got {up + down}")
    if scale_fn is None and scale_mode != "cycle":
        raise ValueError(f"{owner}: scale_mode={scale_mode!r} needs a scale_fn, got none")

    def scale(cycle: jax.Array, t: jax.Array) -> Any:
        if scale_fn is not None:
            scaled = scale_fn(cycle if scale_mode == "cycle" else t)
            return jnp.asarray(scaled, jnp.float32)
        if policy == "triangular2":
            return jnp.exp2(1 - cycle.astype(jnp.float32))
        return geometric(1.0, gamma, t.astype(jnp.float32)) if policy == "exp_range" else 1.0

    return _Height(up, down, scale)
