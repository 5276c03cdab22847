"""Names of earlier versions: where they went, and how what was written with them still loads."""

import difflib
import functools
import importlib.util
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .._core import RENAMED

_MASKED = "route((pattern, tx), ('*', identity())), or ('*', FREEZE) if tx is an optimizer"
_GROUPS = "route(*rules), or route(*rules, labels=labels)"
_FROZEN = "route((pattern, FREEZE), ('*', tx))"
_SUMMED = "accumulate(tx, every=k), which averages: the sum is k times that"
_STEPS = "accumulate(tx, every=k)"
_DECIDED = (
    "guard(tx) or skip_on_spike(tx), and switch for a step count; a condition of your own is only "
    "in optcore.optax"
)

IN_PLACE_OF = {
    "ApplyEveryState": _SUMMED,
    "ApplyIfFiniteState": "guard(tx)",
    "ConditionallyMaskState": _DECIDED,
    "ConditionallyTransformState": _DECIDED,
    "MaskedState": _MASKED,
    "MultiSteps": _STEPS,
    "MultiStepsState": _STEPS,
    "PartitionState": _GROUPS,
    "apply_every": _SUMMED,
    "apply_if_finite": "guard(tx), and check(state)",
    "conditionally_mask": _DECIDED,
    "conditionally_transform": _DECIDED,
    "freeze": _FROZEN,
    "has_updated": "whether count grew in the state of accumulate",
    "inject_hyperparams": "inject(tx), or optcore.hyper.inject_foreign(factory, hyperparams)",
    "masked": _MASKED,
    "multi_transform": _GROUPS,
    "partition": _GROUPS,
    "scale_by_schedule": "scale(schedule)",
    "selective_transform": _FROZEN,
    "skip_large_updates": "skip_on_spike(accumulate(tx, every=k))",
    "skip_not_finite": "accumulate(tx, every=k), which skips gradients that are not finite",
    "stateless_with_tree_map": "per_leaf, or stateless with jax.tree.map",
}
"""Names that only optax's door has, each with what the native one has in its place."""

_CLASSES = {
    "compose._conditionally": ("ConditionallyMaskState", "ConditionallyTransformState"),
    "compose._multi_steps": ("MultiStepsState", "skip_large_updates", "skip_not_finite"),
    "groups._masked": ("MaskedState",),
    "groups._partition": ("PartitionState",),
    "safety._apply_if_finite": ("ApplyIfFiniteState",),
    "transforms._apply_every": ("ApplyEveryState",),
}
"""What pickles refer to in modules that are gone: the same class or function of optax's."""

RENAMED.update(
    {
        f"optcore:{name}": f"optcore.optax:{'partition' if name == 'multi_transform' else name}"
        for name in IN_PLACE_OF
    }
)


def moved_function(name: str) -> Any:
    """A function that was at the top and is in a chapter now, or in optax's door, or `None`."""
    if name in IN_PLACE_OF:
        return getattr(importlib.import_module("optcore.optax"), name, None)
    chapter = _chapter_of(name)
    return chapter and getattr(chapter, name)


def _chapters() -> list[types.ModuleType]:
    modules = {
        k: v for k, v in vars(sys.modules["optcore"]).items() if isinstance(v, types.ModuleType)
    }
    return [module for name, module in modules.items() if name[0] != "_" and name != "optax"]


def _chapter_of(name: str) -> types.ModuleType | None:
    """The chapter that has a name."""
    return next((chapter for chapter in _chapters() if name in vars(chapter)), None)


_GONE_FROM_TREE = {"get": "find", "get_all_with_path": "find", "set": "set_hyperparams"}


def explain_in_chapters() -> None:
    """Let chapters say what is in place of the names that left them."""
    for chapter in _chapters():
        vars(chapter)["__getattr__"] = functools.partial(_missing_in, chapter.__name__)


def _missing_in(chapter: str, name: str) -> Any:
    gone = _GONE_FROM_TREE if chapter == "optcore.tree" else IN_PLACE_OF
    reason = f"module {chapter!r} has no attribute {name!r}"
    raise AttributeError(_use(chapter, name, gone) if name in gone else reason, name=name)


