"""What a declared transformation is made of: where its state holds values, what `update` takes."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ._declared import Declaration, Declared
from ._roles import is_transformation
from ._types import GradientTransformation, Init, Update


class Containing(GradientTransformation):
    """A pair that can say what is in it, if that is no argument of anything declared."""

    inside: Callable[[], Sequence[Any]]

    def __new__(
        cls, init: Init, update: Update, inside: Callable[[], Sequence[Any]]
    ) -> "Containing":
        self = tuple.__new__(cls, (init, update))
        self.inside = inside
        return self


@dataclasses.dataclass
class Anatomy:
    """What is known of all parts of a transformation together.

    Attributes:
      holders: for every state in it that holds hyper-parameters, in the order of the state, the
        names under which it does, each with its path (`None` if it is no argument of anything).
      takes: the extra arguments that some part names.
      open: whether some part of another library takes any argument, or is not known.
    """

    holders: list[dict[str, str | None]] = dataclasses.field(default_factory=list)
    takes: set[str] = dataclasses.field(default_factory=set)
    open: bool = False


def anatomy(tx: Any) -> Anatomy:
    """The anatomy of a transformation, declared or not."""
    if not isinstance(tx, Declared):
        return _of_foreign(tx, Anatomy())
    return _anatomy(jax.tree.structure(tx))


@functools.lru_cache(maxsize=256)
def _anatomy(treedef: Any) -> Anatomy:
    found = Anatomy()

    def look(leaves: list[Any], number: jax.Array) -> None:
        # Made anew, so that every part is an object of its own.
        _Walk(found, number).visit(treedef.unflatten(leaves), "", {})

    scalar = jax.ShapeDtypeStruct((), np.float32)
    jax.eval_shape(look, [scalar] * treedef.num_leaves, scalar)
    return found


def _of_foreign(tx: Any, found: Anatomy) -> Anatomy:
    names, others = extras_of(tx.update)
    found.takes |= names
    found.open |= others
    return found


def extras_of(function: Callable[..., Any], by_position: int = 3) -> tuple[set[str], bool]:
    """The extra arguments that a function takes by name, and whether it takes all others too.

    Args:
      function: an `update`, or another function that is handed extra arguments.
      by_position: how many it is given by position, whatever they are called: of an `update`
        the updates, the state and the parameters.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set(), False
    starred = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    first = [p.name for p in parameters if p.kind in _POSITIONAL][:by_position]
    names = {p.name for p in parameters if p.kind not in starred}
    others = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return names - {*first, "params"}, others


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclasses.dataclass
class _Walk:
    """A walk through the parts, and through what their bodies are made of, within a trace.

    A part that a body makes has no path, but what it was given may be an argument that has one.
    """

    found: Anatomy
    number: jax.Array

    def visit(
        self, tx: Any, path: str | None, known: dict[int, str], resolved: bool = False
    ) -> None:
        if not isinstance(tx, Declared):
            _of_foreign(tx, self.found)
            return
        declaration = tx.declaration
        factory, arguments = declaration.factory, declaration.arguments
        uses = factory.uses(arguments)
        self.found.open |= uses is None
        self.found.takes |= {*factory.needs, *(uses or ())} - {"params"}
        if path is not None:
            known = {id(value): joined(path, name) for name, value in arguments.items()}
            known |= {id(part): joined(path, where) for where, part in parts_of(tx)}
        schedules = declaration.schedules()
        if schedules and not resolved:
            within = {name: known.get(id(schedule)) for name, schedule in schedules.items()}
            self._hold(within if path is None else {n: joined(path, n) for n in schedules})
        if factory.holds is not None:
            held = factory.holds(arguments)
            self._hold({n: None if path is None else joined(path, p) for n, p in held.items()})
        made = self._made(declaration, schedules)
        if isinstance(made, Declared):
            self.visit(made, None, known)
            return
        if made is not None:
            self.found.takes |= extras_of(made.update)[0]
        if isinstance(made, Containing):
            self._contents(made)
        for _, part in parts_of(tx):
            self.visit(part, known.get(id(part)), known, resolved=factory.holds is not None)

    def _contents(self, made: Containing) -> None:
        """What a pair says is in it; anything, if that cannot be made of traced numbers."""
        try:
            inside = made.inside()
        except Exception:
            self.found.open = True
            return
        for part in inside:
            self.visit(part, None, {})

    def _hold(self, names: Mapping[str, str | None]) -> None:
        self.found.holders.append(dict(names))

    def _made(self, declaration: Declaration, schedules: Mapping[str, Any]) -> Any:
        """What the body returns; `None` if it does not work on traced numbers."""
        try:
            return declaration.resolved(dict.fromkeys(schedules, self.number))
        except Exception:
            return None


def parts_of(tx: Declared) -> list[tuple[str, Any]]:
    """The transformations that it was given, each with its path, in the order of their states."""
    found: list[tuple[str, Any]] = []
    for name, role in tx.declaration.factory.roles.items():
        if role.kind == "transformation":
            value = tx.declaration.arguments[name]
            if role.names_members:
                value = tuple(sorted(value, key=lambda pair: pair[0]))
            found += _parts(name, value, role.holds_pairs)
    return found


def _parts(name: str, value: Any, pairs: bool = False) -> Iterator[tuple[str, Any]]:
    if is_transformation(value):
        yield name, value
    elif isinstance(value, Mapping):
        # As part of a tree that was made anew it is sorted, as a state that mirrors it is.
        for key, part in value.items():
            yield from _parts(f"{name}.{key}", part)
    elif isinstance(value, tuple):
        for i, member in enumerate(value):
            first, part = member if pairs else (None, member)
            yield from _parts(first if isinstance(first, str) else f"{name}.{i}", part)


def joined(path: str, name: str) -> str:
    """A path and what follows on it."""
    return f"{path}.{name}" if path else name
