"""A table of what happens to each parameter."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from .._core import (
    Declared,
    Params,
    Placeholder,
    children,
    is_key,
    is_none,
    is_transformation,
    named_parameters,
    what_it_is,
)
from ..hyper import hyperparameters
from ._extras import split
from ._groups import Grouped

HEADER = ("parameter", "shape", "group", "state bytes", "hyper-parameters")


class Table(str):
    """A string whose `repr` is the string itself.

    >>> Table("a  b")
    a  b
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Part(NamedTuple):
    """One transformation applied to a parameter: its group, if any, its name and its numbers."""

    groups: tuple[str, ...]
    text: str


def describe(tx: Any, params: Params) -> Table:
    """A table of the parameters: the rule, the hyper-parameters and the state size of each.

    Args:
      tx: a transformation; anything inside a group of `route` is shown only for the
        parameters of that group.
      params: the parameters, or their shapes; nothing is allocated.

    Returns:
      A text with one line per parameter: path, dtype and shape, group (the rule or the label),
      the bytes of state that exist because of it, and the transformations with their
      hyper-parameters. Then the bytes of state that belong to no parameter, such as step counts,
      and the total.

    Raises:
      ValueError: `init` refuses the parameters, as for a parameter without a rule.
      TypeError: `tx` is not a transformation.

    >>> import jax.numpy as jnp, optcore
    >>> tx = optcore.route(("embed", optcore.FREEZE), ("*", optcore.sgd(0.1, momentum=0.9)))
    >>> describe(tx, {"embed": jnp.zeros((9, 2)), "out": jnp.zeros((2, 3))})
    parameter  shape         group  state bytes  hyper-parameters
    embed      float32[9,2]  embed            0  set_to_zero
    out        float32[2,3]  *               24  sgd learning_rate=0.1 momentum=0.9
    (any)                                     0
    (sum)                                    24
    """
    if not is_transformation(tx):
        raise TypeError(
            f"describe: expected a transformation, got an object of type {type(tx).__name__}; the "
            "call is describe(tx, params)"
        )
    jax.eval_shape(tx.init, params)
    applied = _applied(tx, params)
    leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
    # The others are replaced by a placeholder that may match no rule.
    nothing: list[Any] = [Placeholder()] * len(leaves)
    alone = [
        _state_bytes(tx, treedef.unflatten([*nothing[:i], x, *nothing[i + 1 :]]))
        for i, x in enumerate(leaves)
    ]
    shared = _state_bytes(tx, treedef.unflatten(nothing))
    total = _state_bytes(tx, params)

    rows: list[tuple[str, ...]] = [HEADER]
    for (path, leaf), parts, size in zip(named_parameters(params), applied, alone, strict=True):
        if leaf is not None:
            groups = dict.fromkeys(" > ".join(part.groups) for part in parts if part.groups)
            texts = "; ".join(part.text for part in parts)
            rows.append((path, what_it_is(leaf), ", ".join(groups), str(size - shared), texts))
    rows.append(("(any)", "", "", str(shared), ""))
    rows.append(("(sum)", "", "", str(total), ""))
    return _table(rows)


def _table(rows: list[tuple[str, ...]]) -> Table:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if name == "state bytes" else cell.ljust(width)
            for name, cell, width in zip(HEADER, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return Table("\n".join(lines))


def _state_bytes(tx: Any, params: Params) -> int:
    sizes = [
        jax.eval_shape(jax.random.key_data, x) if is_key(x) else x
        for x in jax.tree.leaves(jax.eval_shape(tx.init, params))
    ]
    return sum(x.size * x.dtype.itemsize for x in sizes)


def _applied(tx: Any, params: Params) -> list[list[_Part]]:
    """The parts applied to each leaf; `None` counts as a leaf."""
    leaves = jax.tree.leaves(params, is_leaf=is_none)
    if not isinstance(tx, Declared):
        return [[_Part((), f"{type(tx).__module__.partition('.')[0]}'s")] for _ in leaves]
    pair: Any = tx.declaration.pair()
    while isinstance(pair, Declared):
        pair = pair.declaration.pair()
    if isinstance(pair, Grouped):
        return _of_groups(pair, params)
    if tx.declaration.factory.kind != "wrapper":
        return [[_Part((), _text(tx))] for _ in leaves]
    members = (part.value for part in children(tx, given=True) if part.is_transformation)
    inside = [_applied(member, params) for member in members]
    own = [] if tx.declaration.factory.chains else [_Part((), _text(tx))]
    return [own + [part for parts in inside for part in parts[i]] for i in range(len(leaves))]


def _of_groups(pair: Grouped, params: Params) -> list[list[_Part]]:
    numbers = pair.assign(params)
    trees = split(params, numbers, len(pair.members))
    inside = [_applied(tx, tree) for (_, tx), tree in zip(pair.members, trees, strict=True)]

    def named(number: int, part: _Part) -> _Part:
        return part._replace(groups=(pair.members[number][0], *part.groups))

    return [
        [] if n is None else [named(n, part) for part in inside[n][i]]
        for i, n in enumerate(numbers)
    ]


def _text(tx: Declared) -> str:
    """A transformation and its own numbers; wrapped transformations show theirs."""
    names = tx.declaration.factory.hyperparameters()
    numbers = hyperparameters(tx, schedules_inside=False)
    shown = [f"{n}={_number(v)}" for n, v in numbers.items() if n.partition(".")[0] in names]
    return " ".join([tx.declaration.name, *shown])


def _number(value: Any) -> str:
    known = isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)
    if isinstance(value, (int, float)) or (known and not value.ndim):
        return f"{float(value):g}"
    if isinstance(value, Mapping):
        return repr(value)
    return repr(value) if callable(value) else what_it_is(value)
