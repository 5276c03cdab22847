"""The structure of a transformation, computed once: its states and arguments."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ._mode import within
from ._static import is_plain
from ._types import GradientTransformation, Init, Update
from ._walk import children, is_declared, joined


class Containing(GradientTransformation):
    """A pair that can list its parts, if they are not arguments of anything declared."""

    inside: Callable[[], Sequence[Any]]

    def __new__(
        cls, init: Init, update: Update, inside: Callable[[], Sequence[Any]]
    ) -> "Containing":
        self = tuple.__new__(cls, (init, update))
        self.inside = inside
        return self


@dataclasses.dataclass
class Contents:
    """The combined facts of all parts of a transformation, including those that bodies make.

    Attributes:
      holders: for every state in it that holds hyper-parameters, in the order of the state, their
        names, each with its path (`None` if it is not an argument).
      takes: the extra arguments that some part names.
      open: whether some part of another library takes any argument, or is unknown.
      all_reduces: see `Facts`; the sum over all parts, `None` if one is unknown.
      whole: whether some part refuses arrays that are not whole, see `Facts`.
    """

    holders: list[dict[str, str | None]] = dataclasses.field(default_factory=list)
    takes: set[str] = dataclasses.field(default_factory=set)
    open: bool = False
    all_reduces: int | None = 0
    whole: bool = False


class Structure:
    """The facts of everything declared that differs only in its numbers; each computed once."""

    def __init__(self, treedef: Any):
        self.treedef = treedef

    @functools.cached_property
    def contents(self) -> Contents:
        """The contents of its states, and the arguments of its `update`."""
        found = Contents()

        def look(leaves: list[Any], number: jax.Array) -> None:
            # Made again, so that every part is a separate object.
            _Look(found, number).visit(self.treedef.unflatten(leaves), "", {})

        jax.eval_shape(look, self._numbers(), _NUMBER)
        return found

    @functools.cached_property
    def skeleton(self) -> Any:
        """The abstract state for one parameter, which shows the kinds of states and their places.

        Places where the states for a scalar and for a large matrix differ are left open. The result
        is `None` if `init` does not work on a scalar parameter.
        """

        def init(p: Any, leaves: list[Any]) -> Any:
            return self.treedef.unflatten(leaves).declaration.pair().init(p)

        of_scalar, of_matrix = (self._abstractly(init, p) for p in (_NUMBER, _MATRIX))
        return of_scalar if of_matrix is None else _common(of_scalar, of_matrix)

    def _abstractly(self, init: Callable[..., Any], p: Any) -> Any:
        try:
            with within("traced"):
                return jax.eval_shape(init, p, self._numbers())
        except Exception:
            return None

    @functools.cached_property
    def per_example(self) -> bool:
        """Whether it takes one gradient per example, and gives one update."""
        return does_to_examples(self._instance) == "aggregates"

    @functools.cached_property
    def pure(self) -> bool:
        """Whether every part is declared, so that equal values have equal meanings."""
        return is_plain(self._instance)

    @functools.cached_property
    def constants(self) -> dict[Any, int]:
        """The numbers of eager calls, each with its frequency."""
        return {}

    @property
    def _instance(self) -> Any:
        return self.treedef.unflatten([0.0] * self.treedef.num_leaves)

    def _numbers(self) -> list[jax.ShapeDtypeStruct]:
        return [_NUMBER] * self.treedef.num_leaves


_NUMBER = jax.ShapeDtypeStruct((), np.float32)
_MATRIX = jax.ShapeDtypeStruct((4096, 4096), np.float32)


def _common(a: Any, b: Any) -> Any:
    """The common part of two skeletons; a number, which matches anything, where they differ."""
    if a is None and b is None:
        return None
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return {key: _common(a[key], b[key]) for key in a}
    if isinstance(a, (tuple, list)) and type(a) is type(b) and len(a) == len(b):
        members = [_common(x, y) for x, y in zip(a, b, strict=True)]
        return type(a)(*members) if hasattr(a, "_fields") else type(a)(members)
    return a if jax.tree.structure(a) == jax.tree.structure(b) else _NUMBER


@functools.lru_cache(maxsize=256)
def structure_of(treedef: Any) -> Structure:
    """The record of a structure, shared by all transformations with it."""
    return Structure(treedef)


def does_to_examples(tx: Any) -> str | None:
    """`"aggregates"` or `"single"` (see `Facts.per_example`); `None` if it is unknown."""
    if not is_declared(tx):
        return None
    fact: str | None = tx.declaration.factory.per_example
    if fact not in ("inner", "results"):
        return fact
    found = [does_to_examples(part.value) for part in children(tx) if part.is_transformation]
    if "aggregates" in found:
        return "aggregates"
    return "single" if fact == "inner" and set(found) <= {"single"} else None


def contents_of(tx: Any) -> Contents:
    """The contents of a transformation, declared or not."""
    if is_declared(tx):
        return structure_of(jax.tree.structure(tx)).contents
    return _of_foreign(tx, Contents())


def _of_foreign(tx: Any, found: Contents) -> Contents:
    names, others = extras_of(tx.update)
    found.takes |= names
    found.open |= others
    return found


def extras_of(function: Callable[..., Any], by_position: int = 3) -> tuple[set[str], bool]:
    """The extra arguments that a function takes by name, and whether it also takes all others.

    Args:
      function: an `update`, or another function that gets extra arguments.
      by_position: the number of positional arguments, with any names: for an `update` the updates,
        the state and the parameters.
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
class _Look:
    """Inspects the parts, and the results of their bodies, within a trace.

    A part that a body makes has no path, but its own arguments may have one.
    """

    found: Contents
    number: jax.Array

    def visit(
        self, tx: Any, path: str | None, known: dict[int, str], resolved: bool = False
    ) -> None:
        if not is_declared(tx):
            _of_foreign(tx, self.found)
            return
        declaration = tx.declaration
        factory, arguments = declaration.factory, declaration.arguments
        uses = factory.known("uses", arguments)
        self.found.open |= uses is None
        if factory.all_reduces is None or self.found.all_reduces is None:
            self.found.all_reduces = None
        else:
            self.found.all_reduces += factory.all_reduces
        self.found.whole |= factory.whole
        self.found.takes |= {*factory.needs, *(uses or ())} - {"params"}
        parts = [part for part in children(tx) if part.is_transformation]
        if path is not None:
            known = {id(value): joined(path, name) for name, value in arguments.items()}
            known |= {id(part.value): joined(path, part.path) for part in parts}
        schedules = declaration.schedules()
        if schedules and not resolved:
            within = {name: known.get(id(schedule)) for name, schedule in schedules.items()}
            self._hold(within if path is None else {n: joined(path, n) for n in schedules})
        if factory.holds is not None:
            held = factory.holds(arguments)
            self._hold({n: None if path is None else joined(path, p) for n, p in held.items()})
        made = self._made(declaration, schedules)
        if is_declared(made):
            self.visit(made, None, known)
            return
        if made is not None:
            self.found.takes |= extras_of(made.update)[0]
        if isinstance(made, Containing):
            self._contents(made)
        for part in parts:
            where = known.get(id(part.value))
            self.visit(part.value, where, known, resolved=factory.holds is not None)

    def _contents(self, made: Containing) -> None:
        """The declared contents of a pair; unknown if they cannot be made from traced numbers."""
        try:
            inside = made.inside()
        except Exception:
            self.found.open = True
            return
        for part in inside:
            self.visit(part, None, {})

    def _hold(self, names: Mapping[str, str | None]) -> None:
        self.found.holders.append(dict(names))

    def _made(self, declaration: Any, schedules: Mapping[str, Any]) -> Any:
        """The result of the body; `None` if it does not work on traced numbers."""
        try:
            return declaration.resolved(dict.fromkeys(schedules, self.number))
        except Exception:
            return None
