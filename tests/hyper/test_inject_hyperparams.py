"""Factories, declared or not, whose transformations keep their hyper-parameters in the state."""

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


@pytest.mark.parametrize("name", optcore.registry("optimizer"))
def test_any_declared_optimizer_can_be_injected(name):
    factory = optcore.registry("optimizer")[name]
    tx = factory.example()
    injected = optcore.inject_hyperparams(getattr(optcore, name))(**tx.arguments)
    assert injected == optcore.inject(tx)
    own = optcore.hyperparameters(tx)
    shapes = jax.eval_shape(injected.init, PARAMS)
    assert len(shapes.hyperparams) == len(own)
    rate = next(iter(factory.roles))
    assert shapes.hyperparams[rate].dtype == jnp.float32


def test_optax_factories_do_what_optax_does():
    rate = optax.linear_schedule(0.1, 0.0, 5)
    for factory, arguments in [
        (optax.adamw, {"learning_rate": rate, "weight_decay": 0.1, "b2": 0.9}),
        (optax.sgd, {"learning_rate": 0.1, "momentum": 0.5, "nesterov": True}),
        (optax.adafactor, {"learning_rate": 0.1}),
        (optax.lion, {"learning_rate": rate, "b1": 0.5}),
    ]:
        ours = optcore.inject_hyperparams(factory)(**arguments)
        # In optax an integer that fixes a shape is injected too, and fails.
        static = (
            () if factory is not optax.adafactor else ("min_dim_size_to_factor", "decay_offset")
        )
        theirs = optax.inject_hyperparams(factory, static)(**arguments)
        (made, state), (expected, there) = steps(ours), steps(theirs)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), made, expected)
        for name, value in state.hyperparams.items():
            assert value == np.float32(there.hyperparams[name])
        assert optcore.read(ours, state, "learning_rate") == state.hyperparams["learning_rate"]


def test_a_function_of_ones_own():
    make = optcore.inject_hyperparams(mine)
    tx = make(0.25, nesterov=True, clip=1.5)
    state = tx.init(PARAMS)
    assert sorted(state.hyperparams) == ["clip", "decay", "learning_rate"]
    made, _ = steps(tx)
    expected, _ = steps(mine(0.25, nesterov=True, clip=1.5))
    chex.assert_trees_all_close(made, expected, rtol=1e-6)
    assert make.__name__ == "mine"
    scheduled = make(optcore.linear_schedule(0.5, 0.0, 4))
    _, after = steps(scheduled)
    assert after.hyperparams["learning_rate"] == 0.25
    assert after.hyperparams_states["learning_rate"] == 3


def test_a_decorated_factory():
    @optcore.inject_hyperparams
    def make(rate, clip):
        return optcore.chain(optcore.clip(clip), optcore.sgd(rate))

    tx = make(rate=0.5, clip=1.0)
    state = optcore.set_hyperparams(tx, tx.init(PARAMS), clip=0.25)
    assert tx.update(GRADS, state)[0]["b"].tolist() == [-0.125]


def test_what_is_a_number_and_what_is_static():
    def factory(a, b=1.0, c=1, d=None, e=None, f=None, g=None):
        return optcore.identity()

    tx = optcore.inject_hyperparams(factory, static_args="g")(
        1, 2, 3, jnp.float32(4.0), lambda tree: tree["w"], lambda count: 0.5 * count, 7.0
    )
    arguments = tx.arguments
    assert arguments["hyperparams"] == {"b": 2.0, "d": 4.0}
    assert list(arguments["schedules"]) == ["f"]
    assert sorted(arguments["static"]) == ["a", "c", "e", "g"]


def test_dtypes_and_transformations_are_static():
    tx = optcore.inject_hyperparams(optax.adam)(0.1, mu_dtype=jnp.bfloat16)
    assert "mu_dtype" in tx.arguments["static"]
    assert steps(tx)[1].inner_state[0].mu["w"].dtype == jnp.bfloat16
    tx = optcore.inject_hyperparams(optax.apply_if_finite)(optax.sgd(0.1), 3)
    assert tx.init(PARAMS).hyperparams == {}


