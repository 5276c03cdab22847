"""optcore inside the libraries that it is used with, each skipped where it cannot be imported."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore


def load(name: str) -> ModuleType:
    """A client's module; otherwise the test module that asks is skipped, with the reason."""
    try:
        return importlib.import_module(name)
    except Exception as error:
        # A client that is too old for this JAX fails in its own ways, not only by ImportError.
        pytest.skip(f"{name} cannot be imported: {error!r}", allow_module_level=True)


def floats(tx: Any) -> Any:
    return tx


def arrays(tx: Any) -> Any:
    return jax.tree.map(jnp.asarray, tx)


both_kinds = pytest.mark.parametrize("kind", [floats, arrays])
"""Hyper-parameters as Python floats, and as arrays."""


class Traces:
    """Counts how often a function is traced."""

    def __init__(self) -> None:
        self.count = 0

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return function(*args, **kwargs)

        return wrapped


def regression() -> tuple[jax.Array, jax.Array]:
    """Inputs (16, 3) and targets (16, 1) of a line through the origin."""
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(16, 3) ** np.float32([1, 2, 3])
    return jnp.asarray(x), jnp.asarray(x @ np.float32([[1], [-2], [0.5]]))


def quadratic(params: Any) -> jax.Array:
    """A loss with another minimum for each leaf, in float32."""
    leaves = jax.tree.leaves(params)
    return sum(jnp.sum((p.astype(jnp.float32) - i) ** 2) for i, p in enumerate(leaves, 1))


def start(dtype: Any = jnp.float32) -> dict[str, jax.Array]:
    return {"b": jnp.zeros(3, dtype), "w": jnp.arange(6, dtype=dtype).reshape(2, 3)}


def descend(tx: Any, params: Any, state: Any, steps: int) -> tuple[Any, Any]:
    """Parameters and state after some steps on the quadratic."""

    @jax.jit
    def step(params: Any, state: Any) -> tuple[Any, Any]:
        updates, state = tx.update(jax.grad(quadratic)(params), state, params)
        return optcore.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params, state


def assert_same(a: Any, b: Any) -> None:
    """The same structure, dtypes and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def assert_close(a: Any, b: Any, rtol: float = 2e-6) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


def resumable(kind: Callable[[Any], Any]) -> Any:
    """A chain with every sort of state: scheduled, with moments, with momentum, and empty."""
    rate = optcore.warmup_cosine_decay_schedule(0.0, 0.1, 3, 12)
    return kind(
        optcore.chain(
            optcore.clip_by_global_norm(1.0),
            optcore.trace(0.5),
            optcore.adamw(rate, weight_decay=0.01),
        )
    )
