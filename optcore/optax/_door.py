"""optcore's algorithms under optax's names: declared like all others, with optax's behaviour."""

import dataclasses
import functools
import inspect
import typing
import warnings
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax._src import base

from .._core import (
    REGISTRY,
    Constant,
    Declaration,
    DeclaredPair,
    Factory,
    GradientTransformation,
    HyperparameterMark,
    Mark,
    Role,
    StaticMark,
    TransformationMark,
    again,
    beside_slots,
    call,
    declare,
    is_declared,
    is_inexact,
    mode,
    parted_like,
    placed_init,
    register_declared,
    walk,
    whole_if_untracked,
    within,
)
from ._states import made_of

KEY = "optcore.optax"

OURS: dict[int, Any] = {}
"""The replacement of each object of optax, by its identity."""

FACTORIES: dict[str, Any] = {}
"""Our factories by optax's names, in the order of definition."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Factory(Factory):
    """A factory that keeps its arguments unchanged.

    Attributes:
      original: optax's.
      handed_on: whether optax computes.
      defaults: our defaults, instead of those of optax that cannot be compared by value.
      shown: the printed form of an object, from its arguments; by default the call.
    """

    _: dataclasses.KW_ONLY
    all_reduces: int | None = None
    original: Callable[..., Any]
    handed_on: bool
    defaults: Mapping[str, Any]
    shown: Callable[..., str] | None

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments by name, defaults included."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}() {error}") from None
        for name, value in self.defaults.items():
            bound.arguments.setdefault(name, value)
        bound.apply_defaults()
        return {name: _plain(value) for name, value in bound.arguments.items()}

    def default(self, name: str) -> Any:
        """The default of an argument."""
        return self.defaults.get(name, super().default(name))


class _Declaration(Declaration):
    """Checks nothing; the outermost call gives updates of the gradients' dtypes."""

    factory: _Factory

    def schedules(self) -> dict[str, Callable[..., jax.Array]]:
        """None, because schedules go into the states where optax has them."""
        return {}

    def resolved(self, values: Mapping[str, Any]) -> Any:
        """The pair of this declaration."""
        return self.factory.call(self.arguments)

    def pair(self) -> GradientTransformation:
        """The closures, made again in each trace if some numbers are arrays."""
        if self._built is not None:
            return self._built
        if not all(isinstance(x, (int, float)) for x in self.flatten()[0]):
            return self.resolved({})
        with jax.ensure_compile_time_eval():
            self._built = self.resolved({})
        return self._built

    def build(self) -> None:
        """Run the body once, for the warnings and errors of optax."""
        self.pair()

    def original(self) -> Any:
        """The result of optax for these arguments: it updates integers, which ours do not."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            given = {n: v for n, v in self.arguments.items() if v is not self.factory.default(n)}
            positional, keywords = self.factory.split(given)
            return optax.with_extra_args_support(self.factory.original(*positional, **keywords))

    @functools.cached_property
    def dtypes_are_ours(self) -> bool:
        """See the function."""
        return dtypes_are_ours(declare(self.factory, self.arguments))

    def init(self, params: Any) -> Any:
        """The state for these parameters."""
        if mode() != "outermost":
            return self.pair().init(_arrays(params))
        if any(map(_is_integer, jax.tree.leaves(params))):
            return self.original().init(params)
        with within("traced"), whole_if_untracked():
            return placed_init(self.pair().init, _arrays(params))

    def update(self, updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        """Transformed updates and the next state."""
        if mode() != "outermost":
            return call(self.pair(), updates, state, params, extra)
        if any(map(_is_integer, jax.tree.leaves((updates, params)))):
            return self.original().update(updates, state, params, **extra)
        updates, params = _arrays(updates), _arrays(params)
        if not _flattens(state):
            return self.outermost(updates, state, params, extra)
        repeated = again(self, (updates, state, params, extra), at_once=False)
        if repeated is not None:
            return _compiled(*repeated, updates, state, params, extra)
        return self.outermost(updates, state, params, extra)

    def outermost(
        self, updates: Any, state: Any, params: Any, extra: Mapping[str, Any]
    ) -> tuple[Any, Any]:
        """The update of a call by the user."""
        updates = parted_like(updates, params)
        updates, params = beside_slots(self.pair(), updates, state, params)
        with within("traced"), whole_if_untracked():
            new_updates, new_state = call(self.pair(), updates, state, params, extra)
        if self.dtypes_are_ours:
            new_updates = like(new_updates, updates, params)
        return new_updates, new_state


@functools.partial(jax.jit, static_argnums=0)
def _compiled(
    constant: Constant, arrays: list[Any], updates: Any, state: Any, params: Any, extra: Any
) -> Any:
    return constant.with_arrays(arrays).declaration.outermost(updates, state, params, extra)


class OptaxTransformation(DeclaredPair, optax.GradientTransformationExtraArgs):  # type: ignore[misc]
    """A declared transformation that is an instance of optax's class."""

    plain = optax.GradientTransformationExtraArgs
    declaration: _Declaration

    def __repr__(self) -> str:
        shown = self.declaration.factory.shown
        return shown(**self.arguments) if shown else super().__repr__()

    # Objects that hold arrays are equal if the arrays are equal.
    def __hash__(self) -> int:
        try:
            return super().__hash__()
        except TypeError:
            return hash(self.declaration.factory.key)


