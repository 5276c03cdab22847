"""Values by name: as optax finds them, but what is missing is an error."""

import jax
import jax.numpy as jnp
import optax
import pytest

import optcore
from optcore import tree

PARAMS = {"w": jnp.ones(2), "count": jnp.ones(3)}
RATE = optcore.linear_schedule(0.1, 0.0, 4)
TX = optcore.chain(optcore.trace(0.9), optcore.inject(optcore.adam(RATE)))
STATE = jax.jit(TX.init)(PARAMS)


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("b1", ["[1]InjectStatefulHyperparamsState.hyperparams['b1']"]),
        (
            "learning_rate",
            [
                "[1]InjectStatefulHyperparamsState.hyperparams['learning_rate']",
                "[1]InjectStatefulHyperparamsState.hyperparams_states['learning_rate']",
            ],
        ),
        ("ScaleByAdamState", ["[1]InjectStatefulHyperparamsState.inner_state[0]"]),
        ("hyperparams.learning_rate", None),
        ("momentum", []),
    ],
)
def test_all_values_that_go_by_a_name(key, paths):
    found = tree.get_all_with_path(STATE, key)
    if paths is None:
        assert [float(value) for _, value in found] == [pytest.approx(0.1)]
        return
    assert [jax.tree_util.keystr(path) for path, _ in found] == paths
    theirs = optax.tree_utils.tree_get_all_with_path(STATE, key)
    assert [jax.tree_util.keystr(path) for path, _ in theirs] == paths


def test_a_name_may_stand_inside_what_goes_by_it():
    found = [path for path, _ in tree.get_all_with_path({"a": {"a": 1, "b": {"a": 2}}}, "a")]
    assert [jax.tree_util.keystr(path) for path in found] == [
        "['a']",
        "['a']['a']",
        "['a']['b']['a']",
    ]


def test_the_one_value():
    assert tree.get(STATE, "b1") == jnp.float32(0.9)
    assert tree.get(STATE, "hyperparams.learning_rate") == jnp.float32(0.1)
    assert tree.get(STATE, "ScaleByAdamState") is STATE[1].inner_state[0]
    assert tree.get(STATE, "momentum", default=None) is None
    assert tree.get(STATE, "momentum", 0.5) == 0.5

    def is_array(path, value):
        return isinstance(value, jax.Array) and "hyperparams[" in jax.tree_util.keystr(path)

    assert tree.get(STATE, "learning_rate", filtering=is_array) == jnp.float32(0.1)

    def in_trace(path, _):
        return any(getattr(step, "tuple_name", "") == "TraceState" for step in path)

    assert tree.get(STATE, "w", filtering=in_trace).tolist() == [0.0, 0.0]


def test_what_is_missing_is_an_error_that_suggests():
    assert optax.tree_utils.tree_get(STATE, "lerning_rate") is None
    with pytest.raises(KeyError, match="no 'lerning_rate' in the tree; did you mean 'learning_r"):
        tree.get(STATE, "lerning_rate")
    with pytest.raises(KeyError, match=r"A constant is in no state: read\(tx, state, name\)"):
        tree.get(optcore.adamw(0.1).init(PARAMS), "learning_rate")
    with pytest.raises(KeyError, match="no 'b1' in the tree passes the filter"):
        tree.get(STATE, "b1", filtering=lambda path, value: False)
    scheduled = optcore.adamw(RATE).init(PARAMS)
    assert tree.get(scheduled, "learning_rate") == jnp.float32(0.1)


def test_several_values_are_an_error_that_lists():
    with pytest.raises(KeyError, match=r"several places: 1\.hyperparams\.learning_rate, 1\.hyp"):
        tree.get(STATE, "learning_rate")


def test_numbers_are_no_names_in_sequences():
    assert tree.get_all_with_path(STATE, 0) == []
    assert tree.get({0: "a", 1: ("c", "d")}, 0) == "a"
    assert tree.get_all_with_path({True: 1.0}, 1) == []
