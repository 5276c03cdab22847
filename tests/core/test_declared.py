"""Declared transformations: pytrees of their hyper-parameters, with value semantics."""

import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, -0.2])}
RATES = np.geomspace(1e-4, 1e-1, 16).tolist()


def grads_at(step):
    return jax.tree.map(lambda p: jnp.cos(p * (step + 1)), PARAMS)


def train(tx, steps=4):
    params, state = PARAMS, tx.init(PARAMS)
    for step in range(steps):
        updates, state = tx.update(grads_at(step), state, params=params)
        params = optcore.apply_updates(params, updates)
    return params


def close(got, expected, tolerance=2e-6):
    moved = jax.tree.map(lambda e, p: jnp.max(jnp.abs(e - p)), expected, PARAMS)
    error = jax.tree.map(lambda g, e: jnp.max(jnp.abs(g - e)), got, expected)
    assert all(
        e <= tolerance * m
        for e, m in zip(jax.tree.leaves(error), jax.tree.leaves(moved), strict=True)
    )


def test_leaves_are_the_hyperparameters():
    tx = optcore.adamw(1e-3, 0.8, eps=1e-4)
    assert jax.tree.leaves(tx) == [1e-3, 0.8, 0.999, 1e-4, 0.0, 1e-4]
    assert optcore.hyperparameters(tx)["b1"] == 0.8


def test_nested_hyperparameters_are_leaves_once():
    tx = optcore.chain(optcore.clip_by_global_norm(2.0), optcore.chain(optcore.sgd(0.1, 0.9)))
    assert jax.tree.leaves(tx) == [2.0, 0.1, 0.9]
    assert list(optcore.hyperparameters(tx)) == [
        "transforms.0.max_norm",
        "transforms.1.transforms.0.learning_rate",
        "transforms.1.transforms.0.momentum",
    ]


def test_leaves_have_names_as_paths():
    paths, _ = jax.tree_util.tree_flatten_with_path(optcore.chain(optcore.sgd(0.1)))
    assert jax.tree_util.keystr(paths[0][0]) == ".transforms[0].learning_rate"


def test_sixteen_optimizers_compile_once():
    run = jax.jit(chex.assert_max_traces(train, n=1))
    results = [run(optcore.adamw(rate, weight_decay=0.1 * rate)) for rate in RATES]
    distances = [float(optcore.global_norm(jax.tree.map(jnp.subtract, r, PARAMS))) for r in results]
    assert distances == sorted(distances)
    assert distances[-1] > 100 * distances[0]


def test_vmap_over_stacked_optimizers_is_sixteen_runs():
    members = [optcore.adamw(rate) for rate in RATES]
    mapped = jax.jit(jax.vmap(train))(optcore.stack(members))
    one = jax.jit(train)
    for i, tx in enumerate(members):
        close(jax.tree.map(lambda m, i=i: m[i], mapped), one(tx))


def with_a_rate():
    """The optimizers that `train` can run; most are marked slow."""
    for name, factory in sorted(optcore.registry("optimizer").items()):
        plain = "learning_rate" in factory.roles and not factory.per_example
        if plain and set(factory.needs) <= {"params"}:
            marks = [] if name in ("sgd", "adamw", "rmsprop", "lion") else [pytest.mark.slow]
            yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(with_a_rate()))
def test_hypergradients_are_finite_and_right(name):
    """The derivative with respect to the rate equals a central difference in float64."""
    tx = optcore.registry("optimizer")[name].example()

    def loss(tx):
        return sum(jnp.sum(p * p) for p in jax.tree.leaves(train(tx)))

    slopes = jax.jit(jax.grad(loss))(tx)
    assert all(bool(jnp.isfinite(x)) for x in jax.tree.leaves(slopes))
    rate = tx.arguments["learning_rate"]

    def at(value):
        return float(jax.jit(loss)(tx.replace(learning_rate=value)))

    step = 0.02 * rate
    numeric = (at(rate + step) - at(rate - step)) / (2 * step)
    assert float(slopes.arguments["learning_rate"]) == pytest.approx(numeric, rel=5e-2)


def test_decays_one_minus_b_is_taken_in_double_precision():
    """A constant `1 - b2` is not the float32 difference, which is off by 1.3e-5."""
    tx = optcore.scale_by_adam(b1=0.0, b2=0.9999)
    _, state = tx.update(jnp.float32(1.0), tx.init(jnp.float32(0.0)))
    assert float(state.nu) == np.float32(1 - 0.9999)
    assert np.float32(1 - 0.9999) != np.float32(1) - np.float32(0.9999)


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.float64(0.5), jnp.float32(0.5), np.array(0.5), 0.5]
)
def test_concrete_scalars_become_floats(value):
    tx = optcore.sgd(value)
    assert type(tx.arguments["learning_rate"]) is float
    assert tx == optcore.sgd(0.5)
    assert hash(tx) == hash(optcore.sgd(0.5))


def test_integers_become_floats():
    assert optcore.sgd(1) == optcore.sgd(1.0)
    assert repr(optcore.sgd(1)) == "sgd(learning_rate=1.0)"


