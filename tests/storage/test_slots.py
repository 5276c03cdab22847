"""Every state field that can hold a moment has a kind, and rules go before it."""

import jax
import jax.numpy as jnp
import pytest

import optcore
from optcore.storage import SLOTS
from optcore.storage._slots import field_of, kind_of
from tests.test_public_api import states

OTHERS = {
    *("inner", "inner_state", "inner_states", "inner_opt_state", "fast_state", "skip_state"),
    *("hyperparams", "hyperparams_states", "measurements", "key", "found_nan", "last_finite"),
    *("count", "mini_step", "gradient_step", "step", "steps_since_sync", "last_seen"),
    *("skipped", "finite_count", "notfinite_count", "total_notfinite"),
    *("plateau_count", "cooldown_count", "scale", "best_value", "avg_value", "weight"),
    *("correction", "scales"),
}
"""Fields with states, or with numbers and integers, which are never encoded."""


def test_every_field_with_arrays_has_a_kind():
    """A new optimizer whose state has a new word cannot pass by unseen."""
    fields = {field for state in states().values() for field in state._fields}
    assert fields <= OTHERS | set(SLOTS)
    assert not OTHERS & set(SLOTS)


def paths(state):
    found, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): path for path, _ in found}


def test_the_first_field_counts():
    """Parameters may be called like a moment."""
    params = optcore.hyper.ScheduledState(jnp.zeros(2), {}, {"nu": jnp.zeros(2)})
    found = paths(optcore.trace(0.9).init({"mu": params}))
    assert field_of(found["trace/mu/inner/nu"]) == "trace"
    assert kind_of(found["trace/mu/inner/nu"], {}) == "signed"
    assert kind_of(found["trace/mu/inner/nu"], {"/nu$": "nonnegative"}) == "nonnegative"
    assert field_of(paths({"mu": jnp.zeros(2)})["mu"]) is None


def test_rules_that_disagree():
    rules = {"mu": "signed", "w": "float32"}
    with pytest.raises(ValueError, match="rules disagree about '0/mu/w'"):
        optcore.store(optcore.adam(1e-3), rules=rules).init({"w": jnp.zeros(2)})


def test_a_rule_that_matches_nothing():
    tx = optcore.store(optcore.adam(1e-3), rules={"kernel$": "float32"})
    params = {"dense": jnp.zeros(2), "bias": jnp.zeros(())}
    with pytest.raises(ValueError, match="'kernel\\$' matches nothing in the state: '0/count', "):
        tx.init(params)
    with pytest.raises(ValueError, match="matches nothing"):
        jax.eval_shape(tx.init, params)
    tx.init({"kernel": jnp.zeros(2)})
    # Nothing can match where there is no parameter.
    tx.init({})
