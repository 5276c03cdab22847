"""Reading the parameters to evaluate out of any state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

PARAMS = {"w": jnp.arange(3.0), "b": None, "n": jnp.int32(2)}
GRADS = {"w": jnp.ones(3), "b": None, "n": None}


def two_steps(tx, params=PARAMS, grads=GRADS):
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(grads, state, params=params)
        params = optcore.apply_updates(params, updates)
    return state, params


@pytest.mark.parametrize("tx", [optcore.sgd(0.1), optcore.adamw(0.1, weight_decay=0.1)], ids=repr)
def test_plain_optimizers_give_the_parameters(tx):
    state, params = two_steps(tx)
    evaluated = optcore.eval_params(state, params)
    assert evaluated["w"] is params["w"]
    assert evaluated["n"] is params["n"]


def test_foreign_optimizers_give_the_parameters():
    optax = pytest.importorskip("optax", reason="reads a state of optax")
    state = optax.chain(optax.clip(1.0), optax.adam(1e-3)).init(PARAMS["w"])
    assert optcore.eval_params(state, PARAMS["w"]) is PARAMS["w"]


SLOW = optcore.lookahead(optcore.sgd(1.0), 2, 0.5)


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (SLOW, -1.0),
        (optcore.chain(optcore.clip(1.0), SLOW), -1.0),
        (optcore.named_chain(("all", SLOW)), -1.0),
        (optcore.asgd(1.0, lambd=0.0, t0=0), -2.0),
        (optcore.asgd(1.0, lambd=0.0, t0=5), -2.0),
        (optcore.with_average(optcore.sgd(1.0), "tail"), -1.5),
        (optcore.with_average(optcore.sgd(1.0), "lawa", window=1), -2.0),
        (optcore.with_average(SLOW, "tail"), -1.0),
        (optcore.with_average(optcore.asgd(1.0, lambd=0.0, t0=0), "tail"), -1.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("run", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_knows_better(tx, expected, run):
    state, params = two_steps(tx)
    evaluated = run(optcore.eval_params)(state, params)
    np.testing.assert_allclose(evaluated["w"], PARAMS["w"] + expected, rtol=1e-6)
    assert evaluated["w"].dtype == params["w"].dtype
    assert evaluated["b"] is None
    assert evaluated["n"] == 2


@pytest.mark.parametrize(
    "tx",
    [
        SLOW,
        optcore.asgd(1.0),
        *(optcore.with_average(optcore.sgd(1.0), "lawa", window=2, begin=n) for n in (0, 9)),
        optcore.with_average(optcore.sgd(1.0), "ema", decay=0.9),
    ],
    ids=repr,
)
def test_before_the_first_update_it_is_the_start(tx):
    evaluated = optcore.eval_params(tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(evaluated["w"], PARAMS["w"])


@pytest.mark.parametrize(
    ("tx", "expected"), [(SLOW, -1.0), (optcore.asgd(1.0, lambd=0.0, t0=0), -2.0)], ids=repr
)
def test_a_group_that_knows_better(tx, expected):
    params, grads = {**PARAMS, "other": jnp.ones(2)}, {**GRADS, "other": jnp.ones(2)}
    state, params = two_steps(optcore.route(("w", tx), ("*", optcore.sgd(3.0))), params, grads)
    evaluated = optcore.eval_params(state, params)
    np.testing.assert_allclose(evaluated["w"], PARAMS["w"] + expected, rtol=1e-6)
    assert evaluated["other"] is params["other"]


def test_pairs():
    pair = optcore.compose.LookaheadParams(fast={"w": jnp.ones(2)}, slow={"w": jnp.zeros(2)})
    state = optcore.sgd(0.1).init(pair.fast)
    assert optcore.eval_params(state, pair) is not pair
    assert optcore.eval_params(state, pair)["w"] is pair.slow["w"]
    tx = optcore.with_average(optcore.lookahead(optcore.sgd(1.0), 1, 0.5), "tail")
    state = tx.init(pair)
    for _ in range(2):
        updates, state = tx.update({"w": -jnp.ones(2)}, state, params=pair)
        pair = optcore.apply_updates(pair, updates)
    # Slow: (1 + 1) / 2, then 1 + 1/2.
    assert optcore.eval_params(state, pair)["w"].tolist() == [1.25, 1.25]


def test_refuses():
    tx = optcore.with_average(optcore.sgd(0.1), "tail")
    state = tx.init({"w": jnp.zeros(2)})
    with pytest.raises(TypeError, match=r"the call is eval_params\(state, params\)"):
        optcore.eval_params({"w": jnp.zeros(2)}, state)
    with pytest.raises(ValueError, match="average in WithAverageState belongs to other parameters"):
        optcore.eval_params(state, {"v": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"'w' has shape \(2,\), the parameter \(3,\)"):
        optcore.eval_params(state, {"w": jnp.zeros(3)})
    twice = optcore.graft(optcore.asgd(0.1), optcore.asgd(0.1))
    with pytest.raises(ValueError, match="2 averages of 'w'"):
        optcore.eval_params(twice.init({"w": jnp.zeros(2)}), {"w": jnp.zeros(2)})
