"""Ranges of arguments: what has a meaning is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
import optcore.tuning
from optcore._core import whole
from tests import subjects
from tests.subjects import OWN

KEPT = [
    (name, argument)
    for name, factory in OWN.items()
    for argument, role in factory.roles.items()
    if role.range is not None and str(role.range) == "[0, 1]" and role.kind == "hyperparameter"
]
COUNTS = [
    (name, argument)
    for name, factory in OWN.items()
    for argument, role in factory.roles.items()
    if role.base is int and subjects.subject(name).tx.arguments[argument] is not None
]


def run(tx, steps=5, library=optcore, extra=None):
    """The updates on varying gradients."""
    grads = np.float32([[1.0, -2.0], [0.5, 0.25], [-1.0, 3.0], [2.0, 0.1], [0.3, -0.7]])
    params = jnp.float32([1.0, -1.0])
    state, made = tx.init(params), []
    for g in grads[:steps]:
        u, state = tx.update(jnp.asarray(g), state, params, **(extra or {}))
        made.append(np.asarray(u))
    return np.stack(made)


@pytest.mark.parametrize(
    ("make"),
    [
        lambda lib: lib.trace(1.0),
        lambda lib: lib.trace(1.0, nesterov=True),
        lambda lib: lib.sgd(0.1, momentum=1.0),
        lambda lib: lib.rmsprop(0.1, momentum=1.0),
        lambda lib: lib.rmsprop(0.1, decay=1.0, initial_scale=4.0),
        lambda lib: lib.scale_by_rms(1.0, initial_scale=0.25),
        lambda lib: lib.adadelta(0.1, rho=1.0),
        lambda lib: lib.lars(0.1, momentum=1.0),
        lambda lib: lib.novograd(0.1, b1=1.0),
    ],
    ids=["trace", "nesterov", "sgd", "rmsprop", "rms mean", "rms", "adadelta", "lars", "novograd"],
)
def test_a_decay_of_one_is_that_of_optax(make):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = run(make(optax))
    np.testing.assert_allclose(run(make(optcore)), expected, rtol=2e-5)


def test_without_forgetting_momentum_is_the_sum():
    made = run(optcore.trace(1.0))
    np.testing.assert_allclose(made, np.cumsum(run(optcore.identity()), axis=0), rtol=1e-6)


@pytest.mark.parametrize(("name", "argument"), KEPT)
@pytest.mark.sample(1)
def test_what_may_be_one_stays_finite(name, argument):
    subject = subjects.subject(name)
    own = {"with_average": {"average": "ema"}, "lookahead": {}}.get(name, {})
    value = subject.tx.arguments[argument]
    one = (1.0,) * len(value) if isinstance(value, tuple) else 1.0
    if name == "lazy_rows":
        one = {"trace": 1.0}
    tx = subject.tx.replace(**own, **{argument: one})
    updates, state = jax.jit(lambda: subject.run(tx))() if subject.tx.init else None
    for x in jax.tree.leaves((updates, state)):
        assert np.isfinite(x).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: optcore.scale_by_rms(1.0, bias_correction=True),
        lambda: optcore.rmsprop(0.1, 1.0, bias_correction=True, centered=True),
        lambda: optcore.with_average(optcore.sgd(0.1), decay=1.0, debias=True),
    ],
)
def test_a_mean_of_nothing_is_not_corrected(make):
    with pytest.raises(ValueError, match="decay must be less than 1"):
        make()


@pytest.mark.parametrize(
    "make", [optcore.scale_by_adam, optcore.ema, optcore.optimizers.scale_by_lion]
)
def test_an_average_of_nothing_is_refused(make):
    name = "decay" if make is optcore.ema else "b1"
    with pytest.raises(ValueError, match=rf"{name} must lie in \[0, 1\), got 1.0"):
        make(**{name: 1.0})


def test_an_average_whose_decay_ends_at_one_stops():
    """As BYOL's does."""
    decay = optcore.linear_schedule(0.5, 1.0, 3)
    tx = optcore.with_average(optcore.sgd(1.0), decay=decay)
    w, states = jnp.float32(0.0), []
    state = tx.init(w)
    for _ in range(6):
        step, state = tx.update(jnp.float32(-1.0), state, w)
        w = optcore.apply_updates(w, step)
        states.append(optcore.eval_params(state, w).item())
    assert states[3] == states[4] == states[5] < 3


