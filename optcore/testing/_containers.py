"""Checks of the containers of a state's arrays, and of the facts known about the arrays."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import apply_updates, path_name, slot_axes
from ._subject import STEPS, Subject, assert_close, gradients


@jax.tree_util.register_pytree_node_class
class Frozen(Mapping[str, Any]):
    """A mapping that keeps the place of each leaf as static data."""

    def __init__(self, members: Mapping[str, Any]):
        self.members = dict(members)

    def __getitem__(self, key: str) -> Any:
        return self.members[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """All leaves below, and their structure."""
        leaves, structure = jax.tree.flatten(self.members)
        return tuple(leaves), structure

    @classmethod
    def tree_unflatten(cls, structure: Any, leaves: tuple[Any, ...]) -> "Frozen":
        """A container with any objects as leaves."""
        return cls(structure.unflatten(leaves))


def check_containers_survive(subject: Subject) -> None:
    """Parameters and state in a container with static data behave as in a list."""
    # The paths of the leaves are numbers in both, because random bits may depend on paths.
    plain = jax.tree.leaves(subject.params)
    frozen = Frozen({f"p{i:03}": p for i, p in enumerate(plain)})

    def trained(params: Any) -> Any:
        state = subject.tx.init(params)
        before = jax.tree.structure(state)
        for step in range(STEPS):
            updates, state = subject.update(gradients(params, step), state, params)
            params = apply_updates(params, updates)
        assert jax.tree.structure(state) == before, f"{subject.name}: the state was rebuilt"
        return params, state

    params, state = jax.jit(trained)(frozen)
    expected, expected_state = jax.jit(trained)(plain)
    assert isinstance(params, Frozen), f"{subject.name}: the parameters became {params!r}"
    assert_close(list(params.values()), expected, what=f"{subject.name}: in a container")
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(expected_state), strict=True)
    for got, wanted in pairs:
        assert_close(got, wanted, what=f"{subject.name}: a state in a container")


def check_slots_know_their_parameter(subject: Subject) -> None:
    """`slot_axes` reports every array that grows with a parameter, and along which axes."""
    if not subject.declared:
        return
    paths, treedef = jax.tree_util.tree_flatten_with_path(subject.params)
    shapes = [jax.ShapeDtypeStruct(np.shape(p), jnp.result_type(p)) for _, p in paths]
    tree = treedef.unflatten(shapes)
    known = jax.tree.leaves(slot_axes(subject.tx, tree))
    state = jax.tree.leaves(jax.eval_shape(subject.tx.init, tree))
    grown = []
    for i, p in enumerate(shapes):
        # All axes at once, so that the order of their lengths does not change.
        larger = jax.ShapeDtypeStruct(tuple(2 * n for n in p.shape), p.dtype)
        other = treedef.unflatten([*shapes[:i], larger, *shapes[i + 1 :]])
        grown.append(jax.tree.leaves(jax.eval_shape(subject.tx.init, other)))
    for number, (leaf, axes) in enumerate(zip(state, known, strict=True)):
        owners = [i for i, others in enumerate(grown) if others[number].shape != leaf.shape]
        if len(owners) != 1:
            # It is a scalar, or belongs to several parameters.
            continue
        path, shape = paths[owners[0]][0], shapes[owners[0]].shape
        where = f"{subject.name}: leaf {number} of the state, {leaf.shape},"
        assert axes.path == path, f"{where} grows with {path_name(path)!r}, but belongs to {axes}"
        for j, axis in enumerate(axes.axes):
            grows = grown[owners[0]][number].shape[j] != leaf.shape[j]
            along = axis is not None and leaf.shape[j] <= shape[axis]
            assert grows == along or 0 in shape, f"{where} has other axes than {axes}"


CHECKS = [check_containers_survive, check_slots_know_their_parameter]
