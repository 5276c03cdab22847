"""Factories: their facts, the registry, and the binding of arguments."""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ._examples import refuse_examples
from ._facts import KINDS, Facts, Kind
from ._other_names import meant
from ._refusals import refuse_parts
from ._roles import Role
from ._walk import parts_in


@dataclasses.dataclass(frozen=True, eq=False)
class Factory(Facts):
    """A registered factory with its facts.

    Attributes:
      name: its public name.
      key: `module:qualname`; `optcore:name` for the library's own.
      function: the undecorated body.
      signature: of the body.
      roles: the role of each argument.
      example: makes a sensible instance, for the conformance suite.
      classes: the classes of its declarations and objects; `None` for the library's defaults.
    """

    _: dataclasses.KW_ONLY
    name: str
    key: str
    function: Callable[..., Any]
    signature: inspect.Signature
    roles: dict[str, Role]
    example: Callable[[], Any]
    classes: tuple[type[Any], type[Any]] | None = None

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments by name, checked and normalised, defaults included."""
        unknown = [name for name in kwargs if name not in self.roles]
        if unknown:
            raise TypeError(f"{self.name}: {'; '.join(map(self._unknown, unknown))}")
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None
        bound.apply_defaults()
        arguments = {n: self.roles[n].normalise(v) for n, v in bound.arguments.items()}
        parts = [
            (name, part)
            for name, value in arguments.items()
            for part in parts_in(self.roles[name], name, value, given=True)
        ]
        for name, part in parts:
            refuse_parts(self.name, self, name, part.value)
        refuse_examples(self.name, self, parts)
        return arguments

    def bind_named(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Like `bind`, with every argument by name, including starred ones."""
        positional, keywords = self.split(arguments)
        return self.bind(*positional, **keywords)

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Run the factory's body."""
        positional, keywords = self.split(arguments)
        return self.function(*positional, **keywords)

    def split(self, arguments: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional arguments, and the rest by name."""
        keywords = dict(arguments)
        positional: list[Any] = []
        pending: list[Any] = []
        for name, parameter in self.signature.parameters.items():
            if name not in keywords:
                continue
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional += [*pending, *keywords.pop(name)]
                keywords = {n: v for n, v in keywords.items() if n not in self._before(name)}
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(keywords.pop(name))
            else:
                pending.append(keywords[name])
        return tuple(positional), keywords

    def _before(self, starred: str) -> list[str]:
        names = list(self.signature.parameters)
        return names[: names.index(starred)]

    def default(self, name: str) -> Any:
        """The default of an argument; `inspect.Parameter.empty` if it is required."""
        return self.signature.parameters[name].default

    def check_findable(self) -> None:
        """Raise if the registry's key leads to another factory; pickles and configs rely on it."""
        if REGISTRY.get(self.key) is not self:
            raise TypeError(
                f"{self.name}: the factory {self.key!r} was defined again since, so its name no "
                "longer leads to it; define it once, at the top level of a module"
            )

    def example_inner(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The transformations that the example wraps, for required arguments that it omits."""
        required = (n for n, p in self.signature.parameters.items() if p.default is p.empty)
        return {
            name: _EXAMPLE_INNER[-1]()
            for name in required
            if self.roles[name].kind == "transformation"
            and not self.roles[name].container
            and name not in given
        }

    def hyperparameters(self) -> list[str]:
        """The names of the arguments that are hyper-parameters."""
        return [name for name, role in self.roles.items() if role.kind == "hyperparameter"]

    def _unknown(self, name: str) -> str:
        near = " and ".join(map(repr, meant(name, self.roles)))
        hint = f"did you mean {near}?" if near else f"the arguments are {', '.join(self.roles)}"
        return f"unknown argument {name!r}; {hint}"


REGISTRY: dict[str, Factory] = {}
"""Every factory by key, in the order of definition."""


RENAMED: dict[str, str] = {}
"""Keys that earlier versions wrote, each with the one that a factory has now."""


def factory_of(key: str) -> Factory:
    """The factory of a key in a pickle; the module that defines it is imported."""
    key = RENAMED.get(key, key)
    if key not in REGISTRY:
        importlib.import_module(key.partition(":")[0])
    return REGISTRY[key]


_EXAMPLE_INNER: list[Callable[[], Any]] = []


def provide_example_inner(make: Callable[[], Any]) -> None:
    """Set the transformation that wrapper examples wrap; it is defined after this module."""
    _EXAMPLE_INNER.append(make)


def registry(kind: Kind | None = None) -> dict[str, Factory]:
    """Every registered factory by name, or those of one kind.

    Args:
      kind: `"optimizer"`, `"direction"`, `"transform"`, `"wrapper"`, `"schedule"`, or all.

    Returns:
      A new dict in the order of registration. Names are unique in optcore; a later factory with the
      name of an earlier one is listed as `module:name`.

    Raises:
      ValueError: there is no such kind.

    >>> registry("optimizer")["adam"].example()
    adam(learning_rate=0.01)
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"registry: kind must be one of {', '.join(KINDS)}, got {kind!r}")
    found: dict[str, Factory] = {}
    for key, factory in REGISTRY.items():
        if factory.classes is None and kind in (None, factory.kind):
            found[key if factory.name in found else factory.name] = factory
    return found
