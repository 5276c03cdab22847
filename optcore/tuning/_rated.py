"""An optimizer with another learning rate, which may be traced."""

from typing import Any

from .._core import Declared, children, declare, is_declared, is_transformation, walk
from ..hyper import hyperparameters


def check_rate(owner: str, tx: Any) -> None:
    """A declared transformation must have one learning rate.

    Raises:
      TypeError: it is of another library.
      ValueError: it has none, or several.
    """
    if not isinstance(tx, Declared):
        raise TypeError(
            f"{owner}: tx must be a transformation of optcore, whose learning rate can be set, "
            f"got {type(tx).__name__}; for another give tx=None and factory=lambda rate: ..."
        )
    known = list(hyperparameters(tx, schedules_inside=False))
    found = [path for path in known if path.rpartition(".")[2] == "learning_rate"]
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


def with_rate(part: Any, rate: Any) -> Any:
    """The same with `rate` for the learning rate, in place of a number or a schedule."""
    if isinstance(part, Declared):
        roles, arguments = part.declaration.factory.roles, dict(part.arguments)
        if _injects(part):
            # In a state the rate would stay what it was at the start.
            return with_rate(_wrapped(part)[0], rate)
        for name, value in arguments.items():
            if roles[name].kind == "transformation":
                arguments[name] = with_rate(value, rate)
            elif name == "learning_rate" and value is not None:
                arguments[name] = rate
        return declare(part.declaration.factory, arguments)
    if isinstance(part, dict):
        return {k: with_rate(v, rate) for k, v in part.items()}
    if isinstance(part, tuple) and not is_transformation(part):
        return tuple(with_rate(v, rate) for v in part)
    return part


def _injects(part: Declared) -> bool:
    """Whether it keeps the numbers of the transformation inside in its state."""
    return part.declaration.factory.holds is not None and len(_wrapped(part)) == 1


def _wrapped(tx: Declared) -> list[Any]:
    return [part.value for part in children(tx) if part.is_transformation]


def _holder(tx: Declared) -> Declared | None:
    """What has a learning rate in its state, and no transformation inside it could be read from."""
    for part in (part.value for part in walk(tx) if is_declared(part.value)):
        if part.declaration.factory.holds is not None and not _injects(part):
            names = hyperparameters(part, schedules_inside=False)
            if any(name.endswith(".learning_rate") for name in names):
                return part
    return None
