"""Flax linen's `TrainState`, which keeps the optimizer as a static field."""

import jax
import jax.numpy as jnp
import pytest

import optcore

from . import Traces, arrays, assert_close, both_kinds, load, regression

linen = load("flax.linen")
train_state = load("flax.training.train_state")


class Network(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(1)(linen.relu(linen.Dense(8)(x)))


NETWORK = Network()


def _state(tx):
    params = NETWORK.init(jax.random.key(0), regression()[0])["params"]
    return train_state.TrainState.create(apply_fn=NETWORK.apply, params=params, tx=tx)


def _loss(params, x, y):
    return jnp.mean((NETWORK.apply({"params": params}, x) - y) ** 2)


def _step(state, x, y):
    loss, grads = jax.value_and_grad(_loss)(state.params, x, y)
    return state.apply_gradients(grads=grads), loss


@both_kinds
def test_trains_like_a_hand_written_loop(kind):
    tx = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.adamw(0.05))
    state, step = _state(kind(tx)), jax.jit(_step)
    params, own = state.params, tx.init(state.params)
    losses = []
    for _ in range(30):
        state, loss = step(state, *regression())
        losses.append(float(loss))

    @jax.jit
    def by_hand(params, own):
        grads = jax.grad(_loss)(params, *regression())
        updates, own = tx.update(grads, own, params)
        return optcore.apply_updates(params, updates), own

    for _ in range(30):
        params, own = by_hand(params, own)
    assert losses[-1] < 0.1 * losses[0]
    assert_close(state.params, params, 2e-4)


@both_kinds
def test_a_recreated_optimizer_compiles_nothing_anew(kind):
    traces = Traces()
    step = jax.jit(traces.counted(_step))
    for _ in range(3):
        schedule = optcore.cosine_decay_schedule(0.1, 10)
        step(_state(kind(optcore.adamw(schedule, weight_decay=0.1))), *regression())
    assert traces.count == 1


@both_kinds
def test_another_rate_compiles_anew(kind):
    # A static field is compared by value, also where the values are arrays.
    traces = Traces()
    step = jax.jit(traces.counted(_step))
    ends = [step(_state(kind(optcore.sgd(rate))), *regression())[0] for rate in (0.1, 0.2)]
    assert traces.count == 2
    first, second = (end.params["Dense_0"]["kernel"] for end in ends)
    assert not jnp.allclose(first, second)


def test_an_array_where_a_hash_is_needed_is_named():
    tx = arrays(optcore.adam(0.1))
    with pytest.raises(TypeError, match=r"'learning_rate' is an array.* Python floats"):
        hash(_state(tx).tx)

    @jax.jit
    def step(tx, params):
        return tx.update(params, tx.init(params))[0]

    with pytest.raises(ValueError, match=r"'learning_rate' is an array.* Python floats"):
        jax.jit(step, static_argnums=0)(tx, jnp.ones(2))


@both_kinds
def test_the_rate_can_be_read(kind):
    state = _state(kind(optcore.sgd(optcore.linear_schedule(1.0, 0.0, 4))))
    for _ in range(2):
        state, _ = jax.jit(_step)(state, *regression())
    assert float(optcore.read(state.tx, state.opt_state, "learning_rate")) == 0.75
