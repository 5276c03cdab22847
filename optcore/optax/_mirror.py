"""Copies of optax's modules, with optcore's own objects in place of optax's."""

import importlib.util
import types
from typing import Any

from ._door import OURS


def mirror(namespace: dict[str, Any], module: str) -> None:
    """Fill the namespace of a module with all names of a module of optax's.

    Submodules of optax are left out if optcore has a module of the same name.
    """
    original = importlib.import_module(module)
    for name, value in vars(original).items():
        own = name.startswith("__") and name not in ("__all__", "__version__")
        if not own and not _is_replaced(name, value) and name not in namespace:
            namespace[name] = OURS.get(id(value), value)
    if hasattr(original, "__getattr__"):

        def forward(name: str) -> Any:
            value = original.__getattr__(name)
            return OURS.get(id(value), value)

        namespace["__getattr__"] = forward


def _is_replaced(name: str, value: Any) -> bool:
    if not (isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] == "optax"):
        return False
    return name.startswith("_") or _exists(f"optcore.{value.__name__}")


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
