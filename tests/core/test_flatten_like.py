"""Leaves of one tree at the places of another."""

import jax
import jax.numpy as jnp
import pytest

import optcore
from optcore._core import flatten_like
from optcore.testing._containers import Frozen


def test_none_in_a_container_that_knows_where_it_has_leaves():
    structure = jax.tree.structure(Frozen({"a": 0, "b": Frozen({"c": 0, "d": 0})}))
    tree = Frozen({"a": None, "b": Frozen({"c": 1.0, "d": None})})
    assert flatten_like(structure, tree) == [None, 1.0, None]
    with pytest.raises(ValueError, match="Mismatch custom node data"):
        structure.flatten_up_to(tree)


@pytest.mark.parametrize(
    "other",
    [
        Frozen({"a": 1.0}),
        {"a": 1.0, "b": 2.0},
        Frozen({"a": 1.0, "c": 2.0}),
    ],
    ids=["fewer keys", "another type", "another key"],
)
def test_other_trees_are_refused(other):
    with pytest.raises(ValueError, match=r"(?i)custom node"):
        flatten_like(jax.tree.structure(Frozen({"a": 0, "b": 0})), other)


def test_none_stays_none():
    with pytest.raises(ValueError, match="Expected None"):
        flatten_like(jax.tree.structure({"a": 0, "b": None}), {"a": 1.0, "b": 2.0})


def test_a_mask_in_such_a_container():
    """Where it is False there is no moment, and so the moments are another container to JAX."""
    params = Frozen({"w": jnp.ones(2), "b": jnp.ones(())})
    tx = optcore.add_decayed_weights(0.5, lambda p: Frozen({"w": True, "b": False}))
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(params, state, params)
    assert updates["w"].tolist() == [1.5, 1.5]
    assert updates["b"] == 1
