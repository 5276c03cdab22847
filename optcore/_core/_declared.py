"""Declared transformations: a factory's result is a pytree of its hyper-parameters."""

import copy
import functools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from . import _boundary
from ._counts import check_count
from ._examples import Aggregation, aggregation_of, check_declared
from ._factory import Factory, factory_of
from ._marks import is_transformation
from ._numerics import increment, is_inexact, weak, wide, zero_count
from ._paths import path_name
from ._per_leaf import Leafwise
from ._replace import replaced
from ._roles import Role
from ._scheduled import ScheduledState, evaluate
from ._static import Frozen, Static, ordered_like, printed, same
from ._structure import Structure, does_to_examples, structure_of
from ._types import GradientTransformation, Params, State, Updates


class Declaration:
    """A factory with its arguments; builds the pair when it is first used."""

    __slots__ = ("_built", "_flat", "arguments", "factory")

    def __init__(self, factory: Factory, arguments: dict[str, Any]):
        self.factory = factory
        self.arguments = arguments
        self._built: GradientTransformation | None = None
        self._flat: tuple[list[Any], Any] | None = None

    def __repr__(self) -> str:
        # Methods print their owner.
        return repr(declare(self.factory, self.arguments))

    @property
    def name(self) -> str:
        """The factory's name."""
        return self.factory.name

    @property
    def structure(self) -> Structure:
        """The record of all declarations that differ from it only in their numbers."""
        return structure_of(self.flatten()[1])

    def flatten(self) -> tuple[list[Any], Any]:
        """Leaves and structure of the declared object."""
        if self._flat is None:
            self._flat = jax.tree.flatten(declare(self.factory, self.arguments))
        return self._flat

    def schedules(self) -> dict[str, Callable[[ArrayLike], jax.Array]]:
        """The hyper-parameters that are given as schedules."""
        return {
            n: self.arguments[n]
            for n in self.factory.hyperparameters()
            if callable(self.arguments[n])
        }

    def resolved(self, values: Mapping[str, Any]) -> Any:
        """Call the factory with `values` in place of the schedules."""
        arguments = dict(self.arguments)
        for name in self.factory.hyperparameters():
            value = values.get(name, arguments[name])
            arguments[name] = jax.tree.map(functools.partial(self._scalar, name), value)
        made = self.factory.call(arguments)
        if self.factory.kind == "schedule" or is_transformation(made):
            if does_to_examples(made) == "aggregates":
                check_declared(declare(self.factory, self.arguments))
            return made
        raise TypeError(f"{self.name} must return a gradient transformation, returned {made!r}")

    def _scalar(self, name: str, value: Any) -> Any:
        if isinstance(value, (int, float)):
            return value
        value = jnp.asarray(value)
        if value.ndim:
            raise ValueError(
                f"{self.name}: hyper-parameter {name!r} has shape {value.shape}, expected a "
                "scalar; a stacked optimizer is used under jax.vmap, with one axis mapped"
            )
        return weak(value.astype(wide(value.dtype) if is_inexact(value) else np.float32))

    def pair(self) -> GradientTransformation:
        """The closures, with the schedules behind a step count."""
        if self._built is not None:
            return self._built
        if self.schedules():
            self._built = self._scheduled()
        elif all(isinstance(x, (int, float)) for x in self._own_numbers()):
            # Arrays that the body makes are constants, not part of a current trace.
            with jax.ensure_compile_time_eval():
                self._built = self.resolved({})
        else:
            return self.resolved({})
        return self._built

    def build(self) -> None:
        """Run the factory's body once, for the checks of its arguments."""
        scheduled = self.schedules()
        if scheduled:
            scalar = jax.ShapeDtypeStruct((), np.float32)
            jax.eval_shape(
                lambda values: _nothing(self.resolved(values)), dict.fromkeys(scheduled, scalar)
            )
        elif self.factory.kind == "schedule":
            self.resolved({})
        else:
            self.pair()

    def _own_numbers(self) -> list[Any]:
        names = self.factory.hyperparameters()
        return jax.tree.leaves(
            {n: v for n, v in self.arguments.items() if n in names and not callable(v)}
        )

    def _values(self, count: jax.Array) -> dict[str, jax.Array]:
        values = {n: evaluate(f"{self.name}: {n}", s, count) for n, s in self.schedules().items()}
        for name, value in values.items():
            # Concrete only in eager calls; named here, where the user gave the schedule.
            self.factory.roles[name].normalise(value)
        return values

    def _scheduled(self) -> GradientTransformation:
        def init(params: Params) -> ScheduledState:
            count = zero_count()
            values = self._values(count)
            return ScheduledState(count, values, self.resolved(values).init(params))

        def update(
            updates: Updates, state: ScheduledState, params: Params | None = None, **extra: Any
        ) -> tuple[Updates, ScheduledState]:
            values = self._values(state.count)
            pair = self.resolved(values)
            updates, inner = _boundary.call(pair, updates, state.inner, params, extra)
            return updates, ScheduledState(increment(state.count), values, inner)

        def two_parts(count: jax.Array) -> Aggregation:
            found = aggregation_of(self.resolved(self._values(count)))
            if found is None:
                raise ValueError(
                    f"{self.name}: its update of examples has no two parts, so batches "
                    "cannot be added up in between"
                )
            return found

        def total(updates: Updates, state: ScheduledState, params: Params, extra: Any) -> Updates:
            return two_parts(state.count).total(updates, state.inner, params, extra)

        def finish(
            total: Updates, examples: Any, state: ScheduledState, params: Params, extra: Any
        ) -> tuple[Updates, ScheduledState]:
            parts = two_parts(state.count)
            updates, inner = parts.finish(total, examples, state.inner, params, extra)
            values = self._values(state.count)
            return updates, ScheduledState(increment(state.count), values, inner)

        pair = Leafwise(init, update)
        if self.structure.per_example:
            pair.aggregation = Aggregation(total, finish)
        return pair

    def init(self, params: Params) -> State:
        """The state for these parameters."""
        return _boundary.init(self, params)

    def update(
        self, updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        """Transformed updates and the next state."""
        return _boundary.update(self, updates, state, params, extra)

    def key(self) -> tuple[Any, ...]:
        """The key for equality and hash; raises if an array is in place of a number."""
        tx = declare(self.factory, self.arguments)
        paths, treedef = jax.tree_util.tree_flatten_with_path(tx)
        for path, value in paths:
            if not isinstance(value, (int, float)):
                raise TypeError(
                    f"{self.name}: hyper-parameter {path_name(path)!r} is an array, and an "
                    "optimizer that holds arrays cannot be hashed; as a static field or argument "
                    "it needs Python floats, otherwise pass it as an argument of the jit"
                )
        return treedef, tuple(value for _, value in paths)


def _nothing(_: Any) -> None:
    """A result for `eval_shape` when only the checks on the way matter."""


class Declared:
    """The shared base of declared transformations and schedules: value semantics."""

    declaration: Declaration

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"{self!r} cannot be changed; .replace({name}={value!r}) gives another one"
        )

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of the factory by name, as they were normalised."""
        return dict(self.declaration.arguments)

    def replace(self, **arguments: Any) -> Self:
        """The same factory with some arguments changed, all of them checked again.

        Args:
          **arguments: by name; inner arguments by path, or by a unique end of the path, as in
            `set_hyperparams`.

        Raises:
          KeyError: a name is not there, or ambiguous; the message suggests.
          TypeError: nothing is inside, and a name is unknown.

        >>> import optcore
        >>> optcore.sgd(0.1, momentum=0.9).replace(learning_rate=0.2)
        sgd(learning_rate=0.2, momentum=0.9)
        >>> tx = optcore.chain(optcore.clip(1.0), optcore.sgd(0.1))
        >>> tx.replace(**{"transforms.1.learning_rate": 0.2}) == tx.replace(learning_rate=0.2)
        True
        """
        return replaced(self, arguments, make)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Declared):
            return False
        mine, mine_tree = jax.tree.flatten(self)
        theirs, their_tree = jax.tree.flatten(other)
        return mine_tree == their_tree and all(map(same, mine, theirs))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.declaration.key())

    def __repr__(self) -> str:
        factory, arguments = self.declaration.factory, self.declaration.arguments
        shown = []
        for name, parameter in factory.signature.parameters.items():
            value = arguments[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                shown += [repr(v) for v in value]
            elif not same(value, factory.default(name)):
                shown.append(f"{name}={printed(value)}")
        return f"{factory.name}({', '.join(shown)})"

    def __reduce__(self) -> Any:
        factory = self.declaration.factory
        factory.check_findable()
        return _restore, (factory.key, self.declaration.arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        declaration = self.declaration
        return declare(declaration.factory, copy.deepcopy(declaration.arguments, memo))

    def __copy__(self) -> Any:
        return self


def _restore(key: str, arguments: dict[str, Any]) -> Any:
    return declare(factory_of(key), arguments)


class DeclaredPair(Declared):
    """The shared base of declared transformations, for any class of pairs."""

    plain: ClassVar[Any]
    """The class of pairs."""

    def __new__(cls, declaration: Declaration) -> Self:
        self = tuple.__new__(cls, (declaration.init, declaration.update))  # type: ignore[type-var]
        object.__setattr__(self, "declaration", declaration)
        return self

    @classmethod
    def _make(cls, iterable: Any) -> Any:
        return cls.plain._make(iterable)

    def _replace(self, **fields: Any) -> Any:
        return self.plain(self.declaration.init, self.declaration.update)._replace(**fields)


class DeclaredTransformation(DeclaredPair, GradientTransformation):  # type: ignore[misc]
    """A gradient transformation that is a pytree of its hyper-parameters."""

    plain = GradientTransformation


class DeclaredSchedule(Declared):
    """A pure function of the step count that is a pytree of its numbers.

    >>> import jax, optcore
    >>> schedule = optcore.linear_schedule(1.0, 0.0, 4)
    >>> isinstance(schedule, DeclaredSchedule), jax.tree.leaves(schedule), schedule(1).item()
    (True, [1.0, 0.0], 0.75)
    """

    def __init__(self, declaration: Declaration):
        object.__setattr__(self, "declaration", declaration)

    def __call__(self, count: ArrayLike) -> jax.Array:
        """The float32 value at `count`, an int or an integer array of any shape."""
        count = check_count(self.declaration.name, count)
        schedules = self.declaration.schedules()
        if schedules and count.ndim:
            return jax.vmap(self)(count)
        values = {name: schedule(count) for name, schedule in schedules.items()}
        value = jnp.asarray(self.declaration.resolved(values)(count), jnp.float32)
        return jnp.broadcast_to(value, count.shape)


def declare(factory: Factory, arguments: Mapping[str, Any]) -> Any:
    """The declared object of a factory and its normalised arguments, without checks."""
    own = DeclaredSchedule if factory.kind == "schedule" else DeclaredTransformation
    declaration, kind = factory.classes or (Declaration, own)
    return kind(declaration(factory, dict(arguments)))


def make(factory: Factory, arguments: Mapping[str, Any]) -> Any:
    """The declared object of a factory and arguments by name, all of them checked."""
    declared = declare(factory, factory.bind_named(arguments))
    declared.declaration.build()
    return declared


def _pack(value: Any, role: Role) -> Any:
    """An argument as a pytree in which only hyper-parameters are leaves."""
    if isinstance(value, Declared) or value is None:
        return value
    if role.kind == "hyperparameter" and not callable(value):
        return dict(value) if isinstance(value, Mapping) else value
    several = role.kind in ("transformation", "schedule") and not is_transformation(value)
    if role.container and several:
        if isinstance(value, Mapping):
            return ordered_like({k: _pack(v, role) for k, v in value.items()}, value)
        if isinstance(value, tuple):
            return tuple(_pack(v, role) for v in value)
    return Static(value)


def _unpack(value: Any) -> Any:
    if isinstance(value, Static):
        return value.value
    if isinstance(value, Declared):
        return value
    if isinstance(value, dict):
        return ordered_like({k: _unpack(v) for k, v in value.items()}, value)
    if type(value) is tuple:
        return tuple(_unpack(v) for v in value)
    return value


def _flatten_with_keys(tx: Declared) -> Any:
    declaration = tx.declaration
    children, names, statics = [], [], []
    for name, role in declaration.factory.roles.items():
        value = declaration.arguments[name]
        if role.kind in ("static", "dtype", "key"):
            statics.append((name, value))
        else:
            names.append(name)
            children.append((jax.tree_util.GetAttrKey(name), _pack(value, role)))
    return children, (declaration.factory, tuple(names), Frozen(tuple(statics)))


def _flatten(tx: Declared) -> Any:
    children, structure = _flatten_with_keys(tx)
    return tuple(child for _, child in children), structure


def _unflatten(structure: Any, children: Any) -> Any:
    factory, names, statics = structure
    arguments = dict(statics.value)
    arguments.update(zip(names, map(_unpack, children), strict=True))
    return declare(factory, {name: arguments[name] for name in factory.roles})


def register_declared(kind: type[Declared]) -> None:
    """Make a class of declared objects a pytree of their hyper-parameters."""
    jax.tree_util.register_pytree_with_keys(kind, _flatten_with_keys, _unflatten, _flatten)


for _class in (DeclaredTransformation, DeclaredSchedule):
    register_declared(_class)
