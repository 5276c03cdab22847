"""The loss around and between parameters: lines, planes, and the sharpness of a minimum."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core import Params, is_inexact, is_key, leaf_keys, norm_along, wide, zero_count

Loss = Callable[[Params], jax.Array]


class LossLine(NamedTuple):
    """Losses along the straight line through two points.

    Attributes:
      positions: float32, `(points,)`: 0 is the first point, 1 the second.
      losses: float32, `(points,)`.
    """

    positions: jax.Array
    losses: jax.Array


class LossSurface(NamedTuple):
    """Losses in a plane.

    Attributes:
      positions: float32, `(points,)`: the coordinates along either direction.
      losses: float32, `(points, points)`: a row for each coordinate along the second direction,
        a column for each along the first.
    """

    positions: jax.Array
    losses: jax.Array


class Sharpness(NamedTuple):
    """The rise of a loss around a point.

    Attributes:
      rise: the mean rise, in the unit of the loss.
      error: its standard error over the random directions; NaN for one direction.
    """

    rise: jax.Array
    error: jax.Array


def loss_line(
    loss_fn: Loss, first: Params, second: Params, *, points: int = 51, margin: float = 0.25
) -> LossLine:
    """The loss at `(1 - t) · first + t · second` (Goodfellow et al., arXiv 1412.6544).

    Between two snapshots of one run, a wall shows that they are separate minima, and a flat floor
    that their average is a minimum too.

    Args:
      loss_fn: from parameters to a scalar.
      first: parameters at `t = 0`; its integer leaves are used at every point.
      second: parameters at `t = 1`.
      points: ≥ 2.
      margin: the extension beyond either end, in units of the distance, ≥ 0.

    Raises:
      ValueError: the two are different trees, or an argument is out of range.

    >>> import jax.numpy as jnp
    >>> line = loss_line(lambda w: w**2, jnp.float32(-1.0), jnp.float32(1.0), points=3, margin=0.0)
    >>> line.positions.tolist(), line.losses.tolist()
    ([0.0, 0.5, 1.0], [1.0, 0.0, 1.0])
    """
    _check_points("loss_line", points)
    if not margin >= 0:
        raise ValueError(f"loss_line: margin must be at least 0, got {margin}")
    if jax.tree.map(jnp.shape, first) != jax.tree.map(jnp.shape, second):
        raise ValueError(
            "loss_line: the two ends must be parameters of the same model, got "
            f"{jax.tree.map(jnp.shape, first)} and {jax.tree.map(jnp.shape, second)}"
        )
    positions = jnp.linspace(-margin, 1 + margin, points, dtype=jnp.float32)

    def between(t: jax.Array) -> jax.Array:
        return _float(loss_fn(_combined(first, [(1 - t, first), (t, second)])))

    return LossLine(positions, jax.jit(lambda ts: jax.lax.map(between, ts))(positions))


def filter_directions(params: Params, key: jax.Array, *, output_axis: int = -1) -> Params:
    r"""A random direction whose filters have the norms of the filters of the parameters.

    `d ← d / ‖d‖ · ‖w‖` for each output of each layer (Li et al., arXiv 1712.09913, section 4), so a
    distance has the same meaning for networks whose layers have been rescaled. The direction of
    vectors and scalars (biases, gains) is 0, as in the authors' code.

    Args:
      params: the parameters at the centre.
      key: a typed random key.
      output_axis: the axis that enumerates the filters of a weight; the last one for `(in, out)`
        and `(height, width, in, out)`.

    Raises:
      TypeError: `key` is not a typed key.

    >>> import jax.numpy as jnp
    >>> w = jnp.array([[3.0, 0.0], [4.0, 1.0]])
    >>> d = filter_directions({"w": w, "b": jnp.ones(2)}, jax.random.key(0))
    >>> jnp.linalg.norm(d["w"], axis=0).round(4).tolist(), d["b"].tolist()
    ([5.0, 1.0], [0.0, 0.0])
    """
    if not is_key(key):
        raise TypeError(
            f"filter_directions: key must be a typed random key, jax.random.key(0), got {key}"
        )

    def direction(w: Any, own_key: jax.Array) -> Any:
        if not is_inexact(w):
            return jnp.zeros_like(w)
        w = jnp.asarray(w, wide(jnp.result_type(w)))
        if w.ndim < 2:
            return jnp.zeros_like(w)
        axes = tuple(i for i in range(w.ndim) if i != output_axis % w.ndim)
        d = jax.random.normal(own_key, w.shape, w.dtype)
        return d * (norm_along(w, axes) / norm_along(d, axes))

    return jax.tree.map(direction, params, leaf_keys(key, zero_count(), params))


def loss_surface(
    loss_fn: Loss,
    params: Params,
    directions: tuple[Params, Params],
    *,
    points: int = 25,
    reach: float = 1.0,
) -> LossSurface:
    """The loss at `params + a · d + b · e`, with `a` and `b` from `-reach` to `reach`.

    Args:
      loss_fn: from parameters to a scalar.
      params: the centre.
      directions: `d` and `e`, such as two results of `filter_directions`, or differences of
        snapshots.
      points: the number along either direction, ≥ 2; an odd number includes the centre.
      reach: > 0; with `filter_directions`, 1 moves every filter by its own length.

    Raises:
      ValueError: an argument is out of range, or a direction does not fit the parameters.

    >>> import jax.numpy as jnp
    >>> from optcore.diagnostics import bowl
    >>> along = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    >>> loss_surface(bowl, jnp.zeros(2), along, points=3).losses.tolist()
    [[10.5, 10.0, 10.5], [0.5, 0.0, 0.5], [10.5, 10.0, 10.5]]
    """
    _check_points("loss_surface", points)
    if not reach > 0:
        raise ValueError(f"loss_surface: reach must be positive, got {reach}")
    shapes = jax.tree.map(jnp.shape, params)
    if not isinstance(directions, (tuple, list)) or [
        jax.tree.map(jnp.shape, direction) for direction in directions
    ] != [shapes, shapes]:
        raise ValueError(
            "loss_surface: directions must be a pair of trees like the parameters, with shapes "
            f"{shapes}, got {jax.tree.map(jnp.shape, directions)}"
        )
    positions = jnp.linspace(-reach, reach, points, dtype=jnp.float32)
    d, e = directions

    def at(b: jax.Array, a: jax.Array) -> jax.Array:
        one = jnp.ones((), jnp.float32)
        return _float(loss_fn(_combined(params, [(one, params), (a, d), (b, e)])))

    def rows(positions: jax.Array) -> jax.Array:
        return jax.lax.map(lambda b: jax.lax.map(lambda a: at(b, a), positions), positions)

    return LossSurface(positions, jax.jit(rows)(positions))


def sharpness(
    loss_fn: Loss,
    params: Params,
    key: jax.Array,
    *,
    radius: float = 0.1,
    directions: int = 16,
    output_axis: int = -1,
) -> Sharpness:
    """The mean rise of the loss at distance `radius` along filter-normalised directions.

    Unlike an eigenvalue of the Hessian, it does not change when one layer is multiplied by a number
    and the next is divided by it. It does not predict generalisation: sharp minima can generalise
    too (Dinh et al., arXiv 1703.04933).

    Args:
      loss_fn: from parameters to a scalar.
      params: the parameters at the centre.
      key: a typed random key; the same key gives the same directions for equal shapes.
      radius: relative to the length of each filter, > 0.
      directions: the number of random directions, ≥ 1.
      output_axis: see `filter_directions`.

    Raises:
      TypeError: `key` is not a typed key.
      ValueError: an argument is out of range.

    At the minimum `w`, one filter of length 1, of `s ‖v - w‖²` the rise is `s · radius²`:

    >>> import jax.numpy as jnp
    >>> w = jnp.zeros((100, 1)).at[0].set(1.0)
    >>> flat, steep = (
    ...     sharpness(lambda v: s * jnp.sum((v - w) ** 2), w, jax.random.key(0)) for s in (1.0, 4.0)
    ... )
    >>> round(float(flat.rise), 6), round(float(steep.rise), 6)
    (0.01, 0.04)
    """
    if not radius > 0 or directions < 1:
        raise ValueError(
            "sharpness: radius must be positive and directions at least 1, got "
            f"{radius} and {directions}"
        )
    if not is_key(key):
        raise TypeError(f"sharpness: key must be a typed random key, jax.random.key(0), got {key}")
    one, far = jnp.ones((), jnp.float32), jnp.float32(radius)

    def rise(own_key: jax.Array) -> jax.Array:
        d = filter_directions(params, own_key, output_axis=output_axis)
        return _float(loss_fn(_combined(params, [(one, params), (far, d)])))

    def measured(keys: jax.Array) -> Sharpness:
        rises = jax.lax.map(rise, keys) - _float(loss_fn(params))
        deviation = jnp.std(rises, ddof=1) if directions > 1 else jnp.float32(np.nan)
        return Sharpness(rises.mean(), deviation / np.float32(directions**0.5))

    return jax.jit(measured)(jax.random.split(key, directions))


def _combined(like: Params, terms: list[tuple[jax.Array, Params]]) -> Params:
    """A linear combination of trees, in at least float32, cast to the dtypes of the first."""

    def combined(p: Any, *trees: Any) -> Any:
        if not is_inexact(p):
            return p
        kind = wide(jnp.result_type(p))
        parts = [
            jnp.asarray(a, kind) * jnp.asarray(x, kind)
            for (a, _), x in zip(terms, trees, strict=True)
        ]
        return sum(parts[1:], parts[0]).astype(jnp.result_type(p))

    return jax.tree.map(combined, like, *(tree for _, tree in terms))


def _float(loss: jax.Array) -> jax.Array:
    return jnp.asarray(loss).astype(jnp.float32)


def _check_points(owner: str, points: int) -> None:
    if points < 2:
        raise ValueError(f"{owner}: points must be at least 2, got {points}")
