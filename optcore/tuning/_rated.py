"""An optimizer with another learning rate, which may be traced."""

from typing import Any

from .._core import Declared, declare, hyperparameters, is_transformation


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


def with_rate(part: Any, rate: Any) -> Any:
    """The same with `rate` for the learning rate, in place of a number or a schedule."""
    if isinstance(part, Declared):
        roles, arguments = part.declaration.factory.roles, dict(part.arguments)
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