def test_equality_is_by_value():
    assert optcore.adam(1e-3) == optcore.adam(1e-3)
    assert optcore.adam(1e-3) != optcore.adam(2e-3)
    assert optcore.adam(1e-3) != optcore.adamw(1e-3)
    assert optcore.adam(1e-3) != optcore.adam(1e-3, nesterov=True)
    assert optcore.adam(1e-3, mu_dtype="bfloat16") == optcore.adam(1e-3, mu_dtype=jnp.bfloat16)
    assert optcore.adam(optcore.linear_schedule(1, 0, 9)) == optcore.adam(
        optcore.linear_schedule(1, 0, 9)
    )
    assert optcore.chain(optcore.scale(1)) != optcore.chain(optcore.scale(1), optcore.scale(1))
    assert optcore.add_decayed_weights(0.1, {"a": True}) == optcore.add_decayed_weights(
        0.1, {"a": True}
    )
    assert optcore.add_decayed_weights(0.1, {"a": True}) != optcore.add_decayed_weights(
        0.1, {"a": False}
    )


def test_functions_are_equal_by_identity():
    def rate(count):
        return 0.1

    assert optcore.sgd(rate) == optcore.sgd(rate)
    assert optcore.sgd(rate) != optcore.sgd(lambda count: 0.1)


def test_an_optimizer_is_a_static_argument():
    count = 0

    def run(tx):
        nonlocal count
        count += 1
        return train(tx)

    jitted = jax.jit(run, static_argnums=0)
    for _ in range(3):
        jitted(optcore.adamw(1e-3))
    assert count == 1


def test_array_hyperparameters_cannot_be_hashed():
    tx = jax.tree.map(jnp.asarray, optcore.chain(optcore.adam(1e-3)))
    with pytest.raises(TypeError, match=r"'transforms/0/learning_rate' is an array"):
        hash(tx)


def test_the_pair_is_a_named_tuple():
    tx = optcore.adam(1e-3)
    init, update = tx
    assert isinstance(tx, optcore.GradientTransformation)
    assert (init, update) == (tx.init, tx.update)
    plain = tx._replace(update=lambda updates, state, params=None, **extra: (updates, state))
    assert type(plain) is optcore.GradientTransformation
    assert type(tx._make((init, update))) is optcore.GradientTransformation
    chex.assert_trees_all_equal(plain.init(PARAMS), tx.init(PARAMS))


def test_pickle_rebuilds_a_working_pair():
    tx = optcore.chain(optcore.clip(1.0), optcore.adamw(optcore.constant_schedule(1e-2)))
    restored = pickle.loads(pickle.dumps(tx))
    assert restored == tx
    chex.assert_trees_all_equal(train(restored), train(tx))