def _use(place: str, name: str, gone: Mapping[str, str]) -> str:
    return f"{place} has no {name!r}: use {gone[name]}; optax's own is in optcore.optax"


def explain_missing(name: str, top: Iterable[str]) -> str:
    """Why a name is not at the top, and where it is or what is in its place.

    Args:
      name: what was asked for.
      top: the names there.
    """
    if name in IN_PLACE_OF:
        return _use("optcore", name, IN_PLACE_OF)
    chapter = _chapter_of(name)
    if chapter is not None:
        return f"optcore has no {name!r}: it is {chapter.__name__}.{name}"
    if importlib.util.find_spec("optax") and hasattr(importlib.import_module("optax"), name):
        return f"optcore has no {name!r}: it is optcore.optax.{name}"
    by_lower_case = {known.lower(): known for known in top}
    near = difflib.get_close_matches(name.lower(), by_lower_case, 1, 0.75)
    hint = f"; did you mean {by_lower_case[near[0]]!r}?" if near else ""
    return f"optcore has no {name!r}{hint}"


def _former_module(name: str, held: tuple[str, ...]) -> types.ModuleType:
    module = types.ModuleType(f"optcore.{name}", "What was here is optax's now.")

    def find(attribute: str) -> Any:
        if attribute not in held:
            raise AttributeError(f"module {module.__name__!r} has no attribute {attribute!r}")
        if attribute in _CONVERTED:
            return _CONVERTED[attribute]
        door = importlib.import_module("optcore.optax")
        name = _IN_OPTAX.get(attribute, attribute)
        return getattr(door, name, None) or getattr(door.transforms, name)

    vars(module)["__getattr__"] = find
    return module


_IN_OPTAX = {"ApplyEveryState": "ApplyEvery"}


class _MultiStepsState:
    """optax's, which does not count skipped steps."""

    def __new__(cls, *fields: Any) -> Any:
        kind: Any = importlib.import_module("optcore.optax").MultiStepsState
        return kind(*fields[: len(kind._fields)])


class _MaskedState:
    """optax's, with a `MaskedNode` for each parameter that is not chosen, where `None` was."""

    def __new__(cls, inner_state: Any) -> Any:
        door: Any = importlib.import_module("optcore.optax")
        chosen = set(_paths_with_arrays(inner_state))
        return door.MaskedState(_with_nodes(inner_state, door.MaskedNode(), chosen))


_Path = tuple[Any, ...]


def _below(x: Any) -> list[tuple[Any, Any]] | None:
    """The members of a tree of parameters by key, or `None` of anything else."""
    if isinstance(x, Mapping):
        return list(x.items())
    if isinstance(x, (tuple, list)) and not hasattr(x, "_fields"):
        return list(enumerate(x))
    return None


def _paths_with_arrays(x: Any, path: _Path = ()) -> Iterator[_Path]:
    """The paths of chosen parameters: each has an array in at least one tree of the state."""
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        for value in x:
            yield from _paths_with_arrays(value)
    elif (members := _below(x)) is not None:
        for key, value in members:
            yield from _paths_with_arrays(value, (*path, key))
    elif x is not None:
        yield path


def _with_nodes(x: Any, node: Any, chosen: set[_Path], path: _Path = ()) -> Any:
    """The state with the node for every `None` in a tree of parameters that is of no chosen one."""
    if x is None:
        return node if path and path not in chosen else None
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_with_nodes(value, node, chosen) for value in x))
    members = _below(x)
    if members is None:
        return x
    replaced = {key: _with_nodes(value, node, chosen, (*path, key)) for key, value in members}
    made: Any = type(x)
    return made(replaced) if isinstance(x, Mapping) else made(replaced.values())


_CONVERTED = {"MaskedState": _MaskedState, "MultiStepsState": _MultiStepsState}


for _name, _held in _CLASSES.items():
    sys.modules[f"optcore.{_name}"] = _former_module(_name, _held)
