"""An optimizer with another learning rate, which may be traced."""

from typing import Any

from .._core import Declared, declare, hyperparameters


def rate_path(owner: str, tx: Any) -> list[str]:
    """Where the only learning rate of a declared transformation stands.

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
    paths = [path.split(".") for path in known if path.rpartition(".")[2] == "learning_rate"]
    if len(paths) != 1:
        raise ValueError(
            f"{owner}: tx must have one learning_rate, {tx!r} has {len(paths)}, among "
            f"{', '.join(known) or 'no hyper-parameters'}; give tx=None and "
            "factory=lambda rate: ..."
        )
    return paths[0]


def with_rate(value: Any, path: list[str], rate: Any) -> Any:
    """The same with `rate` at this path, in place of a number or a schedule."""
    if not path:
        return rate
    head, *rest = path
    if isinstance(value, Declared):
        inside = with_rate(value.arguments[head], rest, rate)
        return declare(value.declaration.factory, {**value.arguments, head: inside})
    if isinstance(value, dict):
        return {k: with_rate(v, rest, rate) if str(k) == head else v for k, v in value.items()}
    if value and isinstance(value[0][0], str):
        return tuple((k, with_rate(v, rest, rate) if k == head else v) for k, v in value)
    return tuple(with_rate(v, rest, rate) if str(i) == head else v for i, v in enumerate(value))