register_declared(OptaxTransformation)


def _is_integer(x: Any) -> bool:
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return isinstance(x, int) and not isinstance(x, bool)
    return dtype != jax.dtypes.float0 and jnp.issubdtype(dtype, jnp.integer)


def _plain(value: Any) -> Any:
    """The normalised form of an argument.

    A NumPy integer becomes a Python integer, an object becomes the transformation that it makes,
    and a dict whose keys cannot be sorted becomes an ordered dict, which JAX can flatten.
    """
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    if isinstance(value, optax.MultiSteps):
        return getattr(value, "declared", value)
    if type(value) is dict and not _flattens(value):
        return OrderedDict(value)
    return tuple(map(_plain, value)) if type(value) is tuple else value


def _flattens(tree: Any) -> bool:
    """Whether JAX can flatten it."""
    try:
        jax.tree.structure(tree)
    except ValueError:
        return False
    return True


def _arrays(tree: Any) -> Any:
    """The tree with arrays in place of Python numbers."""
    return jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, (float, complex)) else x, tree)


def like(updates: Any, gradients: Any, params: Any = None) -> Any:
    """The updates in the common dtypes of gradients and parameters."""
    leaves, treedef = jax.tree.flatten(updates)
    models, other = jax.tree.flatten(gradients)
    if treedef != other:
        return updates
    own, third = jax.tree.flatten(params)
    own = own if third == treedef else models
    return treedef.unflatten(map(_like, leaves, models, own))


def _like(update: Any, gradient: Any, parameter: Any) -> Any:
    if not all(hasattr(x, "dtype") and is_inexact(x) for x in (update, gradient, parameter)):
        return update
    wanted = jnp.promote_types(gradient.dtype, parameter.dtype)
    kinds = [jnp.issubdtype(d, jnp.complexfloating) for d in (update.dtype, wanted)]
    return jnp.asarray(update, wanted) if kinds[0] == kinds[1] else update


