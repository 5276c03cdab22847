"""Names of earlier versions: where they went, and how what was written with them still loads."""

import difflib
import importlib.util
import sys
import types
from collections.abc import Iterable, Mapping
from typing import Any

from .._core import RENAMED

IN_PLACE_OF = {
    "ApplyEveryState": "accumulate(tx, every=k)",
    "ApplyIfFiniteState": "guard(tx)",
    "ConditionallyMaskState": "guard(tx), skip_on_spike(tx) or switch",
    "ConditionallyTransformState": "guard(tx), skip_on_spike(tx) or switch",
    "MaskedState": "route((pattern, tx), ('*', identity()))",
    "MultiSteps": "accumulate(tx, every=k)",
    "MultiStepsState": "accumulate(tx, every=k)",
    "PartitionState": "route(*rules), or route(*rules, labels=labels)",
    "apply_every": "accumulate(tx, every=k)",
    "apply_if_finite": "guard(tx), and check(state)",
    "conditionally_mask": "guard(tx), skip_on_spike(tx) or switch",
    "conditionally_transform": "guard(tx), skip_on_spike(tx) or switch",
    "freeze": "route((pattern, FREEZE), ('*', tx))",
    "has_updated": "state.mini_step == 0 of the state of accumulate",
    "inject_hyperparams": "inject(tx), or optcore.hyper.inject_foreign(factory, hyperparams)",
    "masked": "route((pattern, tx), ('*', identity()))",
    "multi_transform": "route(*rules), or route(*rules, labels=labels)",
    "partition": "route(*rules), or route(*rules, labels=labels)",
    "scale_by_schedule": "scale(schedule)",
    "selective_transform": "route((pattern, FREEZE), ('*', tx))",
    "skip_large_updates": "accumulate(skip_on_spike(tx), every=k)",
    "skip_not_finite": "accumulate(tx, every=k), which skips what is not finite",
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


def _chapter_of(name: str) -> types.ModuleType | None:
    """The chapter that has a name."""
    top = sys.modules["optcore"]
    chapters = [
        value
        for key, value in vars(top).items()
        if isinstance(value, types.ModuleType) and not key.startswith("_") and key != "optax"
    ]
    return next((chapter for chapter in chapters if name in vars(chapter)), None)


def explain_missing(name: str, top: Iterable[str]) -> str:
    """Why a name is not at the top, and where it is or what is in its place.

    Args:
      name: what was asked for.
      top: the names there.
    """
    if name in IN_PLACE_OF:
        return (
            f"optcore has no {name!r}: use {IN_PLACE_OF[name]}; optax's own spelling is in "
            "optcore.optax"
        )
    chapter = _chapter_of(name)
    if chapter is not None:
        return f"optcore has no {name!r}: it is {chapter.__name__}.{name}"
    by_lower_case = {known.lower(): known for known in top}
    near = difflib.get_close_matches(name.lower(), by_lower_case, 1, 0.75)
    if near:
        return f"optcore has no {name!r}; did you mean {by_lower_case[near[0]]!r}?"
    if importlib.util.find_spec("optax") and hasattr(importlib.import_module("optax"), name):
        return f"optcore has no {name!r}: it is optcore.optax.{name}"
    return f"optcore has no {name!r}"


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
        return door.MaskedState(_with_nodes(inner_state, door.MaskedNode()))


def _with_nodes(x: Any, node: Any, in_a_slot: bool = False) -> Any:
    """The state with the node for every `None` in a tree of parameters; a field may be `None`."""
    if x is None:
        return node if in_a_slot else None
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(_with_nodes(value, node) for value in x))
    if isinstance(x, Mapping):
        return type(x)({key: _with_nodes(value, node, True) for key, value in x.items()})  # type: ignore[call-arg]
    if isinstance(x, (tuple, list)):
        return type(x)(_with_nodes(value, node, True) for value in x)
    return x


_CONVERTED = {"MaskedState": _MaskedState, "MultiStepsState": _MultiStepsState}


for _name, _held in _CLASSES.items():
    sys.modules[f"optcore.{_name}"] = _former_module(_name, _held)
