"""optcore's own names, wherever they are exported."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any

import optcore
from optcore._core import REGISTRY


def places() -> list[ModuleType]:
    """Where users import from: the top, and then the chapters."""
    chapters = [
        importlib.import_module(f"optcore.{found.name}")
        for found in pkgutil.iter_modules(optcore.__path__)
        if found.ispkg and not found.name.startswith("_") and found.name != "optax"
    ]
    return [optcore, *chapters]


def named(name: str) -> Any:
    """What a name is, at the top or in a chapter."""
    return next(vars(place)[name] for place in places() if name in vars(place))


def is_own(name: str) -> bool:
    """Whether optcore has a factory of this name: tests and optax's door register others."""
    return f"optcore:{name}" in REGISTRY
