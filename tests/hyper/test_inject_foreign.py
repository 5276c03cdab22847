"""Hyper-parameters of factories that declare none, in the state of what they make."""

import json
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore


@pytest.fixture(autouse=True)
def _standard_promotion():
    """optax promotes dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        yield


PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array([0.5])}
GRADS = {"w": jnp.array([0.3, -0.1]), "b": jnp.array([2.0])}


def mine(learning_rate, decay=0.5, steps=3, *, nesterov=False, **options):
    """A factory that declares nothing."""
    assert isinstance(steps, int)
    assert options in ({}, {"clip": options.get("clip")})
    momentum = optcore.trace(decay, nesterov=nesterov)
    clips = [optcore.clip(options["clip"])] if options else []
    return optcore.chain(*clips, momentum, optcore.scale_by_learning_rate(learning_rate))


def steps(tx, count=3, params=PARAMS):
    state, made = tx.init(params), []
    for _ in range(count):
        updates, state = tx.update(GRADS, state, params)
        made.append(updates)
    return made, state


def injected(factory, schedules=None, static=None, **hyperparams):
    return optcore.hyper.inject_foreign(factory, hyperparams, schedules, static)


def test_optax_factories_do_what_optax_does():
    rate = {"learning_rate": optax.linear_schedule(0.1, 0.0, 5)}
    for factory, schedules, numbers, static in [
        (optax.adamw, rate, {"weight_decay": 0.1, "b2": 0.9}, {}),
        (optax.sgd, {}, {"learning_rate": 0.1, "momentum": 0.5}, {"nesterov": True}),
        (optax.lion, rate, {"b1": 0.5}, {}),
    ]:
        ours = injected(factory, schedules, static, **numbers)
        theirs = optax.inject_hyperparams(factory)(**schedules, **numbers, **static)
        (made, state), (expected, there) = steps(ours), steps(theirs)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), made, expected)
        for name, value in state.hyperparams.items():
            assert value == np.float32(there.hyperparams[name])
        assert optcore.read(ours, state, "learning_rate") == state.hyperparams["learning_rate"]


def test_a_function_of_ones_own():
    tx = injected(mine, None, {"nesterov": True}, learning_rate=0.25, clip=1.5)
    state = tx.init(PARAMS)
    assert sorted(state.hyperparams) == ["clip", "learning_rate"]
    made, _ = steps(tx)
    expected, _ = steps(mine(0.25, nesterov=True, clip=1.5))
    chex.assert_trees_all_close(made, expected, rtol=1e-6)
    state = optcore.set_hyperparams(tx, state, clip=0.25, learning_rate=1.0)
    once = optcore.chain(optcore.clip(0.25), optcore.trace(0.5), optcore.scale(-1.0))
    chex.assert_trees_all_close(
        tx.update(GRADS, state)[0],
        mine(1.0, nesterov=True, clip=0.25).update(GRADS, once.init(PARAMS))[0],
    )


def test_schedules_leave_their_values_and_counts():
    tx = injected(mine, {"learning_rate": optcore.linear_schedule(0.5, 0.0, 4)}, decay=0.9)
    _, after = steps(tx)
    assert after.hyperparams["learning_rate"] == 0.25
    assert after.hyperparams["decay"] == np.float32(0.9)
    assert after.hyperparams_states["learning_rate"] == 3


def test_dtypes_and_transformations_are_static():
    tx = injected(optax.adam, None, {"mu_dtype": jnp.bfloat16}, learning_rate=0.1)
    assert steps(tx)[1].inner_state[0].mu["w"].dtype == jnp.bfloat16
    static = {"inner": optax.sgd(0.1), "max_consecutive_errors": 3}
    assert injected(optax.apply_if_finite, None, static).init(PARAMS).hyperparams == {}


def test_it_is_a_value_and_plain_data():
    def make(rate):
        return injected(optax.adam, learning_rate=rate)

    assert make(0.1) == make(0.1) != make(0.2)
    assert hash(make(0.1)) == hash(make(0.1))
    tx = injected(optax.adam, {"learning_rate": optcore.linear_schedule(0.1, 0.0, 5)})
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert optcore.from_config(json.loads(json.dumps(optcore.to_config(tx)))) == tx
    sweep = optcore.stack([make(0.1), make(0.2)])
    rates = jax.vmap(lambda tx: tx.init(PARAMS).hyperparams["learning_rate"])(sweep)
    np.testing.assert_allclose(rates, [0.1, 0.2], rtol=1e-6)


def test_extra_arguments_reach_those_that_take_them():
    foreign = injected(optax.contrib.reduce_on_plateau, factor=0.5)
    foreign.update(GRADS, foreign.init(PARAMS), value=1.0, unknown=2.0)
    plain = injected(optax.sgd, learning_rate=0.5)
    plain.update(GRADS, plain.init(PARAMS), unknown=2.0)


def test_what_a_factory_makes_is_known():
    """What it takes, and that its state holds values too."""

    def make(rate):
        halves = optcore.scale(optcore.linear_schedule(1.0, 0.0, 4))
        return optcore.chain(optcore.sgd(rate), halves, optcore.reduce_on_plateau())

    constant = injected(make, rate=0.5)
    scheduled = injected(make, {"rate": optcore.linear_schedule(0.5, 0.0, 8)})
    for first in (constant, scheduled):
        tx = optcore.chain(first, optcore.scale(optcore.exponential_decay(2.0, 1, 0.5)))
        state = tx.init(PARAMS)
        _, state = optcore.strict(tx).update(GRADS, state, value=1.0)
        assert float(optcore.read(tx, state, "rate")) == 0.5
        assert float(optcore.read(tx, state, "step_size")) == 2.0
        with pytest.raises(TypeError, match="nothing in it takes 'loss'; it takes 'value'"):
            optcore.strict(tx).update(GRADS, state, loss=1.0)
        with pytest.raises(TypeError, match="did you mean 'value'"):
            tx.update(GRADS, state, valeu=1.0)
    tx = optcore.chain(constant, optcore.scale(lambda count: 2.0))
    state = optcore.set_hyperparams(tx, tx.init(PARAMS), rate=0.25)
    assert tx.update(GRADS, state, value=1.0)[0]["b"].tolist() == [-1.0]


@pytest.mark.parametrize(
    ("make", "error", "pattern"),
    [
        (
            lambda: optcore.hyper.inject_foreign(mine, {"learning_rate": 0.1}, None, None, "f2"),
            ValueError,
            "float32 or wider",
        ),
        (lambda: injected(mine, rate=0.1), TypeError, "missing"),
        (
            lambda: injected(optax.sgd, rate=0.1),
            TypeError,
            "sgd takes no argument 'rate'; it takes learning_rate",
        ),
    ],
)
def test_what_is_refused(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make().init(PARAMS)
