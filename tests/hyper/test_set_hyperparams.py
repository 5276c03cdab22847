"""Replacing hyper-parameters in the middle of a run, without recompiling."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optcore

PARAMS = {"w": jnp.array([1.0, -2.0])}
GRADS = {"w": jnp.array([2.0, -4.0])}
RATE = optcore.linear_schedule(1.0, 0.0, 4)


def test_a_new_rate_is_used_and_nothing_is_compiled_anew():
    tx = optcore.chain(optcore.clip(1.0), optcore.inject(optcore.adamw(0.5)))
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(lambda s: tx.update(GRADS, s, PARAMS), n=1))
    state = tx.init(PARAMS)
    updates, state = step(state)
    first = updates["w"]
    for value in (0.25, 1, np.float64(0.125), jnp.bfloat16(0.5), jnp.float32(0.0)):
        state = optcore.set_hyperparams(tx, state, learning_rate=value, weight_decay=0.0)
        assert float(optcore.read(tx, state, "learning_rate")) == float(value)
        updates, state = step(state)
        # Of a constant gradient every direction of Adam is its sign.
        np.testing.assert_allclose(updates["w"], np.float32(value) * np.array([-1, 1]), rtol=1e-5)
    assert float(optcore.read(tx, state, "learning_rate")) == 0.0
    assert np.all(first != 0)


def test_the_state_before_is_not_changed():
    tx = optcore.inject(optcore.sgd(0.5))
    before = tx.init(PARAMS)
    after = optcore.set_hyperparams(tx, before, learning_rate=0.25)
    assert (before.hyperparams["learning_rate"], after.hyperparams["learning_rate"]) == (0.5, 0.25)
    assert jax.tree.structure(before) == jax.tree.structure(after)


def test_it_works_inside_a_jitted_step():
    tx = optcore.inject(optcore.sgd(0.5))

    @jax.jit
    def step(state, rate):
        return tx.update(GRADS, optcore.set_hyperparams(tx, state, learning_rate=rate))[0]["w"]

    assert step(tx.init(PARAMS), 0.25).tolist() == [-0.5, 1.0]


def test_several_models_at_once():
    tx = optcore.inject(optcore.sgd(0.5))
    state = jax.vmap(lambda p: tx.init({"w": p}))(jnp.ones((3, 2)))
    one = optcore.set_hyperparams(tx, state, learning_rate=0.25)
    assert one.hyperparams["learning_rate"].tolist() == [0.25, 0.25, 0.25]
    each = optcore.set_hyperparams(tx, state, learning_rate=jnp.array([1.0, 2.0, 3.0]))
    assert each.hyperparams["learning_rate"].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"has shape \(3,\), got \(2,\)"):
        optcore.set_hyperparams(tx, state, learning_rate=jnp.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"learning_rate must lie in \[0, inf\), got -2.0"):
        optcore.set_hyperparams(tx, state, learning_rate=jnp.array([1.0, -2.0, 3.0]))


def test_shardings_stay():
    tx = optcore.inject(optcore.sgd(0.5))
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("d",)), PartitionSpec())
    state = jax.device_put(tx.init(PARAMS), sharding)
    after = optcore.set_hyperparams(tx, state, learning_rate=0.25)
    assert after.hyperparams["learning_rate"].sharding == sharding


def test_one_of_several_is_found_by_path():
    tx = optcore.graft(optcore.inject(optcore.sgd(0.5)), optcore.inject(optcore.adam(0.25)))
    state = tx.init(PARAMS)
    with pytest.raises(KeyError, match=r"give one of magnitude\.inner\.learning_rate, direction"):
        optcore.set_hyperparams(tx, state, learning_rate=0.1)
    path = "direction.inner.learning_rate"
    state = optcore.set_hyperparams(tx, state, **{path: 0.125, "b1": 0.5})
    assert optcore.read(tx, state, path) == 0.125
    assert optcore.read(tx, state, "b1") == 0.5
    assert optcore.read(tx, state, "magnitude.inner.learning_rate") == 0.5


def test_several_numbers_under_one_name():
    tx = optcore.inject(optcore.aggmo(0.1, (0.0, 0.5)))
    state = optcore.set_hyperparams(tx, tx.init(PARAMS), betas=(0.25, 0.75))
    assert optcore.read(tx, state, "betas").tolist() == [0.25, 0.75]
    for wrong, pattern in (((0.5,), "holds 2 numbers"), (0.5, "holds 2 numbers")):
        with pytest.raises(ValueError, match=pattern):
            optcore.set_hyperparams(tx, state, betas=wrong)
    with pytest.raises(ValueError, match="betas must lie in"):
        optcore.set_hyperparams(tx, state, betas=(0.5, 1.5))


@pytest.mark.parametrize(
    ("values", "error", "pattern"),
    [
        ({"learning_rte": 0.1}, KeyError, "did you mean 'learning_rate'"),
        ({"b1": 1.0}, ValueError, r"b1 must lie in \[0, 1\), got 1.0"),
        ({"b1": float("nan")}, ValueError, "b1 must lie in"),
        ({"b1": "0.5"}, TypeError, "did you mean 0.5 without quotes"),
        ({"b1": True}, TypeError, "got the bool"),
        ({"b1": RATE}, TypeError, "must be a number, got linear_schedule"),
        ({"b1": None}, TypeError, "must be a number, got None"),
        ({"learning_rate": 0.1}, ValueError, "follows a schedule, which would overwrite"),
        ({"step_size": 0.1}, ValueError, "follows a schedule"),
        ({"max_delta": 0.1}, ValueError, "is a constant of .* and not in its state"),
    ],
)
def test_what_is_refused(values, error, pattern):
    tx = optcore.chain(optcore.clip(1.0), optcore.inject(optcore.adam(RATE)), optcore.scale(RATE))
    with pytest.raises(error, match=pattern):
        optcore.set_hyperparams(tx, tx.init(PARAMS), **values)


def test_of_other_libraries_it_knows_nothing():
    tx = optax.inject_hyperparams(optax.sgd)(0.1)
    with pytest.raises(TypeError, match="needs a declared transformation"):
        optcore.set_hyperparams(tx, tx.init(PARAMS), learning_rate=0.2)


def test_undeclared_numbers_have_no_range_but_are_numbers():
    tx = optcore.hyper.inject_foreign(optax.sgd, {"learning_rate": 0.5, "momentum": 0.25})
    state = optcore.set_hyperparams(tx, tx.init(PARAMS), learning_rate=-1.0, momentum=0.0)
    assert tx.update(GRADS, state)[0]["w"].tolist() == GRADS["w"].tolist()
    with pytest.raises(TypeError, match="must be a number"):
        optcore.set_hyperparams(tx, state, learning_rate="fast")
    scheduled = optcore.hyper.inject_foreign(
        optax.sgd, {}, {"learning_rate": optax.linear_schedule(1.0, 0.0, 3)}
    )
    with pytest.raises(ValueError, match=r"schedules.learning_rate' follows a schedule"):
        optcore.set_hyperparams(scheduled, scheduled.init(PARAMS), learning_rate=0.1)
