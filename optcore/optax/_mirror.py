"""A module of optax's, name by name, with optcore's own in the place of what it has."""

import importlib
import types
from typing import Any

from ._door import OURS


def mirror(namespace: dict[str, Any], module: str) -> None:
    """Fill the namespace of a module with all names of a module of optax's.

    Modules among them are left out: those of optcore stand in their place.
    """
    original = importlib.import_module(module)
    for name, value in vars(original).items():
        own = name.startswith("__") and name not in ("__all__", "__version__")
        if not own and not _is_of_optax(value) and name not in namespace:
            namespace[name] = OURS.get(id(value), value)
    if hasattr(original, "__getattr__"):

        def forward(name: str) -> Any:
            value = original.__getattr__(name)
            return OURS.get(id(value), value)

        namespace["__getattr__"] = forward


def _is_of_optax(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] == "optax"
