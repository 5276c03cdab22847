"""Extra arguments are passed on, and a misspelled name is an error at trace time."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

import optcore

PARAMS = jnp.ones(2)


def updated(tx, **extra):
    return tx.update(PARAMS, tx.init(PARAMS), PARAMS, **extra)


PLATEAU = optcore.chain(optcore.sgd(0.1), optcore.reduce_on_plateau())
SPIKES = optcore.skip_on_spike(optcore.sgd(0.1), watch="both")


@pytest.mark.parametrize(
    ("tx", "given", "meant"),
    [
        (optcore.polyak_sgd(), "valeu", "value"),
        (PLATEAU, "vlaue", "value"),
        (SPIKES, "Value", "value"),
        (optcore.inject(PLATEAU), "values", "value"),
        (optcore.switch([PLATEAU, optcore.sgd(0.1)], [3]), "valu", "value"),
        (optcore.sam(optcore.sgd(0.1)), "grad_fun", "grad_fn"),
        (optcore.optimizers.hutchinson_estimator_diag_hessian(), "objfn", "obj_fn"),
        (optcore.sophia(0.1), "obj_func", "obj_fn"),
        (optcore.polyak_sgd(optcore.linear_schedule(1.0, 0.5, 3)), "valeu", "value"),
    ],
    ids=str,
)
def test_a_near_miss_is_named(tx, given, meant):
    with pytest.raises(TypeError, match=f"nothing takes '{given}'; did you mean '{meant}'"):
        updated(tx, **{given: 1.0})


def test_a_near_miss_is_found_while_tracing():
    state = PLATEAU.init(PARAMS)
    with pytest.raises(TypeError, match=r"chain\.update: .*did you mean 'value'"):
        jax.eval_shape(lambda v: PLATEAU.update(PARAMS, state, valeu=v), jnp.float32(1.0))


def test_what_is_given_besides_the_right_one_is_for_others():
    updated(PLATEAU, value=1.0, valeu=2.0)


def test_what_is_like_nothing_is_for_others():
    updated(PLATEAU, value=1.0, loss=2.0, value_fn=jnp.sum)
    updated(SPIKES, value=1.0, grad=PARAMS)
    updated(optcore.sgd(0.1), valeu=1.0)


def test_of_other_libraries_the_signature_counts():
    def update(updates, state, params=None, *, temperature=1.0):
        return jax.tree.map(lambda g: temperature * g, updates), state

    foreign = optcore.GradientTransformation(lambda params: optcore.EmptyState(), update)
    tx = optcore.chain(foreign, optcore.scale(-1.0))
    assert updated(tx, temperature=2.0)[0].tolist() == [-2.0, -2.0]
    with pytest.raises(TypeError, match="did you mean 'temperature'"):
        updated(tx, temprature=2.0)
    with pytest.raises(TypeError, match="did you mean 'value'"):
        updated(optcore.chain(optax.contrib.reduce_on_plateau()), valeu=1.0)


def test_a_factory_says_what_it_uses():
    @optcore.transformation("transform", example={}, uses=("temperature",))
    def heated() -> optcore.GradientTransformation:
        def update(updates, state, params=None, **extra):
            return extra.get("temperature", 1.0) * updates, state

        return optcore.GradientTransformation(lambda params: optcore.EmptyState(), update)

    assert updated(heated(), temperature=2.0)[0].tolist() == [2.0, 2.0]
    with pytest.raises(TypeError, match=r"heated.update: nothing takes 'temprature'"):
        updated(heated(), temprature=2.0)


def test_extras_cost_no_second_trace():
    chex.clear_trace_counter()
    step = jax.jit(
        chex.assert_max_traces(lambda s, v: PLATEAU.update(PARAMS, s, value=v, other=v), n=1)
    )
    state = PLATEAU.init(PARAMS)
    for i in range(3):
        _, state = step(state, jnp.float32(i))
