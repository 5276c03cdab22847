"""Refused nestings: a table of the facts of an owner and of a part of it."""

from typing import Any

from ._facts import Facts
from ._walk import is_declared, walk


def refuse_parts(owner: str, facts: Facts, argument: str, value: Any) -> None:
    """Raise if a transformation is not allowed in `argument` of the factory `owner`.

    Raises:
      ValueError: it must be outermost; or a part of it scales a loss, and the owner would withhold
        gradients from it, or show scaled gradients to others.
    """
    for part in walk(value):
        if not is_declared(part.value):
            continue
        factory = part.value.declaration.factory
        if factory.outermost:
            raise ValueError(
                f"{owner}: {argument} holds {factory.name}, which must be outermost: it relies on "
                "its updates being added to the parameters as they are; write "
                f"{factory.name}({owner}(...))"
            )
        if factory.scales_loss and (facts.partial or facts.skips or facts.scales_loss):
            cause = (
                "it would be one part among others, which would see the gradients of a scaled loss"
                if facts.partial
                else "the steps that overflow would never reach it, and the scale would never fall"
            )
            raise ValueError(
                f"{owner}: {factory.name} must be outside, as in "
                f"{factory.name}({owner}(...)): inside, {cause}"
            )


def loss_scale_in(value: Any) -> str | None:
    """The name of the first loss scale in a transformation, including itself."""
    parts = (part.value.declaration.factory for part in walk(value) if is_declared(part.value))
    return next((factory.name for factory in parts if factory.scales_loss), None)


def skips_nonfinite(value: Any) -> bool:
    """Whether a gradient that is not finite is known to change only its counters."""
    if not is_declared(value):
        return False
    declaration = value.declaration
    known: bool = declaration.factory.known("skips_nonfinite", declaration.arguments)
    return known
