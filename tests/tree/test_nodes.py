"""Paths on which the fields of a NamedTuple bear its name."""

import jax
import jax.numpy as jnp
import optax

import optcore
from optcore import tree
from optcore.tree._nodes import nodes, written


def test_paths_are_those_of_optax():
    state = optcore.adam(0.1).init({"a": [jnp.zeros(2)]})
    (path,) = (path for path, _ in nodes(state) if written(path) == "0.count")
    ((theirs, _),) = optax.tree_utils.tree_get_all_with_path(state, "count")
    assert path[-1] == tree.NamedTupleKey("ScaleByAdamState", "count")
    assert (path[-1].tuple_name, path[-1].name) == (theirs[-1].tuple_name, theirs[-1].name)
    assert jax.tree_util.keystr(path) == jax.tree_util.keystr(theirs)


def test_every_leaf_is_a_node():
    state = optcore.named_chain(("a", optcore.adam(0.1))).init({"w": jnp.zeros(2), "n": None})
    found = {written(path): node for path, node in nodes(state)}
    assert set(map(id, jax.tree.leaves(state))) <= set(map(id, found.values()))
    assert found["a.0.mu.w"] is state["a"][0].mu["w"]
    assert found["(the tree itself)"] is state
