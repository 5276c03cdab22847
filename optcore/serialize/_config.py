"""Config: a declared transformation as plain data, and back."""

import functools
import importlib
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._core import REGISTRY, RENAMED, Declared, Factory, declare, is_key, key_words, make
from ..groups import Predicate
from ._former import moved_function

FORMAT = 1


def to_config(tx: Any) -> dict[str, Any]:
    """A declared transformation or schedule as plain data that JSON can hold.

    Args:
      tx: a declared or stacked transformation or schedule, with only declared ones inside.
        Functions must be importable by their own name: they are written as `module:qualname`, and
        found again once that module is imported.

    Returns:
      A dict with the format version, the factory's key and its arguments, including defaults.

    Raises:
      TypeError: an argument cannot be written as data, such as a lambda or an optax transformation;
        the message names it.

    >>> import optcore
    >>> config = to_config(optcore.sgd(0.1, momentum=0.9))
    >>> config["factory"], config["arguments"]["momentum"]
    ('optcore:sgd', 0.9)
    >>> from_config(config)
    sgd(learning_rate=0.1, momentum=0.9)
    """
    if not isinstance(tx, Declared):
        raise TypeError(
            f"to_config: expected a declared transformation or schedule, got {type(tx).__name__}"
        )
    return {"format": FORMAT, **_encode_declared(tx)}


def from_config(config: Mapping[str, Any]) -> Any:
    """The transformation or schedule described by a config from `to_config`.

    Args:
      config: the result of `to_config`, also after a round trip through JSON.

    Raises:
      ValueError: the format version differs, or `config` is not a config.
      KeyError: a factory or function is unknown; import its module first.

    >>> import json, optcore
    >>> tx = optcore.adamw(optcore.linear_schedule(1e-3, 0.0, 100))
    >>> from_config(json.loads(json.dumps(to_config(tx)))) == tx
    True
    """
    if not isinstance(config, Mapping) or "factory" not in config:
        raise ValueError(f"from_config: expected the result of to_config, got {config!r}")
    if config.get("format") != FORMAT:
        raise ValueError(
            f"from_config: expected format {FORMAT}, got {config.get('format')!r}; "
            "was it written by another version of optcore?"
        )
    return _decode(config)


def _encode_declared(tx: Declared) -> dict[str, Any]:
    factory = tx.declaration.factory
    factory.check_findable()
    arguments = {
        name: _encode(value, f"{factory.name}: {name}") for name, value in tx.arguments.items()
    }
    return {"factory": factory.key, "arguments": arguments}


def _encode(value: Any, where: str) -> Any:
    if isinstance(value, Declared):
        return _encode_declared(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    if isinstance(value, jax.core.Tracer):
        raise TypeError(f"to_config: {where} is traced; write the config outside of jit")
    if is_key(value):
        return {"key": key_words(value), "impl": str(jax.random.key_impl(value))}
    if isinstance(value, (np.ndarray, jax.Array)):
        return {"array": _numbers(np.asarray(value).tolist()), "dtype": value.dtype.name}
    if isinstance(value, Mapping):
        return {"map": [[_encode(k, where), _encode(v, where)] for k, v in value.items()]}
    if type(value) in (tuple, list):
        return {type(value).__name__: [_encode(v, where) for v in value]}
    if isinstance(value, re.Pattern):
        return {"regex": value.pattern, "flags": value.flags}
    if isinstance(value, Predicate):
        return {"predicate": value.name, "of": [_encode(v, where) for v in value.arguments]}
    if callable(value):
        return {"function": _importable(value, where)}
    raise TypeError(
        f"to_config: {where} is {value!r}, expected plain data, a function of a module, or a "
        "declared transformation or schedule; a pair of another library cannot be written as data"
    )


def _numbers(value: Any) -> Any:
    """Nested lists of numbers; numbers that JSON lacks become text."""
    if isinstance(value, list):
        return list(map(_numbers, value))
    return value if math.isfinite(value) else repr(value)


def _importable(function: Any, where: str) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if _attribute(module or "", name) is not function:
        raise TypeError(
            f"to_config: {where} is the function {name or function!r}, which cannot be found by "
            "name; define it at the top level of a module, or use a declared schedule; in a rule, "
            "a glob, a regular expression or a predicate such as has_ndim"
        )
    library = str(module).partition(".")[0]
    return f"{library if _attribute(library, name) is function else module}:{name}"


def _decode(data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    if "factory" in data:
        factory = _factory(data["factory"])
        arguments = {name: _decode(value) for name, value in data.get("arguments", {}).items()}
        if any(map(np.ndim, jax.tree.leaves(arguments))):
            # Stacked: its body can only run under `vmap`, which splits the numbers.
            return declare(factory, factory.bind_named(arguments))
        return make(factory, arguments)
    if "float" in data:
        return float(data["float"])
    if "key" in data:
        # A constant, not part of a current trace.
        with jax.ensure_compile_time_eval():
            return jax.random.wrap_key_data(jax.numpy.uint32(data["key"]), impl=data["impl"])
    if "array" in data:
        numbers = np.asarray(data["array"])
        return numbers.astype(float if numbers.dtype.kind == "U" else numbers.dtype).astype(
            data["dtype"]
        )
    if "dtype" in data:
        return np.dtype(data["dtype"])
    if "map" in data:
        return {_decode(key): _decode(value) for key, value in data["map"]}
    if "tuple" in data:
        return tuple(map(_decode, data["tuple"]))
    if "list" in data:
        return list(map(_decode, data["list"]))
    if "regex" in data:
        return re.compile(data["regex"], data["flags"])
    if "predicate" in data:
        return Predicate(data["predicate"], tuple(map(_decode, data["of"])))
    if "function" in data:
        return _find(data["function"])
    raise ValueError(f"from_config: expected what to_config writes, got {data!r}")


def _factory(key: str) -> Factory:
    """The factory of a key; the chapter of optcore that defines it is imported."""
    key = RENAMED.get(key, key)
    module = key.partition(":")[0]
    if key not in REGISTRY and module.startswith("optcore."):
        importlib.import_module(module)
    if key not in REGISTRY:
        raise KeyError(
            f"from_config: no factory {key!r} is registered; import the module that defines it "
            "first"
        )
    return REGISTRY[key]


def _attribute(module: str, name: str) -> Any:
    """The object with a qualified name in an imported module, or `None`."""
    steps = name.split(".")
    return functools.reduce(lambda x, s: getattr(x, s, None), steps, sys.modules.get(module))


def _find(key: str) -> Any:
    module, _, name = key.partition(":")
    found = _attribute(module, name)
    if found is None and module == "optcore":
        found = moved_function(name)
    if found is None:
        raise KeyError(f"from_config: no function {key!r} is known; import its module first")
    return found
