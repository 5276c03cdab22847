"""Different transformations for different parameters, chosen by rules."""

import difflib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax

from .._core import (
    GradientTransformation,
    MissingArgumentError,
    Params,
    State,
    Updates,
    is_inexact,
    is_none,
    is_partial,
    listed,
    named_parameters,
    renamed,
    spread,
    transformation,
    what_it_is,
)
from ..compose._chain import example_momentum
from ..compose._stages import gives_steps
from ..transforms import identity, scale_by_learning_rate, set_to_zero
from ._groups import Grouped, Groups
from ._predicates import Pattern, answer, has_ndim, has_path

Labels = Any | Callable[[Any], Any]
"""A tree of labels that is a prefix of the parameters, or a function from them to one."""

FREEZE = set_to_zero()
"""In a rule: its parameters have no state and do not move, whatever their gradients are."""


class RouteState(NamedTuple):
    """The states of the transformations.

    Attributes:
      inner: one per rule, in their order, with `None` for the parameters of other rules.
    """

    inner: tuple[State, ...]


def _matrices_and_vectors() -> GradientTransformation:
    return route(
        (has_ndim(2) & ~has_path("embed/*"), example_momentum()),
        ("*", scale_by_learning_rate(0.05)),
        unused_rules="ignore",
    )


@transformation(
    "wrapper", example=_matrices_and_vectors, partial="parameters", per_example="results"
)
def route(
    *rules: tuple[Pattern, GradientTransformation],
    labels: Labels | None = None,
    unused_rules: Literal["raise", "ignore"] = "raise",
) -> GradientTransformation:
    r"""Update each parameter with the transformation of the first rule that matches it.

    The transformation of a rule sees only its own parameters: its state holds nothing for others,
    and a global norm inside it is that of its group. The rule `(pattern, FREEZE)` gives exact
    zeros, even for gradients that are not finite, and has no state. Wrappers around a route see all
    gradients: `accumulate` also has an accumulator for frozen parameters, and `guard` skips the
    step if their gradients are not finite. Inside a rule, wrappers see only its parameters.

    Rules are matched against the parameters, at `init` and again whenever `update` is traced; they
    look at paths, shapes and dtypes, which do not change. If no rule is a function, `update` does
    not need the parameters. Integer parameters need no rule.

    If one rule has `dpsgd`, or another transformation that takes single examples, all other rules
    need one too, each with a key of its own, or `FREEZE`. Gradients then have a first axis of
    examples, and each group clips only the gradients of its own parameters, so the privacy costs of
    the groups add up.

    An extra argument that is a tree of all parameters, such as the `grad` of a line search, is
    split like the gradients. If it is a function of all parameters (`value_fn` for a line search,
    `obj_fn` for `sophia`, `grad_fn` for `sam`), a group calls it with its own trial parameters and
    the others unchanged. `sam` may also wrap the whole route.

    Args:
      rules: pairs `(pattern, transformation)`. A pattern is a glob over the path (see
        `has_path`), a compiled regular expression that is searched for in it, a predicate
        (`has_ndim(2) & ~has_path("embed/*")`), or any function `(path, leaf) -> bool`.
      labels: a tree of labels, or a function from the parameters to one. A pattern
        that is a string is then a label, not a glob.
      unused_rules: what to do with a rule that matches no parameter, or only parameters that
        earlier rules match: raise an error, or `"ignore"` it, for rules that serve several models.

    Raises:
      ValueError: there are no rules, or two with the same string; a rule has `identity()` beside
        an optimizer, which would add the gradients of its parameters as they are; at `init`, a
        parameter has no rule or a rule has no parameter; in `update`, `params` is missing and a
        rule is a function; a rule contains `dynamic_loss_scale`, which must be outside.
      TypeError: a pattern has the wrong type, or returns something other than True or False.

    >>> import jax.numpy as jnp, optcore
    >>> tx = route(("embed/*", FREEZE), ("*/bias", optcore.sgd(0.5)), ("*", optcore.sgd(0.1)))
    >>> params = {"embed": {"w": jnp.ones(1)}, "out": {"w": jnp.ones(1), "bias": jnp.ones(1)}}
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> updates["embed"]["w"].tolist(), updates["out"]["bias"].tolist()
    ([0.0], [-0.5])
    """
    if not rules:
        raise ValueError("route: expected at least one rule (pattern, transformation), got none")
    patterns = [pattern for pattern, _ in rules]
    _check_passing(rules)
    for i, pattern in enumerate(patterns):
        if not callable(pattern) and not hasattr(pattern, "search"):
            _check_glob(i, pattern, patterns[:i])
    looks = callable(labels) or any(callable(pattern) for pattern in patterns)

    def meaning(path: str, leaf: Any, label: Any) -> list[int]:
        """The rules that match a parameter."""

        def means(pattern: Any) -> bool:
            by_label = labels is not None and isinstance(pattern, str)
            return bool(label == pattern) if by_label else answer(pattern, path, leaf)

        return [i for i, pattern in enumerate(patterns) if means(pattern)]

    def assign(tree: Any) -> list[int | None]:
        named = named_parameters(tree)
        marks = [None] * len(named) if labels is None else spread_labels("route", labels, tree)
        numbers: list[int | None] = []
        for (path, leaf), label in zip(named, marks, strict=True):
            found = [] if leaf is None else meaning(path, leaf, label)
            if not found and is_inexact(leaf):
                its = "" if labels is None else f" with the label {label!r}"
                raise ValueError(
                    f"route: no rule for the parameter {path!r} ({what_it_is(leaf)}){its}; the "
                    f"rules are for {', '.join(map(repr, patterns))}: add one, "
                    'or a last ("*", …) or ("*", FREEZE)'
                )
            numbers.append(found[0] if found else None)
        return numbers

    def check_used(tree: Any) -> None:
        numbers, named = assign(tree), named_parameters(tree)
        for i, pattern in enumerate(patterns):
            if i in numbers:
                continue
            marks = [None] * len(named) if labels is None else spread_labels("route", labels, tree)
            taken = (
                f"{path!r}, which rule {number} takes"
                for (path, leaf), label, number in zip(named, marks, numbers, strict=True)
                if number is not None and i in meaning(path, leaf, label)
            )
            cause = listed(taken)
            if cause:
                problem = f"matches only {cause}; the first rule that matches a parameter wins"
            else:
                paths = [repr(path) for path, leaf in named if leaf is not None]
                more = f" and {len(paths) - 4} more" if len(paths) > 4 else ""
                problem = f"matches no parameter; there are {', '.join(paths[:4]) or 'none'}{more}"
            raise ValueError(
                f'route: rule {i}, {pattern!r}, {problem}; pass unused_rules="ignore" to allow this'
            )

    groups = Groups("route", [tx for _, tx in rules], assign)

    def init(params: Params) -> RouteState:
        if unused_rules == "raise" and not is_partial(params):
            check_used(params)
        return RouteState(tuple(groups.init(params)))

    def update(
        updates: Updates, state: RouteState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, RouteState]:
        if params is None and looks:
            raise MissingArgumentError(
                "route needs the parameters, since a rule may look at their dtypes: call "
                "tx.update(updates, state, params=params)"
            )
        updates, states = groups.update(updates, state.inner, params, extra)
        return updates, RouteState(tuple(states))

    members = [(p if isinstance(p, str) else repr(p), tx) for p, tx in rules]
    parts = groups.aggregation()
    if parts is not None:
        parts = renamed(parts, lambda state: state.inner, lambda new: RouteState(tuple(new)))
    return Grouped(init, update, members, assign, parts)


