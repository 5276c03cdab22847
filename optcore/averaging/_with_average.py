"""Averages of the parameters for any optimizer."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Count,
    GradientTransformation,
    Length,
    Params,
    Retention,
    State,
    Updates,
    apply_updates,
    copies,
    increment,
    is_inexact,
    is_none,
    map_leaves,
    safe_divide,
    transformation,
    zero_count,
)
from ..compose import chain
from ._snapshots import Snapshots, chosen_places, init_snapshots, take_snapshot

Average = Literal["ema", "swa", "lawa", "tail"]


class WithAverageState(NamedTuple):
    """The average, and the state of the optimizer.

    Attributes:
      count: int32, updates made so far.
      average: the average of the parameters after each update, at least float32; `None` for
        `"lawa"`.
      correction: float32, for `"ema"` with `debias`, the total weight so far; otherwise `None`.
      snapshots: the last parameters in their dtypes, for `"lawa"`; otherwise `None`.
      inner: the state of the optimizer.
    """

    count: jax.Array  # type: ignore[assignment]
    average: Params | None
    correction: jax.Array | None
    snapshots: Snapshots | None
    inner: State

    def evaluated(self, params: Params) -> Params:
        """The average: what `eval_params` reads."""
        return self.average if self.snapshots is None else _mean(self.snapshots, params)


@transformation(
    "wrapper",
    example={"average": "ema", "decay": 0.9},
    needs=("params",),
    outermost=True,
    per_example="results",
)
def with_average(
    inner: GradientTransformation,
    average: Average = "ema",
    *,
    decay: Retention | None = None,
    debias: bool = False,
    warmup: bool = False,
    begin: Count = 0,
    every: Length = 1,
    window: Length | None = None,
) -> GradientTransformation:
    r"""Keep an average of the parameters after each update; descent does not use it.

    Let `p_1, p_2, …` be the parameters after every `every`-th update beyond the first `begin`:

    * `"ema"`: `a_1 = p_1`, `a_n = d a_{n-1} + (1 - d) p_n`, as torch's `AveragedModel` with
      `get_ema_multi_avg_fn(d)`. The first parameters have the weight of `1 / (1 - d)` later ones.
      With `debias` the weights are those of an average that starts at zero, divided by their sum,
      `1 - d^n`. With `warmup`, `d_n = min(d, (1 + n) / (10 + n))`, as in TensorFlow.
    * `"swa"`: the mean of all (Izmailov et al., arXiv 1803.05407). With `cyclic_schedule` or
      `cosine_restarts_schedule` as the rate, set `every` to the length of a cycle.
    * `"tail"`: the mean of all, with `every=1` (tail averaging, Jain et al., arXiv 1610.03774;
      from the first step on it is Polyak's and Ruppert's).
    * `"lawa"`: the mean of the last `window` (Kaddour, arXiv 2209.14981), which are kept.

    `eval_params(state, params)` reads the average, or the parameters until there is one. The
    average is over the parameters that `apply_updates` returns, rounded to their dtype.

    It must be outermost: if a later transformation changed the updates, the average would be over
    parameters that are never used. Transformations of optcore refuse to wrap it. It cannot detect
    an `optax.chain` around it, so write `with_average(optax.chain(...))`.

    Args:
      inner: the whole optimizer.
      average: the kind of average.
      decay: `d` in [0, 1], less than 1 with `debias`; with 1 the average does not change, so a
        schedule may end there. Required for `"ema"`, and only for it.
      debias: of `"ema"`.
      warmup: of `"ema"`.
      begin: the number of updates before averaging starts, ≥ 0.
      every: ≥ 1.
      window: ≥ 1; required for `"lawa"`, and only for it.

    Raises:
      ValueError: an argument is missing, or belongs to another average; another transformation
        wraps this one; `update` was not given `params`.

    >>> import jax.numpy as jnp, optcore
    >>> tx = with_average(optcore.sgd(1.0), "ema", decay=0.5)
    >>> w = jnp.float32(0.0)
    >>> state = tx.init(w)
    >>> for _ in range(3):
    ...     step, state = tx.update(jnp.float32(-1.0), state, params=w)
    ...     w = optcore.apply_updates(w, step)
    ...     print(w.item(), optcore.eval_params(state, w).item())
    1.0 1.0
    2.0 1.5
    3.0 2.25
    >>> optcore.chain(tx, optcore.scale(0.5))
    Traceback (most recent call last):
    ValueError: chain: transforms holds with_average, which must be outermost: ...
    """
    _check(average, decay, debias, warmup, every, window)
    tx = chain(inner)

    def init(params: Params) -> WithAverageState:
        lawa = average == "lawa"
        return WithAverageState(
            count=zero_count(),
            average=None if lawa else copies(params, widened=True),
            correction=jnp.zeros((), jnp.float32) if debias else None,
            snapshots=init_snapshots(_trainable(params), window) if window is not None else None,
            inner=tx.init(params)[0],
        )

    def weights(n: jax.Array, given: jax.Array | None) -> tuple[jax.Array, jax.Array | None]:
        """The weight of the `n`-th parameters, and the total weight with it."""
        m = n.astype(jnp.float32)
        if decay is None:
            return 1 / jnp.maximum(m, 1), None
        keep = jnp.asarray(1 - decay, jnp.float32)
        if warmup:
            keep = jnp.maximum(keep, 9 / (10 + m))
        if given is None:
            return keep, None
        given = given + keep * (1 - given)
        return safe_divide(keep, given), given

    def leaf(
        p: jax.Array, a: jax.Array, weight: jax.Array, first: jax.Array, counts: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        moved = jnp.where(first, p, a + weight * (p - a))
        return p, jnp.where(counts, moved, a)

    def update(
        updates: Updates, state: WithAverageState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, WithAverageState]:
        steps, (inner_state,) = tx.update(updates, (state.inner,), params, **extra)
        after = apply_updates(params, steps)
        count = increment(state.count)
        since = jnp.maximum(count - begin, 0)
        n, counts = since // every, (since > 0) & (since % every == 0)
        if state.snapshots is not None:
            kept = take_snapshot(state.snapshots, _trainable(after), counts)
            return steps, state._replace(count=count, snapshots=kept, inner=inner_state)

        weight, given = weights(n, state.correction)
        if given is not None and state.correction is not None:
            given = jnp.where(counts, given, state.correction)
        # Until averaging starts, the average is a copy.
        scalars = weight, n <= 1, counts | (n == 0)
        slot = state.average
        values = jax.tree.map(lambda a, p: None if a is None else p, slot, after, is_leaf=is_none)
        _, mean = map_leaves(leaf, values, (slot,), scalars=scalars)
        return steps, WithAverageState(count, mean, given, None, inner_state)

    return GradientTransformation(init, update)


def _check(
    average: Average, decay: Any, debias: bool, warmup: bool, every: int, window: int | None
) -> None:
    needs = {"ema": "decay", "lawa": "window"}
    given = {"decay": decay, "window": window, "debias": debias or None, "warmup": warmup or None}
    belongs = {"decay": "ema", "debias": "ema", "warmup": "ema", "window": "lawa"}
    need = needs.get(average)
    if need is not None and given[need] is None:
        raise ValueError(f"with_average: {need} is required for {average!r}, got None")
    for name, value in given.items():
        if value is not None and belongs[name] != average:
            raise ValueError(
                f"with_average: {name} belongs to {belongs[name]!r}, got {name}={value!r} for "
                f"{average!r}"
            )
    if debias and isinstance(decay, float) and decay == 1:
        raise ValueError(
            "with_average: decay must be less than 1 with debias, got 1.0: all weights would be 0"
        )
    if average == "tail" and every != 1:
        raise ValueError(
            f"with_average: every must be 1 for 'tail', got {every}; for every n-th use 'swa'"
        )


def _trainable(params: Params) -> Params:
    return jax.tree.map(lambda p: p if is_inexact(p) else None, params)


def _mean(snapshots: Snapshots, params: Params) -> Params:
    """The mean of the snapshots, in at least float32; the parameters while there are none."""
    chosen = chosen_places(snapshots, 2**31 - 1)
    number = jnp.sum(chosen)
    share = chosen.astype(jnp.float32) / jnp.maximum(number, 1).astype(jnp.float32)

    def leaf(p: jax.Array, places: jax.Array, share: jax.Array, some: jax.Array) -> jax.Array:
        sum_of = jnp.sum(share.reshape(-1, *[1] * p.ndim) * places, axis=0)
        return jnp.where(some, sum_of, p)

    scalars = share, number > 0
    return map_leaves(leaf, _trainable(params), reads=(snapshots.params,), scalars=scalars)
