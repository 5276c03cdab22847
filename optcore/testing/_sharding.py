"""Checks on a mesh of devices: where states are made, and that they stay there."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ..sharding import init_sharded, state_shardings
from ._subject import Subject, gradients, sample, training_step


def check_state_lies_on_the_mesh(subject: Subject) -> None:
    """A state is made where `state_shardings` says, and two steps of one compilation keep it there.

    By `init_sharded` and by an eager `init`, on a mesh of automatic and of explicit axes.
    """
    for params in _on_meshes():
        expected = state_shardings(subject.tx, params)
        made = init_sharded(subject.tx, params)
        _assert_placed(made, expected, f"{subject.name}: init_sharded")
        state = subject.tx.init(params)
        _assert_placed(state, expected, f"{subject.name}: init")
        sharding = jax.tree.map(lambda p: p.sharding, params)
        grads = jax.device_put(gradients(jax.tree.map(np.asarray, params), 0), sharding)
        step = jax.jit(training_step(subject), donate_argnums=(1, 2))
        compiled = step.lower(grads, state, params).compile()
        for _ in range(2):
            # What is compiled refuses arrays that lie elsewhere than those it was compiled for.
            params, state = compiled(grads, state, params)
        _assert_placed(state, expected, f"{subject.name}: after two steps")


def _on_meshes() -> Iterator[Any]:
    """Parameters on two axes of a mesh, automatic ones and explicit ones."""
    count = len(jax.devices())
    shape = (count // 2, 2) if count % 2 == 0 else (count, 1)
    specs = {"w": ("data", "model"), "b": ("model",), "s": ()}
    for kind in (AxisType.Auto, AxisType.Explicit):
        values = {"w": sample((2 * count, 8), 1), "b": sample((8,), 2), "s": sample((), 3)}
        mesh = jax.make_mesh(shape, ("data", "model"), axis_types=(kind, kind))
        yield {
            name: jax.device_put(value, NamedSharding(mesh, PartitionSpec(*specs[name])))
            for name, value in values.items()
        }


def _assert_placed(state: Any, expected: Any, what: str) -> None:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, x), sharding in zip(leaves, jax.tree.leaves(expected), strict=True):
        assert x.sharding.is_equivalent_to(sharding, x.ndim), (
            f"{what} at {jax.tree_util.keystr(path)}: expected {sharding.spec}, got {x.sharding}"
        )


CHECKS = [check_state_lies_on_the_mesh]