def _check_passing(rules: Any) -> None:
    """Gradients that pass as they are, beside steps of descent, would be steps of ascent."""
    optimizer = next((tx for _, tx in rules if gives_steps(tx)), None)
    if optimizer is None:
        return
    for pattern, tx in rules:
        if tx == identity():
            raise ValueError(
                f"route: the rule ({pattern!r}, identity()) passes gradients as they are beside "
                f"{optimizer!r}, which gives steps of descent: they would be added to the "
                "parameters, ascent. To leave those parameters as they are use FREEZE"
            )


def _check_glob(number: int, pattern: Any, before: list[Any]) -> None:
    if not isinstance(pattern, str):
        raise TypeError(
            f"route: the pattern of rule {number} must be a glob over paths, a compiled regular "
            f"expression or a function (path, leaf) -> bool, got {pattern!r}; a tree of labels "
            "is given as labels="
        )
    if any(isinstance(other, str) and other == pattern for other in before):
        raise ValueError(
            f"route: rule {number} is for {pattern!r}, as an earlier one is, which takes all that "
            "it matches"
        )


def spread_labels(owner: str, labels: Labels, tree: Any) -> list[Any]:
    """The label of each leaf of a tree; `None` counts as a leaf."""
    chosen = labels(tree) if callable(labels) and _is_leaf(labels) else labels

    return spread(chosen, tree, f"{owner}: the labels", "", is_none)


def _is_leaf(labels: Any) -> bool:
    """Whether it is a function; a tree of labels shaped like an Equinox model may be callable."""
    leaves = jax.tree.leaves(labels)
    return len(leaves) == 1 and leaves[0] is labels


def nearest_label(label: Any, known: Any) -> str:
    """A question that suggests a known label, or nothing."""
    near = difflib.get_close_matches(str(label), [str(k) for k in known], 1)
    return f"; did you mean {near[0]!r}?" if near else ""