def test_an_optimizer_may_be_a_scan_carry():
    def body(carry, step):
        tx, params = carry
        updates, _ = tx.update(grads_at(0), tx.init(params), params=params)
        halved = jax.tree.map(lambda x: 0.5 * x, tx)
        return (halved, optcore.apply_updates(params, updates)), optcore.read(
            tx, tx.init(params), "learning_rate"
        )

    start = jax.tree.map(jnp.asarray, optcore.sgd(0.8))
    (last, _), rates = jax.lax.scan(body, (start, PARAMS), length=3)
    np.testing.assert_allclose(rates, [0.8, 0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(last.arguments["learning_rate"], 0.1, rtol=1e-6)


def test_every_hyperparameter_takes_a_schedule_whose_value_can_be_read():
    tx = optcore.adamw(
        optcore.linear_schedule(0.0, 1.0, 10),
        b1=lambda count: jnp.where(count < 2, 0.5, 0.9),
        weight_decay=optcore.piecewise_constant_schedule(0.1, {2: 0.0}),
    )
    state = tx.init(PARAMS)
    assert float(optcore.read(tx, state, "learning_rate")) == 0.0
    for step in range(4):
        _, state = tx.update(grads_at(step), state, params=PARAMS)
    assert float(optcore.read(tx, state, "learning_rate")) == np.float32(0.3)
    assert float(optcore.read(tx, state, "b1")) == np.float32(0.9)
    assert float(optcore.read(tx, state, "weight_decay")) == 0.0
    assert float(optcore.read(tx, state, "b2")) == np.float32(0.999)
    assert int(state.count) == 4
    assert set(state.hyperparams) == {"learning_rate", "b1", "weight_decay"}


def test_a_scheduled_rate_is_the_rate_of_each_step():
    schedule = optcore.piecewise_constant_schedule(0.5, {1: 0.5, 2: 0.0})
    tx = optcore.sgd(schedule)
    state = tx.init(jnp.float32(0.0))
    steps = []
    for _ in range(3):
        update, state = tx.update(jnp.float32(1.0), state)
        steps.append(float(update))
    assert steps == [-0.5, -0.25, 0.0]


def test_read_finds_values_in_nested_optimizers_and_sweeps():
    tx = optcore.named_chain(
        ("clip", optcore.clip_by_global_norm(optcore.linear_schedule(2.0, 1.0, 4))),
        ("first", optcore.scale(optcore.linear_schedule(1.0, 0.0, 4))),
        ("second", optcore.scale(0.3)),
    )
    _, state = jax.jit(lambda: tx.update(grads_at(0), tx.init(PARAMS)))()
    assert float(optcore.read(tx, state, "max_norm")) == 2.0
    assert float(optcore.read(tx, state, "first.step_size")) == 1.0
    assert float(optcore.read(tx, state, "second.step_size")) == np.float32(0.3)
    with pytest.raises(KeyError, match=r"ambiguous.*first\.step_size, second\.step_size"):
        optcore.read(tx, state, "step_size")
    with pytest.raises(KeyError, match="did you mean 'step_size'"):
        optcore.read(tx, state, "step_sze")
    sweep = optcore.stack([optcore.sgd(0.1), optcore.sgd(0.2)])
    np.testing.assert_allclose(optcore.read(sweep, None, "learning_rate"), [0.1, 0.2], rtol=1e-6)


def test_read_refuses_the_state_of_another():
    tx = optcore.sgd(optcore.constant_schedule(1.0))
    with pytest.raises(KeyError, match="does it belong to this optimizer"):
        optcore.read(tx, optcore.sgd(0.1).init(PARAMS), "learning_rate")
    with pytest.raises(TypeError, match="declared"):
        optcore.read(optcore.GradientTransformation(*tx), None, "learning_rate")


def test_scheduled_values_are_float32_for_low_precision_parameters():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    tx = optcore.adamw(optcore.constant_schedule(1e-3), b2=optcore.constant_schedule(0.999))
    updates, state = tx.update(params, tx.init(params), params=params)
    assert state.hyperparams["b2"].dtype == jnp.float32
    assert float(state.hyperparams["b2"]) == np.float32(0.999)
    assert all(bool(jnp.all(jnp.isfinite(u))) for u in jax.tree.leaves(updates))


def test_eager_calls_are_compiled_once_for_equal_optimizers():
    with jax.log_compiles(False):
        tx = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.adamw(1e-3))
        state = tx.init(PARAMS)
        tx.update(grads_at(0), state, params=PARAMS)
    again = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.adamw(1e-3))
    grads = jax.block_until_ready(grads_at(0))
    with oracles.count_compilations() as programs:
        for _ in range(3):
            _, state = again.update(grads, state, params=PARAMS)
    assert not programs


def test_eager_calls_see_what_a_lambda_sees():
    rate = 0.5
    tx = optcore.sgd(lambda count: jnp.float32(rate))
    state = tx.init(jnp.float32(0.0))
    first, state = tx.update(jnp.float32(1.0), state)
    rate = 0.25
    second, state = tx.update(jnp.float32(1.0), state)
    assert (float(first), float(second)) == (-0.5, -0.25)


def test_an_optimizer_of_arrays_does_not_leak_a_trace():
    tx = jax.tree.map(jnp.asarray, optcore.adamw(0.1))
    with jax.checking_leaks():
        first = jax.jit(lambda: train(tx))()
    # Parameters near 3 that moved by 0.4 are rounded to 6e-7 of that, once a step.
    close(train(tx), first, tolerance=5e-6)


def test_config_holds_plain_data_only():
    tx = optcore.chain(
        optcore.clip_by_global_norm(float("inf")),
        optcore.adamw(
            optcore.join_schedules(
                [optcore.linear_schedule(0, 1, 3), optcore.cosine_decay_schedule(1, 9)], [3]
            ),
            mu_dtype=jnp.bfloat16,
            mask={"w": True, "b": False},
        ),
    )
    config = optcore.to_config(tx)
    assert optcore.from_config(config) == tx
    assert config["format"] == 1

    def plain(x):
        if isinstance(x, dict):
            return all(isinstance(k, str) and plain(v) for k, v in x.items())
        if isinstance(x, list):
            return all(map(plain, x))
        return x is None or isinstance(x, (bool, int, float, str))

    assert plain(config)


def test_config_refuses_what_it_cannot_write():
    with pytest.raises(TypeError, match=r"sgd: learning_rate is the function .*<lambda>"):
        optcore.to_config(optcore.sgd(lambda count: 0.1))
    with pytest.raises(TypeError, match="chain: transforms"):
        optcore.to_config(optcore.chain(optcore.GradientTransformation(*optcore.scale(1.0))))
    with pytest.raises(TypeError, match="expected a declared"):
        optcore.to_config(3)
    with pytest.raises(KeyError, match="no factory 'optcore:adan_of_nowhere'"):
        optcore.from_config({"format": 1, "factory": "optcore:adan_of_nowhere", "arguments": {}})
    with pytest.raises(ValueError, match="format 1, got 99"):
        optcore.from_config({"format": 99, "factory": "optcore:sgd", "arguments": {}})
    with pytest.raises(ValueError, match="b1 must lie in"):
        optcore.from_config(
            {"format": 1, "factory": "optcore:adam", "arguments": {"learning_rate": 1.0, "b1": 2.0}}
        )
