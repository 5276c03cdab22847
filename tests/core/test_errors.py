"""Refused calls and their messages: expected, got, and the likely cause."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

PARAMS = {"dense": {"kernel": jnp.ones((4, 3)), "bias": jnp.zeros(3)}}
GRADS = jax.tree.map(jnp.ones_like, PARAMS)
TX = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.adamw(1e-3))


def update(grads=GRADS, state=None, params=PARAMS, tx=TX):
    state = tx.init(PARAMS) if state is None else state
    return tx.update(grads, state, params)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
class TestCalls:
    def test_state_and_params_swapped(self, wrap):
        with pytest.raises(TypeError, match=r"chain\.update.*state and params .* swapped"):
            wrap(TX.update)(GRADS, PARAMS, TX.init(PARAMS))

    def test_state_first(self, wrap):
        with pytest.raises(TypeError, match=r"the first argument looks like the state"):
            wrap(TX.update)(TX.init(PARAMS), GRADS)

    def test_params_in_place_of_the_state(self, wrap):
        with pytest.raises(
            TypeError, match=r"expected a tuple of 2 states, got a dict.*parameters"
        ):
            wrap(TX.update)(GRADS, PARAMS)

    @pytest.mark.parametrize("tx", [optcore.scale(1.0), optcore.sgd(0.1), optcore.adam(0.1)])
    def test_swapped_for_any_state(self, wrap, tx):
        with pytest.raises(TypeError, match="swapped"):
            wrap(tx.update)(GRADS, PARAMS, tx.init(PARAMS))

    def test_extra_leading_axis(self, wrap):
        batched = jax.tree.map(lambda g: jnp.stack([g] * 8), GRADS)
        pattern = r"'dense/bias' is float32\[8,3\], the parameter is float32\[3\].*forget the mean"
        with pytest.raises(ValueError, match=pattern):
            wrap(update)(batched)

    def test_extra_leading_axis_without_params(self, wrap):
        batched = jax.tree.map(lambda g: jnp.stack([g] * 8), GRADS)
        tx = optcore.adam(0.1)
        with pytest.raises(ValueError, match=r"float32\[8,3\].*extra axis"):
            wrap(lambda g: tx.update(g, tx.init(PARAMS)))(batched)

    def test_transposed(self, wrap):
        grads = {"dense": {"kernel": jnp.ones((3, 4)), "bias": jnp.zeros(3)}}
        with pytest.raises(ValueError, match=r"'dense/kernel'.*it is transposed"):
            wrap(update)(grads)

    def test_another_tree(self, wrap):
        grads = {"dense": {"kernel": jnp.ones((4, 3)), "offset": jnp.zeros(3)}}
        pattern = r"'dense/bias' is missing.*'dense/offset' is not expected"
        with pytest.raises(ValueError, match=pattern):
            wrap(update)(grads)

    def test_other_containers(self, wrap):
        params = [jnp.ones(2)]
        tx = optcore.adamw(0.1)
        with pytest.raises(ValueError, match="the containers differ"):
            wrap(lambda g: tx.update(g, tx.init(params), params))((jnp.ones(2),))

    def test_state_of_another_optimizer(self, wrap):
        state = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.rmsprop(1e-3)).init(PARAMS)
        pattern = r"at state\[1\]\[0\] expected a ScaleByAdamState, got a ScaleByRmsState"
        with pytest.raises(TypeError, match=pattern):
            wrap(update)(GRADS, state)

    def test_state_with_as_good_as_the_same_fields(self, wrap):
        tx = optcore.optimizers.scale_by_rss()
        state = optcore.scale_by_rms().init(PARAMS)
        with pytest.raises(TypeError, match="expected a ScaleByRssState, got a ScaleByRmsState"):
            wrap(tx.update)(GRADS, state)

    def test_state_of_the_same_optimizer_with_other_options(self, wrap):
        with pytest.raises(TypeError, match=r"expected a ScheduledState.*other options"):
            wrap(optcore.sgd(optcore.constant_schedule(0.1)).update)(
                GRADS, optcore.sgd(0.1).init(PARAMS)
            )

    def test_state_of_other_parameters(self, wrap):
        tx = optcore.adam(0.1)
        other = tx.init({"dense": {"kernel": jnp.ones((4, 1)), "bias": jnp.zeros(1)}})
        with pytest.raises(
            ValueError, match=r"would change its type.*does it come from another model"
        ):
            wrap(tx.update)(GRADS, other)

    def test_missing_params(self, wrap):
        with pytest.raises(ValueError, match=r"adamw needs the parameters, got params=None"):
            wrap(lambda g: optcore.adamw(0.1).update(g, optcore.adamw(0.1).init(PARAMS)))(GRADS)

    def test_real_gradient_for_an_integer_parameter(self, wrap):
        params = {"w": jnp.ones(2), "step": jnp.int32(3)}
        tx = optcore.adam(0.1)
        grads = {"w": jnp.ones(2), "step": jnp.float32(1.0)}
        with pytest.raises(ValueError, match=r"'step' is float32\[\], but the parameter is int32"):
            wrap(lambda g: tx.update(g, tx.init(params), params))(grads)

    def test_integer_gradient(self, wrap):
        grads = jax.tree.map(lambda g: g.astype(jnp.int32), GRADS)
        with pytest.raises(ValueError, match="expected a floating-point array"):
            wrap(update)(grads)

    def test_complex_gradient_of_a_real_parameter(self, wrap):
        grads = jax.tree.map(lambda g: g.astype(jnp.complex64), GRADS)
        with pytest.raises(ValueError, match="both real or both complex"):
            wrap(update)(grads)

    def test_apply_updates_does_not_broadcast(self, wrap):
        batched = jax.tree.map(lambda g: jnp.stack([g] * 8), GRADS)
        with pytest.raises(ValueError, match=r"apply_updates.*'dense/bias'.*forget the mean"):
            wrap(optcore.apply_updates)(PARAMS, batched)

    @pytest.mark.parametrize(
        ("wrong", "pattern"),
        [
            (lambda updates: updates["dense"], "the first result of tx.update"),
            (lambda updates: (updates, optcore.EmptyState()), "the first result of tx.update"),
            (lambda updates: jax.tree.map(lambda u: u[None], updates), "forget the mean"),
            (lambda updates: jax.tree.map(lambda u: u[:1], updates), "the updates of other param"),
        ],
    )
    def test_hints_of_apply_updates_are_about_its_call(self, wrap, wrong, pattern):
        with pytest.raises(ValueError, match=pattern) as caught:
            wrap(lambda u: optcore.apply_updates(PARAMS, wrong(u)))(GRADS)
        assert "the call is apply_updates(params, updates)" in str(caught.value)
        assert "params=params" not in str(caught.value)


def test_integer_parameters_with_no_gradient_stay():
    params = {"w": jnp.ones(2), "step": jnp.int32(3)}
    tx = optcore.adamw(0.1)
    zero = np.zeros((), jax.dtypes.float0)
    for absent in (None, zero):
        grads = {"w": jnp.ones(2), "step": absent}
        updates, state = tx.update(grads, tx.init(params), params)
        assert updates["step"] is None
        assert int(optcore.apply_updates(params, updates)["step"]) == 3
        assert state[0].mu["step"] is None


def test_gradients_of_a_function_of_integers_are_accepted():
    params = {"w": jnp.ones(2), "n": jnp.int32(3)}
    grads = jax.grad(lambda p: jnp.sum(p["w"] ** 2) * p["n"].astype(jnp.float32), allow_int=True)(
        params
    )
    tx = optcore.sgd(0.1)
    updates, _ = tx.update(grads, tx.init(params), params)
    assert updates["n"] is None
    np.testing.assert_allclose(updates["w"], -0.6, rtol=1e-6)


def test_a_parameter_that_is_no_array():
    with pytest.raises(TypeError, match="'name' is an object of type str, expected an array"):
        optcore.adam(0.1).init({"w": jnp.ones(2), "name": "dense"})


@pytest.mark.parametrize(
    ("make", "error", "pattern"),
    [
        (lambda: optcore.adam(0.1, b1=1.5), ValueError, r"adam: b1 must lie in \[0, 1\), got 1.5"),
        (lambda: optcore.adam(0.1, b2=1.0), ValueError, r"adam: b2 must lie in \[0, 1\), got 1.0"),
        (lambda: optcore.sgd(0.1, momentum=1.5), ValueError, r"sgd: momentum .*\[0, 1\], got 1.5"),
        (lambda: optcore.sgd(-1), ValueError, r"learning_rate .*\[0, inf\), got -1.*the sign"),
        (lambda: optcore.sgd(math.nan), ValueError, r"sgd: learning_rate .* got nan; a NaN"),
        (lambda: optcore.scale(math.nan), ValueError, "scale: step_size must be a number, got nan"),
        (lambda: optcore.sgd(math.inf), ValueError, r"sgd: learning_rate .* got inf"),
        (lambda: optcore.sgd("1e-3"), TypeError, "sgd: learning_rate .*mean 1e-3 without quotes"),
        (lambda: optcore.sgd(None), TypeError, "sgd: learning_rate is required, got None"),
        (lambda: optcore.sgd(True), TypeError, "sgd: learning_rate must be a number, got the bool"),
        (lambda: optcore.sgd([0.1]), TypeError, r"sgd: learning_rate .* got \[0.1\] of type list"),
        (lambda: optcore.sgd(np.array(-1.0)), ValueError, "sgd: learning_rate .* got -1"),
        (lambda: optcore.sgd(0.1, nesterov="yes"), TypeError, "nesterov must be True or False"),
        (lambda: optcore.sgd(0.1, momentun=0.9), TypeError, "momentun.*did you mean 'momentum'"),
        (lambda: optcore.sgd(0.1, colour=1), TypeError, "sgd: .*colour.*the arguments are learn"),
        (lambda: optcore.sgd(), TypeError, "sgd: missing a required argument: 'learning_rate'"),
        (lambda: optcore.adam(0.1, mu_dtype="bf61"), TypeError, "adam: mu_dtype must be a dtype"),
        (lambda: optcore.chain(3), TypeError, "chain: transforms must hold gradient transf.*got 3"),
        (lambda: optcore.chain(optcore.adam), TypeError, "was it meant to be called"),
        (lambda: optcore.chain([optcore.scale(1.0)]), TypeError, r"unpack it: chain\(\*"),
        (
            lambda: optcore.named_chain(("a", optcore.scale(1.0)), ("a", optcore.scale(1.0))).init(
                0
            ),
            ValueError,
            "'a' twice",
        ),
        (lambda: optcore.named_chain(optcore.scale(1.0)), TypeError, "pair"),
        (lambda: optcore.clip_by_global_norm(-1.0), ValueError, "max_norm must lie in"),
        (
            lambda: optcore.linear_schedule(0, 1, 0),
            ValueError,
            r"transition_steps .*\[1, 2147483648\), got 0",
        ),
        (lambda: optcore.linear_schedule(0, 1, -3), ValueError, "transition_steps .*got -3"),
        (lambda: optcore.linear_schedule(0, 1, 2.5), TypeError, "transition_steps must be an int"),
        (lambda: optcore.cosine_decay_schedule(1.0, 0), ValueError, "decay_steps .*got 0"),
        (
            lambda: optcore.exponential_decay(1.0, 5, 0.0),
            ValueError,
            r"decay_rate .*\(0, inf\), got",
        ),
        (
            lambda: optcore.join_schedules([optcore.constant_schedule(1.0)] * 3, [5, 3]),
            ValueError,
            r"boundaries must increase, got \[5, 3\]",
        ),
        (
            lambda: optcore.join_schedules([optcore.constant_schedule(1.0)] * 3, [5]),
            ValueError,
            "expected 2 for 3 schedules, got 1",
        ),
        (lambda: optcore.join_schedules([1.0, 2.0], [5]), TypeError, "must be a schedule.*1.0"),
        (
            lambda: optcore.piecewise_constant_schedule(1.0, {-1: 0.5}),
            ValueError,
            "ints ≥ 0, as keys, got -1",
        ),
        (
            lambda: optcore.warmup_cosine_decay_schedule(0, 1, 10, 10),
            ValueError,
            "must exceed warmup_steps=10, got 10",
        ),
        (lambda: optcore.constant_schedule(1.0)(0.5), TypeError, "count must be an integer"),
        (lambda: optcore.constant_schedule(1.0)(2**31), ValueError, "fit in int32"),
        (lambda: optcore.stack([]), ValueError, "at least one"),
        (
            lambda: optcore.stack([optcore.sgd(0.1), optcore.sgd(0.1, 0.9)]),
            ValueError,
            "differ only in their numbers",
        ),
        (lambda: optcore.stack([3]), TypeError, "declared"),
    ],
)
def test_refused_at_construction(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


def test_zero_is_legal():
    assert optcore.sgd(0).arguments["learning_rate"] == 0.0
    assert optcore.adam(0.0, b1=0, b2=0).arguments["b1"] == 0.0
    assert optcore.warmup_cosine_decay_schedule(0.0, 1.0, 0, 10)(0).item() == 1.0


def test_chain_of_nothing_is_the_identity():
    tx = optcore.chain()
    updates, _ = tx.update(GRADS, tx.init(PARAMS))
    assert jax.tree.all(jax.tree.map(lambda u, g: bool(jnp.all(u == g)), updates, GRADS))


def test_a_traced_length_is_refused():
    with pytest.raises(TypeError, match="transition_steps must be a static int, got a traced"):
        jax.jit(lambda n: optcore.linear_schedule(0.0, 1.0, n)(3))(4)


def test_a_stacked_optimizer_outside_of_vmap():
    tx = optcore.stack([optcore.sgd(0.1), optcore.sgd(0.2)])
    with pytest.raises(ValueError, match=r"'learning_rate' has shape \(2,\).*under jax.vmap"):
        tx.update(GRADS, tx.init(PARAMS))


def test_a_schedule_that_gives_an_array():
    tx = optcore.sgd(lambda count: jnp.ones(3))
    with pytest.raises(
        ValueError,
        match=r"sgd: learning_rate must return a scalar, the schedule returned shape \(3,\)",
    ):
        tx.init(PARAMS)