def test_it_is_a_value_and_plain_data():
    make = optcore.inject_hyperparams(optax.adam)
    assert make(0.1) == make(0.1) != make(0.2)
    assert hash(make(0.1)) == hash(make(0.1))
    tx = make(optcore.linear_schedule(0.1, 0.0, 5))
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert optcore.from_config(json.loads(json.dumps(optcore.to_config(tx)))) == tx
    assert optcore.inject_hyperparams(optcore.adam)(0.1) == optcore.inject(optcore.adam(0.1))
    sweep = optcore.stack([make(0.1), make(0.2)])
    rates = jax.vmap(lambda tx: tx.init(PARAMS).hyperparams["learning_rate"])(sweep)
    np.testing.assert_allclose(rates, [0.1, 0.2], rtol=1e-6)


def test_extra_arguments_reach_those_that_take_them():
    tx = optcore.inject_hyperparams(optcore.polyak_sgd)(1.0)
    tx.update(GRADS, tx.init(PARAMS), value=1.0)
    foreign = optcore.inject_hyperparams(optax.contrib.reduce_on_plateau)(0.5)
    foreign.update(GRADS, foreign.init(PARAMS), value=1.0, unknown=2.0)
    plain = optcore.inject_hyperparams(optax.sgd)(0.5)
    plain.update(GRADS, plain.init(PARAMS), unknown=2.0)


def test_what_a_factory_makes_is_known():
    """What it takes, and that its state holds values too."""

    def make(rate):
        halves = optcore.scale(optcore.linear_schedule(1.0, 0.0, 4))
        return optcore.chain(optcore.sgd(rate), halves, optcore.reduce_on_plateau())

    for rate in (0.5, optcore.linear_schedule(0.5, 0.0, 8)):
        tx = optcore.chain(
            optcore.inject_hyperparams(make)(rate),
            optcore.scale(optcore.exponential_decay(2.0, 1, 0.5)),
        )
        state = tx.init(PARAMS)
        _, state = optcore.strict(tx).update(GRADS, state, value=1.0)
        assert float(optcore.read(tx, state, "rate")) == 0.5
        assert float(optcore.read(tx, state, "step_size")) == 2.0
        with pytest.raises(TypeError, match="nothing in it takes 'loss'; it takes 'value'"):
            optcore.strict(tx).update(GRADS, state, loss=1.0)
        with pytest.raises(TypeError, match="did you mean 'value'"):
            tx.update(GRADS, state, valeu=1.0)
    tx = optcore.chain(optcore.inject_hyperparams(make)(0.5), optcore.scale(lambda count: 2.0))
    state = optcore.set_hyperparams(tx, tx.init(PARAMS), rate=0.25)
    assert tx.update(GRADS, state, value=1.0)[0]["b"].tolist() == [-1.0]
    # The latter looks at its numbers, and so cannot be made of traced ones.
    for factory in (optax.polyak_sgd, optax.contrib.reduce_on_plateau):
        foreign = optcore.inject_hyperparams(factory)(0.5)
        optcore.strict(foreign).update(GRADS, foreign.init(PARAMS), PARAMS, value=1.0)


def test_arguments_that_are_transformations_have_theirs_in_the_state():
    tx = optcore.inject_hyperparams(optcore.chain)(optcore.clip(0.5), optcore.sgd(0.1))
    assert sorted(tx.init(PARAMS).hyperparams) == ["learning_rate", "max_delta"]


@pytest.mark.parametrize(
    ("make", "error", "pattern"),
    [
        (
            lambda: optcore.inject_hyperparams(optcore.adam(0.1)),
            TypeError,
            r"takes a factory, got the transformation adam\(learning_rate=0.1\); inject\(tx\)",
        ),
        (
            lambda: optcore.inject_hyperparams(mine, "nesterof"),
            ValueError,
            "names 'nesterof', which is no argument of mine; did you mean 'nesterov'",
        ),
        (
            lambda: optcore.inject_hyperparams(optcore.adam, "b3")(0.1),
            ValueError,
            "names 'b3', which is no hyper-parameter",
        ),
        (
            lambda: optcore.inject_hyperparams(mine, hyperparam_dtype="float16")(0.1),
            ValueError,
            "float32 or wider",
        ),
        (
            lambda: optcore.inject_foreign(mine, {"rate": 0.1}),
            TypeError,
            "missing",
        ),
        (
            lambda: optcore.inject_foreign(optax.sgd, {"rate": 0.1}),
            TypeError,
            "sgd takes no argument 'rate'; it takes learning_rate",
        ),
        (lambda: optcore.inject_hyperparams(optcore.adam)(-1.0), ValueError, "must lie in"),
    ],
)
def test_what_is_refused(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make().init(PARAMS)
