"""The learning-rate range test: rates to try, from one short run."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from .._core import Params, is_key, whole
from ._batches import Batches, first, source
from ._phases import (
    Array,
    Phases,
    Suggestions,
    blow_up,
    noise,
    phases,
    smoothed,
    stable_limit,
    suggest,
)
from ._progress import progress_bar
from ._rated import check_rate, with_rate
from ._step import Loss, adapted, step

Growth = Literal["exponential", "linear"]
OWNER = "lr_range_test"


@dataclasses.dataclass(frozen=True, eq=False)
class RangeTest:
    """The result of a range test; `plot_range_test` draws it.

    Attributes:
      rates: `(steps,)`, rising; fewer than requested if the loss diverged.
      losses: `(seeds, steps)`, the loss after the step at each rate, on the next batch.
      curve: `(steps,)`, the median of the smoothed losses over the seeds.
      quartiles: `(2, steps)`, the lower and the upper quartile.
      growth: how the rates rise.
      limit: an estimate of the largest stable rate, or `None` if the loss did not diverge.
      phases: no progress, fast descent, divergence; `None` if no rate lowers the loss.

    >>> import optcore
    >>> found = lr_range_test(jnp.square, jnp.float32(1.0), optcore.sgd(0.1), None, 1e-4, 1e-1, 20,
    ...     key=jax.random.key(0))
    >>> found.limit, found.phases.divergence == len(found.rates)
    (None, True)
    """

    rates: Array
    losses: Array
    curve: Array
    quartiles: Array
    growth: Growth
    limit: float | None
    phases: Phases | None

    @property
    def suggestions(self) -> Suggestions:
        """Rates to try, from the part of the median curve below the divergence.

        Raises:
          ValueError: no rate lowers the loss.
        """
        if self.phases is None:
            raise ValueError(
                f"lr_range_test: no rate from {self.rates[0]:.3g} to {self.rates[-1]:.3g} lowers "
                "the loss; it may diverge from the first step on (try a lower `lowest`), or never "
                "move (try a higher `highest`)"
            )
        return suggest(self.rates, self.curve, self.phases, self.limit)


def lr_range_test(
    loss_fn: Loss,
    params: Params | Callable[[jax.Array], Params],
    tx: Any,
    batches: Batches,
    lowest: float,
    highest: float,
    steps: int,
    growth: Growth = "exponential",
    *,
    key: jax.Array,
    seeds: int = 5,
    factory: Callable[[jax.Array], Any] | None = None,
    smoothing: float = 0.8,
    progress: bool = True,
) -> RangeTest:
    """Raise the learning rate after every mini-batch and record the loss (arXiv 1506.01186, 3.3).

    Every seed has its own order of batches, and its own initial parameters if they are given as
    a function; all train at once, in one program that is compiled once. The test ends early when
    the median of the losses has diverged. Suggestions come from the median of the seeds' curves: a
    single curve may descend where another diverges.

    Args:
      loss_fn: `(params, batch)` to a real scalar; `(params)` if `batches` is `None`.
      params: the initial parameters, which are not changed; or a function of a random key.
      tx: an optimizer of optcore with one `learning_rate`, whose value or schedule is replaced. Its
        state starts fresh.
      batches: a tree of arrays whose first axis counts batches; a list of batches, or an iterator,
        of which `steps + 1` are taken; or a function of a random key, which is traced.
      lowest: the first rate, > 0.
      highest: the last rate, > `lowest`.
      steps: the number of rates, ≥ 20; 100 or more give better results.
      growth: of the rates, `"exponential"` or `"linear"`.
      key: the random key of the seeds.
      seeds: ≥ 5.
      factory: a function from a (traced) rate to an optimizer of any library; then `tx` is `None`.
      smoothing: decay of the average of each seed's losses, in [0, 1); the curve lags behind by
        `smoothing / (1 - smoothing)` steps.
      progress: a bar on stderr, if tqdm is installed and stderr is a terminal.

    Returns:
      A `RangeTest`: the curve, its phases, and `suggestions`.

    Raises:
      TypeError, ValueError: an argument is out of range; `tx` has no learning rate, or several;
        the loss is not finite at the start.

    On a quadratic of curvature 100, the largest stable rate of gradient descent is 2 / 100. The
    test finds it, although the loss keeps falling for a while beyond it:

    >>> import optcore
    >>> curvature = jnp.array([100.0, 1.0])
    >>> found = lr_range_test(lambda w: curvature @ w**2 / 2, jnp.ones(2), optcore.sgd(0.1), None,
    ...     lowest=1e-5, highest=1.0, steps=100, key=jax.random.key(0))
    >>> round(found.limit, 4), found.suggestions.steepest < 0.02
    (0.02, True)
    """
    rates = _rates(lowest, highest, steps, growth)
    if not 0 <= smoothing < 1:
        raise ValueError(f"{OWNER}: smoothing must lie in [0, 1), got {smoothing}")
    if seeds < 5:
        raise ValueError(f"{OWNER}: seeds must be at least 5, got {seeds}: a median needs several")
    if not (is_key(key) and key.ndim == 0):
        raise TypeError(
            f"{OWNER}: key must be one typed random key, such as jax.random.key(0), got {key!r}"
        )
    make = _maker(tx, factory)
    losses = _measure(loss_fn, params, make, batches, rates, key, seeds, smoothing, progress)

    tested = rates[: losses.shape[1]].astype(np.float64)
    each = smoothed(losses, smoothing)
    with np.errstate(invalid="ignore"):
        low, curve, high = (
            np.quantile(each, q, axis=0, method="nearest") for q in (0.25, 0.5, 0.75)
        )
    median = np.median(np.where(np.isfinite(losses), losses, np.inf), axis=0)
    sigma = noise(losses, smoothing)
    limit = stable_limit(tested, median, curve, sigma)
    found = phases(tested, curve, sigma, limit)
    return RangeTest(tested, losses, curve, np.stack([low, high]), growth, limit, found)


def _rates(lowest: float, highest: float, steps: int, growth: Growth) -> Array:
    if not 0 < lowest < highest < np.inf:
        raise ValueError(
            f"{OWNER}: 0 < lowest < highest must hold, got lowest={lowest}, highest={highest}"
        )
    number = whole(steps)
    if number is None or number < 20:
        raise ValueError(f"{OWNER}: steps must be an int of at least 20, got {steps!r}")
    if growth not in ("exponential", "linear"):
        raise ValueError(f"{OWNER}: growth must be 'exponential' or 'linear', got {growth!r}")
    space = np.geomspace if growth == "exponential" else np.linspace
    return np.asarray(space(lowest, highest, number), np.float32)


def _maker(tx: Any, factory: Callable[[jax.Array], Any] | None) -> Callable[[Any], Any]:
    """From a rate to an optimizer."""
    if factory is not None:
        if tx is not None:
            raise ValueError(f"{OWNER}: give tx or factory, not both; got tx={tx!r}")
        return lambda rate: adapted(factory(rate))
    check_rate(OWNER, tx)
    return lambda rate: with_rate(tx, rate)


def _measure(
    loss_fn: Loss,
    params: Any,
    make: Callable[[Any], Any],
    batches: Batches,
    rates: Array,
    key: jax.Array,
    seeds: int,
    smoothing: float,
    progress: bool,
) -> Array:
    """The loss after the step at each rate, `(seeds, steps)`, until it diverges."""
    steps = len(rates)
    chunk = -(-(steps + 1) // 20)
    # One more step than rates, for the loss after the last rate; padding fills the last chunk.
    filled = np.append(rates, np.repeat(rates[-1:], -(steps + 1) % chunk + 1))
    batches = first(OWNER, batches, steps + 1)
    start_keys, order_keys = jax.random.split(key, (2, seeds))
    sources = [source(OWNER, batches, k if batches is not None else None) for k in order_keys]
    sampled = callable(batches)

    def init(key: jax.Array) -> Any:
        fresh = params(key) if _is_function(params) else params
        return fresh, make(jnp.asarray(rates[0])).init(fresh)

    def run(carry: Any, data: Any, rates: jax.Array, xs: Any) -> Any:
        def body(carry: Any, inputs: Any) -> Any:
            rate, x = inputs
            batch = sources[0].pick(data, x)
            carry, (loss, _) = step(OWNER, loss_fn, make(rate), carry, batch)
            return carry, loss

        return jax.lax.scan(body, carry, (rates, xs))

    compiled = jax.jit(jax.vmap(run, in_axes=(0, 0 if sampled else None, None, 0)))
    data = jnp.stack([s.data for s in sources]) if sampled else sources[0].data
    carry = jax.jit(jax.vmap(init))(start_keys)
    seen = np.zeros((seeds, 0), np.float32)
    with progress_bar(steps, "rate", progress) as advance:
        for start in range(0, len(filled), chunk):
            drawn = [s.draw(start, chunk) for s in sources]
            xs = jax.tree.map(lambda *x: np.stack(x), *drawn)
            carry, losses = compiled(carry, data, filled[start : start + chunk], xs)
            seen = np.concatenate([seen, jax.device_get(losses)], axis=1)
            if not start and not np.isfinite(seen[:, 0]).all():
                raise ValueError(f"{OWNER}: the loss is not finite at the start: {seen[:, 0]}")
            advance(min(chunk, steps - start))
            if _has_diverged(seen[:, 1:], smoothing, steps):
                break
    return seen[:, 1 : steps + 1]


def _has_diverged(losses: Array, smoothing: float, steps: int) -> bool:
    """Whether the median has been high for a tenth of all steps, or is no longer finite."""
    if not losses.shape[1]:
        return False
    curve = np.quantile(smoothed(losses, smoothing), 0.5, axis=0, method="nearest")
    fall, _, begin = blow_up(curve, noise(losses, smoothing))
    return not np.isfinite(curve[-1]) or (fall > 0 and len(curve) - begin > steps / 10)


def _is_function(params: Any) -> bool:
    """A function that makes parameters; parameters may be callable too, as Equinox models are."""
    return callable(params) and not any(hasattr(x, "dtype") for x in jax.tree.leaves(params))