@pytest.mark.parametrize("threshold", [0.0, 2.5, 3])
@pytest.mark.sample(1)
def test_radam_with_any_threshold_waits_for_a_finite_variance(threshold):
    """Below 4 the square of the rectification is negative; optax gives NaN there."""
    for b2 in (0.999, 0.9, 0.5):
        got = run(optcore.optimizers.scale_by_radam(0.9, b2, threshold=threshold))
        np.testing.assert_array_equal(
            got, run(optcore.optimizers.scale_by_radam(0.9, b2, threshold=4.0))
        )
        assert np.isfinite(got).all()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = run(optax.scale_by_radam(0.9, 0.9, threshold=threshold))
    same = np.isfinite(theirs)
    assert same.any()
    assert not same.all()


def test_ftrl_with_a_fixed_rate_is_descent():
    """Keras: "use zero for a fixed learning rate"."""
    for first in (0.0, 0.1):
        tx = optcore.ftrl(0.1, learning_rate_power=0.0, initial_accumulator_value=first)
        w, state = jnp.zeros(2), tx.init(jnp.zeros(2))
        for g in np.float32([[1.0, 0.0], [-3.0, 2.0]]):
            step, state = tx.update(jnp.asarray(g), state, w)
            np.testing.assert_allclose(step, -0.1 * g, rtol=1e-5, atol=1e-7)
            w = w + step


@pytest.mark.parametrize(("name", "argument"), COUNTS)
def test_a_whole_float_is_a_count(name, argument):
    tx = subjects.subject(name).tx
    number = tx.arguments[argument]
    for kind in (float, np.float32, np.float64, np.int64, jnp.float32):
        again = tx.replace(**{argument: kind(number)})
        assert again == tx
        assert type(again.arguments[argument]) is int
    for wrong in (number + 0.5, float("nan"), float("inf"), str(number), True):
        with pytest.raises(TypeError, match=f"{argument} must be an int, got"):
            tx.replace(**{argument: wrong})


def test_other_counts_that_are_whole():
    halves = {4.0: 0.5, np.float32(8): 0.1}
    for make in (
        optcore.piecewise_constant_schedule,
        lambda *a: optcore.schedules.piecewise_interpolate_schedule("linear", *a),
    ):
        ints = make(1.0, {4: 0.5, 8: 0.1})
        assert [make(1.0, halves)(t).item() for t in range(10)] == [
            ints(t).item() for t in range(10)
        ]
        with pytest.raises(ValueError, match=r"step counts, ints ≥ 0, as keys, got 4.5"):
            make(1.0, {4.5: 0.5})
    parts = [optcore.constant_schedule(1.0), optcore.constant_schedule(2.0)]
    assert optcore.join_schedules(parts, [3.0]) == optcore.join_schedules(parts, [3])
    assert optcore.accumulate(optcore.sgd(0.1), 4.0) == optcore.accumulate(optcore.sgd(0.1), 4)
    assert optcore.schedules.cycle_ends(optcore.cosine_restarts_schedule(0.1, 10), 30.0) == (
        10,
        20,
        30,
    )
    w, _, history = optcore.tuning.minimize(lambda w: (w - 3.0) ** 2, 0.0, optcore.sgd(0.25), 4.0)
    assert len(history.loss) == 4
    assert w.item() == 2.8125


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray, np.float64])
def test_people_plot_at_floats(kind):
    schedule = optcore.linear_schedule(1.0, 0.0, 100)
    counts = np.linspace(0, 100, 5)
    assert [schedule(kind(s)).item() for s in counts] == [1.0, 0.75, 0.5, 0.25, 0.0]
    if kind is not np.float64:
        assert schedule(kind(counts)).tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    for wrong in (0.5, np.array([1.0, 2.5]), jnp.float32(jnp.nan), np.array([np.inf])):
        with pytest.raises(TypeError, match="the count must be an integer"):
            schedule(wrong)
    with pytest.raises(TypeError, match=r"the count must be an integer, got float32"):
        jax.jit(schedule)(jnp.float32(1.0))
    assert schedule(1e18 * np.ones(1)).tolist() == [0.0]
    assert whole(np.float16(3)) == 3
