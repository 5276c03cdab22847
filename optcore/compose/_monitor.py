"""Monitoring a run: norms, ratios and angles of an optimizer's inputs and outputs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Bound,
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    agreeing_over,
    flatten_like,
    global_norm,
    increment,
    is_absent,
    is_leaf,
    map_leaves,
    named_leaves,
    slots,
    spread,
    transformation,
    whole_sum,
    zero_count,
)

Grouping = Any | Callable[[Any], Any]
"""A tree of strings that is a prefix of the parameters, or a function from them to one."""

Parts = Mapping[str, list[Any]]
"""The leaves of a tree by group; those of the whole tree under the empty name."""


class MonitorState(NamedTuple):
    """The measurements of the last step, and the state of `inner`.

    Attributes:
      count: int32, steps seen.
      measurements: float32 scalars by name; zeros before the first step.
      previous_gradient: the gradients of the step before, for the cosine; otherwise `None`.
      inner: its state.
    """

    count: jax.Array  # type: ignore[assignment]
    measurements: dict[str, jax.Array]
    previous_gradient: Updates
    inner: State


@transformation(
    "wrapper", example={"cosine": True, "max_norm": 1.0}, needs=("params",), all_reduces=2
)
def monitor(
    inner: GradientTransformation,
    *,
    cosine: bool = False,
    max_norm: Bound | None = None,
    groups: Grouping | None = None,
) -> GradientTransformation:
    r"""Measure the inputs and outputs of a transformation without changing them.

    The state holds float32 scalars by name, for the last step:

    * `gradient_norm`, `update_norm`, `parameter_norm`: Euclidean norms of the incoming updates, of
      the outgoing updates, and of the parameters before the step;
    * `update_to_weight`: the update norm over the parameter norm, about 1e-3 in a healthy run;
      infinite if only the parameters are zero, 0 if both are;
    * `gradient_cosine`, if `cosine`: the cosine of the angle between the gradients of this step and
      of the previous one, in [-1, 1]; 0 at the first step and where either is zero. Near 1 the path
      is straight, near 0 the gradients are mostly noise, near -1 it bounces between two walls
      (`optcore.diagnostics.diagnose` draws the conclusions);
    * `clip_fraction`, if `max_norm`: the fraction of all steps so far whose gradient norm was above
      it.

    With groups, each measurement except `clip_fraction` also exists for each group, as in
    `gradient_norm/group`.

    Outermost, it sees raw gradients and final steps; inside a chain, it sees the updates at that
    place. Every measurement is one reduction of existing arrays, in the pass that computes them;
    the cosine also keeps a copy of the gradients.

    Args:
      inner: the transformation to measure.
      cosine: measure the angle between successive gradients.
      max_norm: the threshold of the clip inside, in the unit of the gradient norm.
      groups: a tree of strings that is a prefix of the parameters, or a function from them to
        one. By default there are none.

    Raises:
      TypeError: a group is not a string.
      ValueError: the groups are not a prefix of the parameters, or a group's name is empty.

    The first step of Adam has the length of the rate in each of four coordinates:

    >>> import jax.numpy as jnp, optcore
    >>> tx = monitor(optcore.adam(0.1))
    >>> params = jnp.array([1.0, 1.0, 1.0, 1.0])
    >>> _, state = tx.update(jnp.array([3.0, -3.0, 3.0, -3.0]), tx.init(params), params)
    >>> {name: round(float(x), 4) for name, x in sorted(state.measurements.items())}
    {'gradient_norm': 6.0, 'parameter_norm': 2.0, 'update_norm': 0.2, 'update_to_weight': 0.1}
    """
    inner = adapt(inner)

    def init(params: Params) -> MonitorState:
        names = ["gradient_norm", "update_norm", "parameter_norm", "update_to_weight"]
        names += ["gradient_cosine"] if cosine else []
        parts = _Parting(groups, params)(params)
        keys = [_key(name, part) for name in names for part in {"": None, **parts}]
        keys += ["clip_fraction"] if max_norm is not None else []
        return MonitorState(
            count=zero_count(),
            measurements={key: jnp.zeros((), jnp.float32) for key in keys},
            previous_gradient=slots(params) if cosine else None,
            inner=inner.init(params),
        )

    def update(
        updates: Updates, state: MonitorState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MonitorState]:
        steps, new = inner.update(updates, state.inner, params, **extra)
        count, previous = increment(state.count), state.previous_gradient
        part = _Parting(groups, params)
        gradients = part(updates)
        gradient, step, parameter = map(_norms, (gradients, part(steps), part(params)))
        measured: dict[str, Mapping[str, jax.Array]] = {
            "gradient_norm": gradient,
            "update_norm": step,
            "parameter_norm": parameter,
            "update_to_weight": {p: _ratio(step[p], parameter[p]) for p in parameter},
        }
        if cosine:
            measured["gradient_cosine"] = _cosines(gradients, part(previous))
            _, previous = map_leaves(lambda g, old: (g, g), updates, (previous,))
        found = {_key(name, p): x for name, by_part in measured.items() for p, x in by_part.items()}
        if max_norm is not None:
            before = state.measurements["clip_fraction"]
            clipped = (gradient[""] > max_norm).astype(jnp.float32)
            found["clip_fraction"] = before + (clipped - before) / count.astype(jnp.float32)
        return steps, MonitorState(count, found, previous, new)

    return GradientTransformation(init, update)


def _key(name: str, part: str) -> str:
    return f"{name}/{part}" if part else name


class _Parting:
    """Splits trees like the parameters into groups."""

    def __init__(self, groups: Grouping | None, params: Params):
        leaves, self.treedef = jax.tree.flatten(params)
        self.labels = [""] * len(leaves) if groups is None else _labels(groups, params)

    def __call__(self, tree: Any) -> Parts:
        parts: dict[str, list[Any]] = {label: [] for label in self.labels}
        for label, leaf in zip(self.labels, flatten_like(self.treedef, tree), strict=True):
            parts[label].append(None if is_absent(leaf) else leaf)
        return parts


def _labels(groups: Grouping, params: Params) -> list[str]:
    """The group of every parameter, in the order of the leaves."""
    chosen = groups(params) if callable(groups) else groups
    absent = {path for path, p in named_leaves(params) if p is None}
    for path, label in named_leaves(chosen):
        if label is None and path in absent:
            continue
        if not isinstance(label, str):
            raise TypeError(
                f"monitor: groups must give the name of a group for each parameter, got {label!r} "
                f"at {path!r}"
            )
        if not label:
            raise ValueError(f"monitor: a group must have a name, got '' at {path!r}")
    marks = spread(chosen, params, "monitor: groups", "strings")
    leaves = jax.tree.leaves(params, is_leaf=is_leaf)
    return [mark for mark, p in zip(marks, leaves, strict=True) if p is not None]


def _norms(parts: Parts) -> dict[str, jax.Array]:
    """The norm of each group, and from these the norm of all."""
    norms = {part: global_norm(leaves).astype(jnp.float32) for part, leaves in parts.items()}
    if "" in norms:
        return norms
    # The devices have agreed on these already.
    with agreeing_over(()):
        return {"": global_norm(list(norms.values())), **norms}


def _ratio(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(x == 0, 0, x / jnp.where((x == 0) & (y == 0), 1, y))


def _cosines(gradients: Parts, previous: Parts) -> dict[str, jax.Array]:
    """The cosine of each group, and from these the cosine of all."""
    previous = {
        part: [p if g is not None else None for g, p in zip(leaves, previous[part], strict=True)]
        for part, leaves in gradients.items()
    }
    new, old = _norms(gradients), _norms(previous)

    def leaf(g: jax.Array, p: jax.Array, g_norm: jax.Array, p_norm: jax.Array) -> jax.Array:
        return whole_sum((_unit(g, g_norm) * _unit(p, p_norm).conj()).real).astype(jnp.float32)

    cosines = {}
    for part, leaves in gradients.items():
        scalars = (new[part], old[part])
        dots = map_leaves(leaf, leaves, reads=(previous[part],), scalars=scalars)
        cosines[part] = sum(jax.tree.leaves(dots), jnp.zeros((), jnp.float32))
    if "" not in cosines:
        shares = [
            c * _unit(new[part], new[""]) * _unit(old[part], old[""]) for part, c in cosines.items()
        ]
        cosines[""] = sum(shares, jnp.zeros((), jnp.float32))
    # Rounding must not carry a cosine out of its range.
    return {part: jnp.clip(c, -1, 1) for part, c in cosines.items()}


def _unit(x: jax.Array, norm: jax.Array) -> jax.Array:
    """`x / norm`, and 0 where the norm vanishes."""
    # The reciprocal of a huge norm vanishes; that of zero, or nearly, overflows.
    power = jnp.where(norm > 2.0**64, 2.0**-64, 1.0).astype(norm.dtype)
    vanishes = norm < jnp.finfo(norm.dtype).tiny
    reciprocal = jnp.where(vanishes, 0, 1 / jnp.where(vanishes, 1, power * norm))
    return (power * x) * reciprocal
