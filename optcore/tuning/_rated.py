"""An optimizer with another learning rate, which may be traced."""

from typing import Any

from .._core import Declared, children, declare, is_declared, walk
from .._core._replace import replaced
from ..hyper import hyperparameters


def check_rate(owner: str, tx: Any) -> None:
    """A declared transformation must have one learning rate.

    Raises:
      TypeError: it is from another library.
      ValueError: it has no learning rate, or several.
    """
    if not isinstance(tx, Declared):
        raise TypeError(
            f"{owner}: tx must be a transformation of optcore, whose learning rate can be set, "
            f"got {type(tx).__name__}; for another give tx=None and factory=lambda rate: ..."
        )
    known = list(hyperparameters(tx, schedules_inside=False))
    found = _rates(tx)
    if len(found) != 1:
        raise ValueError(
            f"{owner}: tx must have one learning_rate, {tx!r} has {len(found)}, among "
            f"{', '.join(known) or 'no hyper-parameters'}; give tx=None and "
            "factory=lambda rate: ..."
        )
    held = _holder(tx)
    if held is not None:
        raise ValueError(
            f"{owner}: {held!r} keeps its learning_rate in its state, where it is not replaced; "
            "give tx=None and factory=lambda rate: ..."
        )


def with_rate(tx: Declared, rate: Any) -> Declared:
    """The same with `rate` for its learning rate, in place of a number or a schedule."""
    # A rate in the state would keep its initial value.
    bare = _without_injection(tx)
    (path,) = _rates(bare)
    changed: Declared = replaced(bare, {path: rate}, declare)
    return changed


def _rates(tx: Declared) -> list[str]:
    known = hyperparameters(tx, schedules_inside=False)
    return [path for path in known if path.rpartition(".")[2] == "learning_rate"]


def _without_injection(tx: Declared) -> Declared:
    """The transformation without wrappers that keep numbers in their state."""
    if _injects(tx):
        inside: Declared = _wrapped(tx)[0]
        return _without_injection(inside)
    injected = {
        part.path: _wrapped(part.value)[0]
        for part in walk(tx)
        if is_declared(part.value) and _injects(part.value)
    }
    changed: Declared = replaced(tx, injected, declare) if injected else tx
    return changed


def _injects(part: Declared) -> bool:
    """Whether it keeps the numbers of its inner transformation in its state."""
    return part.declaration.factory.holds is not None and len(_wrapped(part)) == 1


def _wrapped(tx: Declared) -> list[Any]:
    return [part.value for part in children(tx) if part.is_transformation]


def _holder(tx: Declared) -> Declared | None:
    """A transformation with a learning rate in its state that cannot be read from outside."""
    for part in (part.value for part in walk(tx) if is_declared(part.value)):
        if part.declaration.factory.holds is not None and not _injects(part):
            names = hyperparameters(part, schedules_inside=False)
            if any(name.endswith(".learning_rate") for name in names):
                return part
    return None