def instead_of(
    original: Any,
    name: str | None = None,
    *,
    static: Collection[str] = (),
    handed_on: bool = False,
    defaults: Mapping[str, Any] | None = None,
    shown: Callable[..., str] | None = None,
) -> Callable[[Callable[..., Any]], Any]:
    """Replace a factory of optax by a function, which gets its name and signature.

    Args:
      original: optax's factory. Its arguments reach the function by name, its defaults among
        them; those that it stars reach it by position.
      name: optax's name, by default that of the function.
      static: arguments that cannot be traced, whatever their annotation says.
      handed_on: whether the function computes with optax's.
      defaults: replacements of those of optax's defaults that cannot be compared by value.
      shown: the printed form of an object, from its arguments; by default the call.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        called = name or function.__name__
        signature = inspect.signature(original)

        def declaring(*args: Any, **kwargs: Any) -> Any:
            declared = declare(factory, factory.bind(*args, **kwargs))
            declared.declaration.build()
            return declared

        factory = _Factory(
            # Native chains do not check these, as they do not check optax's own.
            "transform",
            example=dict,
            uses=lambda arguments: None,
            name=called,
            key=f"{KEY}:{called}",
            function=function,
            signature=signature,
            roles={n: _role(called, p, n in static) for n, p in signature.parameters.items()},
            classes=(_Declaration, OptaxTransformation),
            original=original,
            handed_on=handed_on,
            defaults=defaults or {},
            shown=shown,
        )
        declaring.__name__ = declaring.__qualname__ = called
        declaring.__module__ = _home(original, called)
        declaring.__doc__ = f"{inspect.getdoc(original) or called}".partition("\n")[0]
        declaring.__signature__ = signature  # type: ignore[attr-defined]
        declaring.declared_by = factory  # type: ignore[attr-defined]
        REGISTRY[factory.key] = factory
        OURS[id(original)] = FACTORIES[called] = declaring
        return declaring

    return decorate


def _home(original: Any, name: str) -> str:
    """The public module that has a factory in place of one of optax."""
    for module in (optax, optax.contrib, optax.transforms, optax.schedules):
        if vars(module).get(name) is original:
            return f"optcore.{module.__name__}"
    return KEY


def dtypes_are_ours(tx: Any) -> bool:
    """Whether no part comes from optax or the user, which may have chosen a dtype."""
    return all(map(_is_ours, (part.value for part in walk(tx) if part.is_transformation)))


def _is_ours(tx: Any) -> bool:
    factory = tx.declaration.factory if is_declared(tx) else None
    return factory is not None and not (isinstance(factory, _Factory) and factory.handed_on)


def declared(original: Any, *static: str, **facts: Any) -> Any:
    """A factory of optax with a declared result: optax computes, and its parts are visible.

    Args:
      original: optax's factory.
      *static: arguments that cannot be traced, whatever their annotation says.
      **facts: see `instead_of`.
    """
    declaring = instead_of(original, original.__name__, static=static, handed_on=True, **facts)
    return declaring(computed_by(original))


def computed_by(original: Any) -> Callable[..., GradientTransformation]:
    """The result of a factory of optax, inside which ours keep the dtypes of their gradients."""

    def made(*args: Any, **kwargs: Any) -> GradientTransformation:
        pair = optax.with_extra_args_support(original(*args, **kwargs))
        return GradientTransformation(_as_the_user(pair.init), _as_the_user(pair.update))

    return made


def _as_the_user(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its calls treated as calls by the user."""

    def called(*args: Any, **kwargs: Any) -> Any:
        with within("outermost"):
            return function(*args, **kwargs)

    return called


def _role(owner: str, parameter: inspect.Parameter, static: bool) -> Role:
    """Numbers that may be traced are leaves, transformations are parts, all else is static."""
    text = "" if static else _text(parameter.annotation)
    several = parameter.kind is parameter.VAR_POSITIONAL
    mark: Mark = StaticMark()
    if "float" in text and "Tree" not in text and not isinstance(parameter.default, int):
        mark = HyperparameterMark()
    if "GradientTransformation" in text:
        mark = TransformationMark()
    base: Any = tuple[str, GradientTransformation] if "tuple[str" in text else Any
    return Role(owner, parameter.name, mark, True, several or "Mapping" in text, None, base)


def _text(annotation: Any) -> str:
    """An annotation as it is written."""
    members = typing.get_args(annotation)
    own = " ".join(map(_text, members)) if members else ""
    return f"{annotation!r} {own}"


def body(factory: Any) -> Callable[..., Any]:
    """The result of a native factory, without the checks of its own call."""
    facts: Factory = factory.declared_by

    def make(*args: Any, **kwargs: Any) -> Any:
        pair = facts.function(*args, **kwargs)
        return _needing_params(pair) if "params" in facts.needs else pair

    return make


def given(params: Any) -> Any:
    """The parameters, which are required."""
    if params is None:
        raise ValueError(base.NO_PARAMS_MSG)
    return params


def _needing_params(pair: GradientTransformation) -> GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return pair.update(updates, state, given(params), **extra)

    return made_of(pair, pair.init, update)
