"""Composition: one transformation after another."""

from collections.abc import Mapping, Sequence
from typing import Any

from .._core import (
    Aggregation,
    GradientTransformation,
    Leafwise,
    Params,
    State,
    Updates,
    adapt,
    aggregates,
    aggregation_of,
    begin,
    provide_example_inner,
    renamed,
    settle,
    transformation,
)
from ..schedules import linear_schedule
from ..transforms import clip_by_global_norm, scale_by_learning_rate, trace
from ._stages import check_order


def example_momentum() -> GradientTransformation:
    """The optimizer that the examples of wrappers wrap: it has a state and a scheduled rate."""
    return chain(trace(0.5), scale_by_learning_rate(linear_schedule(0.1, 0.05, 8)))


provide_example_inner(example_momentum)


def _clipped_momentum() -> GradientTransformation:
    rate = linear_schedule(0.1, 0.05, 8)
    return chain(clip_by_global_norm(1.0), trace(0.5), scale_by_learning_rate(rate))


@transformation("wrapper", example=_clipped_momentum, chains=True, per_example="inner")
def chain(*transforms: GradientTransformation) -> GradientTransformation:
    """Apply transformations one after another; each gets the updates of the one before.

    The state is the tuple of their states. Extra arguments of `update` reach all of them.
    Transformations of other libraries (optax) may be among them: any pair of `init` and `update`.
    `chain()` is the identity.

    An order is refused if a transformation would treat steps of descent as gradients. An optimizer,
    or a chain that makes one, may not be followed by another optimizer, a direction, a learning
    rate or a decay of directions; a freeze may not be followed by anything that moves frozen
    parameters; and a loss scale may not follow anything. Learning rates of some parameters, as in
    `route`, may follow each other. Transformations of other libraries are not checked.

    Raises:
      TypeError: an argument is not a gradient transformation.
      ValueError: the order is refused; the message says why.

    >>> import jax.numpy as jnp, optcore
    >>> tx = chain(optcore.clip(1.0), optcore.scale(-0.5))
    >>> tx.update(jnp.array([4.0, 0.5]), tx.init(jnp.zeros(2)))[0].tolist()
    [-0.5, -0.25]
    """
    check_order("chain", transforms)
    links = [adapt(t) for t in transforms]

    def init(params: Params) -> tuple[State, ...]:
        return tuple(link.init(params) for link in links)

    def update(
        updates: Updates, state: tuple[State, ...], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, tuple[State, ...]]:
        new_state = []
        updates = begin(updates)
        for link, s in zip(links, state, strict=True):
            updates, s = link.update(updates, s, params, **extra)
            new_state.append(s)
        return updates, tuple(new_state)

    pair = Leafwise(init, update)
    pair.aggregation = _in_two_parts(links)
    return pair


def _in_two_parts(links: Sequence[GradientTransformation]) -> Aggregation | None:
    """The chain up to the sum over examples, and the rest of it."""
    first = next((i for i, link in enumerate(links) if aggregates(link)), None)
    if first is None or aggregation_of(links[first]) is None:
        return None

    def parts() -> Aggregation:
        found = aggregation_of(links[first])
        assert found is not None
        return found

    def total(updates: Updates, state: Any, params: Params, extra: Mapping[str, Any]) -> Updates:
        for link, s in zip(links[:first], state, strict=False):
            updates, _ = link.update(updates, s, params, **extra)
        return parts().total(settle(updates), state[first], params, extra)

    def finish(
        total: Updates, examples: Any, state: Any, params: Params, extra: Mapping[str, Any]
    ) -> tuple[Updates, tuple[State, ...]]:
        # Links that act on each example alone run as in any step, whatever they are given.
        before = [
            link.update(total, s, params, **extra)[1]
            for link, s in zip(links[:first], state, strict=False)
        ]
        updates, own = parts().finish(total, examples, state[first], params, extra)
        behind = []
        for link, s in zip(links[first + 1 :], state[first + 1 :], strict=True):
            updates, s = link.update(updates, s, params, **extra)
            behind.append(s)
        return updates, (*before, own, *behind)

    return Aggregation(total, finish)


def _named_momentum() -> GradientTransformation:
    return named_chain(
        ("step", scale_by_learning_rate(linear_schedule(0.1, 0.05, 8))),
        ("momentum", trace(0.5)),
        ("clip", clip_by_global_norm(1.0)),
    )


@transformation("wrapper", example=_named_momentum, chains=True, per_example="inner")
def named_chain(*transforms: tuple[str, GradientTransformation]) -> GradientTransformation:
    """A `chain` of named transformations; the state is a dict from name to state.

    Args:
      transforms: pairs `(name, transformation)`.

    Raises:
      TypeError: an element is not such a pair.
      ValueError: a name occurs twice, or the order is refused (see `chain`).

    >>> import jax.numpy as jnp, optcore
    >>> tx = named_chain(("clip", optcore.clip(1.0)), ("momentum", optcore.trace(0.9)))
    >>> sorted(tx.init(jnp.zeros(2)))
    ['clip', 'momentum']
    """
    names = [name for name, _ in transforms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"named_chain: each name must occur once, got {', '.join(map(repr, twice))} twice"
        )
    check_order("named_chain", [t for _, t in transforms])
    inner = chain(*(t for _, t in transforms))

    def init(params: Params) -> dict[str, State]:
        return dict(zip(names, inner.init(params), strict=True))

    def update(
        updates: Updates, state: dict[str, State], params: Params | None = None, **extra: Any
    ) -> tuple[Updates, dict[str, State]]:
        states = tuple(state[name] for name in names)
        updates, states = inner.update(updates, states, params, **extra)
        return updates, dict(zip(names, states, strict=True))

    pair = Leafwise(init, update)
    parts = aggregation_of(inner)
    if parts is not None:
        pair.aggregation = renamed(
            parts,
            lambda state: tuple(state[name] for name in names),
            lambda states: dict(zip(names, states, strict=True)),
        )
    return pair
