"""Transformations of the gradients of single examples, and what may surround them.

Clipping each example bounds the influence of any one of them. The bound is lost if a transformation
mixes the examples before the clip, or bypasses it, so anything not known to be safe is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._agreement import Names, are_tracked, axes_size, manual_axes, parts, told, varying_axes
from ._errors import ExplainedError
from ._facts import Facts
from ._flatten_like import flatten_like
from ._static import hashable
from ._structure import contents_of, does_to_examples
from ._types import GradientTransformation, Init
from ._walk import Part, is_declared, walk

PAST_THE_CLIP = ("grad_fn", "obj_fn", "value_fn")
"""Extra arguments that give losses or gradients of the data that are not private."""


class Aggregation(NamedTuple):
    """An `update` of single examples in two parts, between which batches can be added up.

    Attributes:
      total: `total(updates, state, params, extra)` returns the sum of the clipped gradients.
      finish: `finish(total, examples, state, params, extra)` returns the updates and the next state
        for the sum over that many examples.
    """

    total: Callable[[Any, Any, Any, Mapping[str, Any]], Any]
    finish: Callable[[Any, Any, Any, Any, Mapping[str, Any]], tuple[Any, Any]]


def renamed(
    parts: Aggregation, inner: Callable[[Any], Any], outer: Callable[[Any], Any]
) -> Aggregation:
    """The two parts of a wrapper that stores the inner state in another form."""

    def total(updates: Any, state: Any, params: Any, extra: Mapping[str, Any]) -> Any:
        return parts.total(updates, inner(state), params, extra)

    def finish(
        total: Any, examples: Any, state: Any, params: Any, extra: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        updates, new = parts.finish(total, examples, inner(state), params, extra)
        return updates, outer(new)

    return Aggregation(total, finish)


class Aggregating(GradientTransformation):
    """A pair for single examples whose `update` has two parts."""

    aggregation: Aggregation

    def __new__(cls, init: Init, aggregation: Aggregation) -> "Aggregating":
        def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
            total = aggregation.total(updates, state, params, extra)
            examples = number_of_examples(updates, params)
            return aggregation.finish(total, examples, state, params, extra)

        pair = GradientTransformation(init, update)
        self = tuple.__new__(cls, pair)
        self.aggregation = aggregation
        return self


def aggregates(tx: Any) -> bool:
    """Whether it takes one gradient per example and returns one update."""
    if not is_declared(tx):
        return False
    known: bool = tx.declaration.structure.per_example
    return known


def aggregation_of(tx: Any) -> Aggregation | None:
    """The two parts of a transformation of single examples, or `None` if it has none."""
    if is_declared(tx):
        return aggregation_of(tx.declaration.pair())
    found: Aggregation | None = getattr(tx, "aggregation", None)
    return found


def freezes(tx: Any) -> bool:
    """Whether it makes every update zero, whatever comes in."""
    if not is_declared(tx):
        return False
    declaration = tx.declaration
    return declaration.factory.stage == "freeze" and "mask" not in declaration.arguments


def number_of_examples(updates: Any, params: Any) -> int:
    """The length of the first axis, over all devices in `shard_map`; 0 if there are no arrays."""
    here = max([g.shape[0] for g in jax.tree.leaves(updates)], default=0)
    return here * axes_size(example_axes(updates, params)[0])


def example_axes(grads: Any, params: Any) -> tuple[Names, Names]:
    """The mesh axes along which devices hold other examples, and those along which other parts.

    Args:
      grads: the gradients of single examples.
      params: their parameters; a gradient that varies along an axis along which its parameter does
        not belongs to other examples.

    Raises:
      ExplainedError: the axes are not known, or one axis is both.
    """
    leaves, manual, over = jax.tree.leaves(grads), manual_axes(), told()
    if not manual or not leaves or over == ():
        return (), ()
    found = [frozenset(parts(g)) for g in leaves]
    if over is not None:
        if not are_tracked():
            raise ExplainedError(
                "where it is not tracked along which axes of the mesh arrays vary, it is not known "
                "which devices hold other examples: use shard_map with check_vma=True"
            )
        return (), over
    if params is None and any(found):
        raise ExplainedError(
            "the gradients of single examples differ between the devices of a shard_map, as parts "
            "or as those of other examples: pass params, which tell the two apart"
        )
    if params is None:
        return (), ()
    cut = [varying_axes(p) for p in flatten_like(jax.tree.structure(grads), params)]
    examples = frozenset().union(*(g - p for g, p in zip(found, cut, strict=True)))
    along = frozenset().union(*cut)
    if examples & along:
        raise ExplainedError(
            f"devices along the mesh axes {tuple(sorted(examples & along))} hold parts of some "
            "parameters and other examples: their gradients cannot be clipped by the norm of an "
            "example, of which no device has all parts"
        )
    return tuple(n for n in manual if n in examples), tuple(n for n in manual if n in along)


def without_examples(updates: Any) -> Any:
    """Zeros like the gradient of one example."""
    return jax.tree.map(lambda g: jnp.zeros(g.shape[1:], g.dtype), updates)


def refuse_examples(owner: str, facts: Facts, parts: Sequence[tuple[str, Part]]) -> None:
    """Raise if the surroundings of a transformation of single examples would break its bound.

    Args:
      owner: the factory that holds the parts.
      facts: its facts.
      parts: its parts, each with its argument, in their order.

    Raises:
      ValueError: a transformation in front of it is not known to keep examples apart, one beside it
        bypasses it, or the owner is not known to keep examples apart.
    """
    given = [(name, part.value) for name, part in parts if part.is_transformation]
    private = [i for i, (_, tx) in enumerate(given) if does_to_examples(tx) == "aggregates"]
    if not private or facts.per_example in ("aggregates", "single"):
        return
    if facts.chains:
        _check_chain(owner, [tx for _, tx in given], private[0])
        return
    argument, tx = given[private[0]]
    needs = [need for need in facts.needs if need in PAST_THE_CLIP]
    if needs:
        raise ValueError(
            f"{owner}: {argument} holds {_name(tx)}, which makes gradients private, and {owner} "
            f"takes others from {needs[0]!r}, which are not: train without it"
        )
    if facts.per_example is None:
        raise ValueError(
            f"{owner}: {argument} holds {_name(tx)}, which takes one gradient per example, and "
            f"{owner} is not known to keep examples apart: it would see them before they are "
            "clipped, and what one of them can move would have no bound. Make the gradients "
            f"private first: chain(differentially_private_aggregate(...), {owner}(...)); a wrapper "
            'that only uses what comes out declares per_example="results"'
        )
    _check_beside(owner, facts, given)


def check_declared(tx: Any) -> None:
    """Raise if a factory whose body takes single examples does not declare it."""
    if does_to_examples(tx) != "aggregates":
        name = tx.declaration.name
        raise ValueError(
            f"{name}: what it makes takes one gradient per example: declare it, as in "
            '@transformation(..., per_example="aggregates"), so that callers give it examples'
        )


def _check_chain(owner: str, links: Sequence[Any], first: int) -> None:
    """Links in front must be safe for single examples; links behind must not take them."""
    private = _name(links[first])
    for link in links[:first]:
        if does_to_examples(link) != "single":
            cause = (
                "is not declared to act on each example alone, so that it may mix them"
                if is_declared(link)
                else "is of another library, and may mix the examples"
            )
            raise ValueError(
                f"{owner}: {_name(link)} is in front of {private}, which bounds what one "
                f"example can move; {_name(link)} {cause}, and the bound would be lost. Put it "
                "behind: chain(differentially_private_aggregate(...), ...)"
            )
    for link in links[first + 1 :]:
        if does_to_examples(link) == "aggregates":
            raise ValueError(
                f"{owner}: {_name(link)} is behind {private}, which has made one gradient of "
                "those of all examples: leave one of the two out"
            )
        past = [name for name in PAST_THE_CLIP if name in contents_of(link).takes]
        if past:
            raise ValueError(
                f"{owner}: {_name(link)} is behind {private}, which makes gradients private, "
                f"and takes others from {past[0]!r}, which are not: train without it"
            )


def _check_beside(owner: str, facts: Facts, given: Sequence[tuple[str, Any]]) -> None:
    """All members take examples, or freeze; no two draw the same noise."""
    keys: dict[Any, str] = {}
    for argument, tx in given:
        if does_to_examples(tx) != "aggregates":
            if facts.partial == "parameters" and freezes(tx):
                continue
            beside = next(other for _, other in given if does_to_examples(other) == "aggregates")
            frozen = ", or FREEZE" if facts.partial == "parameters" else ""
            raise ValueError(
                f"{owner}: {argument} holds {_name(tx)} beside {_name(beside)}, which takes one "
                f"gradient per example: {_name(tx)} would get those of all examples as they are, "
                f"neither clipped nor private. Give it one of its own{frozen}: "
                f"chain(differentially_private_aggregate(...), {_name(tx)}(...)); or one in front: "
                f"chain(differentially_private_aggregate(...), {owner}(...))"
            )
        own = {key: _name(tx) for key in _noise_keys(tx)}
        if keys.keys() & own.keys():
            raise ValueError(
                f"{owner}: two members make gradients private with the same key; where both draw "
                "the same noise it can be subtracted: give each its own, as in "
                "jax.random.split(key)"
            )
        keys |= own


def _noise_keys(tx: Any) -> set[Any]:
    """The keys of all private aggregations in it."""
    found = set()
    for part in walk(tx):
        if (
            not is_declared(part.value)
            or part.value.declaration.factory.per_example != "aggregates"
        ):
            continue
        declaration = part.value.declaration
        for name, role in declaration.factory.roles.items():
            if role.kind == "key":
                found.add(hashable(declaration.arguments[name]))
    return found


def _name(tx: Any) -> str:
    return tx.declaration.name if is_declared(tx) else f"a {type(tx).__name__}"
