"""Values that someone puts into a state by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.test_wrappers import WRAPPERS, around_all

PARAMS, GRADS = {"w": jnp.zeros((2, 3))}, {"w": jnp.ones((2, 3))}
NUMBERS = {
    "int": 0,
    "float": 0.25,
    "bfloat16": jnp.bfloat16(0.25),
    "float16": np.float16(0.25),
    "float64": np.float64(0.25),
    "int64": np.int64(0),
    "array of NumPy": np.array(0.25),
}


def scale(rate):
    """A factory that declares nothing."""
    return optcore.scale(-rate)


MAKE = {
    "inject": lambda: optcore.inject(optcore.sgd(0.5)),
    "foreign": lambda: optcore.hyper.inject_foreign(scale, {"rate": 0.5}),
    "optax's": lambda: optcore.hyper.inject_foreign(optax.sgd, {"learning_rate": 0.5}),
}


def rate_in(state):
    return next(iter(state.hyperparams))


@pytest.mark.parametrize("wide", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize("value", NUMBERS.values(), ids=NUMBERS.keys())
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_it_is_taken_at_the_width_of_the_state(make, value, wide):
    with oracles.double_precision(wide):
        tx, params, grads = make(), jnp.zeros(2, jnp.float32), jnp.ones(2, jnp.float32)
        state = tx.init(params)
        types = jax.tree.map(jax.typeof, state)
        state.hyperparams[rate_in(state)] = value
        for update in (tx.update, jax.jit(tx.update)):
            updates, after = update(grads, state)
            assert updates.tolist() == [-float(value)] * 2
            assert updates.dtype == np.float32
            assert jax.tree.map(jax.typeof, after) == types


def test_a_wide_state_takes_a_wide_number():
    with oracles.double_precision():
        tx = optcore.inject(optcore.sgd(0.5), hyperparam_dtype="float64")
        state = tx.init(jnp.zeros(2))
        state.hyperparams["learning_rate"] = 0.1
        updates, state = tx.update(jnp.ones(2), state)
        assert updates.tolist() == [-0.1] * 2
        assert state.hyperparams["learning_rate"].dtype == np.float64


@pytest.mark.parametrize("name", WRAPPERS)
def test_it_is_taken_inside_every_wrapper(name):
    if name in ("inject", "dynamic_loss_scale"):
        # The first has the numbers itself, and scaled gradients are another test's.
        return
    subject = around_all(name, optcore.inject(optcore.sgd(0.5)))
    tx, state = subject.tx, subject.tx.init(PARAMS)
    types = jax.tree.map(jax.typeof, state)

    def is_injected(node):
        return hasattr(node, "hyperparams_states")

    def put(number):
        return jax.tree.map(
            lambda x: x._replace(hyperparams={"learning_rate": number}) if is_injected(x) else x,
            state,
            is_leaf=is_injected,
        )

    (expected, _), (got, after) = (
        tx.update(GRADS, put(number), PARAMS, **subject.extra) for number in (jnp.float32(2), 2)
    )
    np.testing.assert_array_equal(got["w"], expected["w"])
    assert jax.tree.map(jax.typeof, after) == types


def test_a_step_that_is_left_out_keeps_the_types_too():
    tx = optcore.guard(optcore.inject(optcore.sgd(0.5)))
    state = tx.init(PARAMS)
    types = jax.tree.map(jax.typeof, state)
    state.inner.hyperparams["learning_rate"] = 1
    _, state = tx.update({"w": jnp.full((2, 3), jnp.nan)}, state, PARAMS)
    assert jax.tree.map(jax.typeof, state) == types
    assert tx.update(GRADS, state, PARAMS)[0]["w"].tolist() == [[-1.0] * 3] * 2


def test_several_numbers():
    tx = optcore.inject(optcore.aggmo(0.5, (0.0, 0.5)))
    state = tx.init(jnp.zeros(2))
    state.hyperparams["betas"] = [0, jnp.bfloat16(0.25)]
    _, after = tx.update(jnp.ones(2), state)
    assert [x.item() for x in after.hyperparams["betas"]] == [0.0, 0.25]
    assert isinstance(after.hyperparams["betas"], tuple)
    state.hyperparams["betas"] = 0.5
    with pytest.raises(TypeError, match=r"at state.hyperparams\['betas'\] expected a tuple of 2"):
        tx.update(jnp.ones(2), state)


def test_what_a_schedule_gives_is_written_anew():
    tx = optcore.sgd(optcore.constant_schedule(0.5))
    state = tx.init(jnp.zeros(2))
    state.hyperparams["learning_rate"] = 0
    updates, state = tx.update(jnp.ones(2), state)
    assert updates.tolist() == [-0.5] * 2
    assert state.hyperparams["learning_rate"].item() == 0.5


@pytest.mark.parametrize(
    ("value", "error", "pattern"),
    [
        ("high", TypeError, "must be a real number, got an object of type str"),
        (True, TypeError, "must be a real number, got (bool|the Python bool)"),
        (None, TypeError, "must be a real number, got None"),
        (1j, TypeError, "must be a real number, got (complex64|the Python complex)"),
        (optcore.constant_schedule(1.0), TypeError, ".*give a schedule to the factory"),
        (np.ones(2, np.float32), ValueError, r"must be float32\[\], got float32\[2\].*vmap"),
        ([0.5, 0.5], TypeError, "must be a real number, got an object of type list"),
    ],
)
@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_what_cannot_be_a_number_is_refused_by_name(make, value, error, pattern):
    tx = make()
    state = tx.init(jnp.zeros(2))
    name = rate_in(state)
    state.hyperparams[name] = value
    with pytest.raises(error, match=rf"hyperparams\['{name}'\] in the state {pattern}"):
        tx.update(jnp.ones(2), state)


def test_set_hyperparams_is_not_rounded_by_what_was_put_there():
    tx = optcore.inject(optcore.sgd(0.5))
    for put in (0, jnp.bfloat16(1), np.float64(1)):
        state = tx.init(jnp.zeros(2))
        state.hyperparams["learning_rate"] = put
        state = optcore.set_hyperparams(tx, state, learning_rate=0.1)
        assert state.hyperparams["learning_rate"] == np.float32(0.1)
        assert state.hyperparams["learning_rate"].dtype == np.float32


def test_a_step_count_may_be_an_int():
    for wide in (False, True):
        for tx in (optcore.scale(lambda t: 1.0 * t), optcore.scale_by_adam()):
            with oracles.double_precision(wide), jax.numpy_dtype_promotion("standard"):
                params = jnp.zeros(2, jnp.float32)
                state = tx.init(params)._replace(count=5)
                expected, _ = tx.update(params + 1, state._replace(count=jnp.int32(5)))
                got, after = tx.update(params + 1, state)
            assert got.tolist() == expected.tolist()
            assert (after.count.dtype, after.count.item()) == (np.int32, 6)


@pytest.mark.parametrize(
    ("tx", "field"),
    [
        (optcore.reduce_on_plateau(0.5, patience=3), "scale"),
        (optcore.accumulate(optcore.sgd(0.5), 2), "weight"),
        (optcore.dynamic_loss_scale(optcore.sgd(0.5), initial_scale=4.0), "scale"),
    ],
)
def test_an_int_stands_for_a_real_number(tx, field):
    state = tx.init(jnp.zeros(2))
    extra = {"value": jnp.float32(1)} if "plateau" in repr(tx) else {}
    given = (state._replace(**{field: number}) for number in (jnp.float32(2), 2))
    (expected, wanted), (got, after) = (
        tx.update(jnp.ones(2), each, jnp.zeros(2), **extra) for each in given
    )
    assert got.tolist() == expected.tolist()
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, wanted)


def test_a_state_from_before_with_another_dtype_takes_on_that_of_init():
    tx = optcore.store(optcore.adam(0.1), "fp8", min_size=1)
    params = jnp.zeros(8)
    _, state = tx.update(jnp.arange(8.0), tx.init(params), params)
    before = jax.tree.map(
        lambda x: jax.lax.bitcast_convert_type(x, jnp.float8_e4m3fn) if x.dtype == jnp.uint8 else x,
        state,
    )
    assert np.dtype(jnp.float8_e4m3fn) in {x.dtype for x in jax.tree.leaves(before)}
    (expected, wanted), (got, after) = (
        tx.update(jnp.ones(8), each, params) for each in (state, before)
    )
    assert got.tolist() == expected.tolist()
    assert jax.tree.map(jax.typeof, after) == jax.tree.map(jax.typeof, wanted)
