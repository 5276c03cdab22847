"""Finite gradients whose squares overflow, and infinite ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import abs_sq, saturated, squarable, testing
from tests.subjects import names, subject

HUGE = 1e30
BOUND = 2.0**62


def updates_of(tx, gradients, params, shape=()):
    """The updates for the gradients one after another, each the same number in the whole array."""
    state = tx.init(params)

    def body(state, g):
        u, state = tx.update(jnp.full(shape, g), state, params)
        return state, jnp.ravel(u)[0]

    state, made = jax.jit(lambda g: jax.lax.scan(body, state, g))(jnp.asarray(gradients))
    return np.asarray(made), state


def halving(step, rate):
    return 0.5


CORRECTED = {
    "adam": optcore.scale_by_adam(0.0, 0.5),
    "rmsprop, corrected": optcore.scale_by_rms(0.5, eps=0.0, bias_correction=True),
    "stable_adamw": optcore.optimizers.scale_by_stable_adamw(0.0, 0.5, weight_decay=0.0),
    "laprop": optcore.optimizers.scale_by_laprop(0.0, 0.5),
    "qhadam": optcore.optimizers.scale_by_qhadam(0.0, 0.5),
    "adam_mini": optcore.optimizers.scale_by_adam_mini(0.0, 0.5),
}
AVERAGES = CORRECTED | {
    "rmsprop": optcore.scale_by_rms(0.5, eps=0.0),
    "adafactor": optcore.optimizers.scale_by_factored_rms(decay_rate_fn=halving),
    "adafactor, matrix": optcore.optimizers.scale_by_factored_rms(
        min_dim_size_to_factor=2, decay_rate_fn=halving
    ),
    "came": optcore.optimizers.scale_by_came(0.0, 0.5),
    "novograd": optcore.optimizers.scale_by_novograd(0.0, 0.5),
}
CLIPPED = {"stable_adamw", "came"}


@pytest.mark.parametrize("name", AVERAGES)
def test_steps_come_back_as_the_moment_decays(name):
    """Behind a gradient of 1e30 the second moment halves, and steps grow by the factor √2."""
    before, after = 3, 200
    shape = (4, 4) if "matrix" in name else ()
    stream = [1.0] * before + [HUGE] + [1.0] * after
    got, _ = updates_of(AVERAGES[name], stream, jnp.zeros(shape), shape)
    # Half of the bound's square, which halves; the ordinary squares add up to 1.
    k = np.arange(after + 1.0)
    forgotten = 1 - 0.5 ** (k + before + 1) if name in CORRECTED else 1.0
    moment = 1 + BOUND**2 * 0.5 ** (k + 1) / forgotten
    np.testing.assert_allclose(got[before + 1 :], 1 / np.sqrt(moment[1:]), rtol=1e-4)
    longest = 1.0 if name in CLIPPED else BOUND / np.sqrt(moment[0])
    assert got[before] == pytest.approx(longest, rel=1e-5)


@pytest.mark.parametrize(
    ("tx", "moment"),
    [
        (
            optcore.optimizers.scale_by_yogi(0.0, 0.5, eps=0.0, initial_accumulator_value=0.0),
            0.5 * BOUND**2,
        ),
        (optcore.optimizers.scale_by_rss(0.0, 0.0), BOUND**2),
    ],
    ids=["yogi", "adagrad"],
)
def test_what_does_not_decay_keeps_the_steps_small(tx, moment):
    got, _ = updates_of(tx, [HUGE] + [1.0] * 20, jnp.float32(0.0))
    corrected = 1 - 0.5 ** np.arange(2, 22.0) if "yogi" in repr(tx) else 1.0
    np.testing.assert_allclose(got[1:], np.sqrt(corrected / moment), rtol=1e-5)


def test_ftrl_moves_by_the_rate_and_then_stays():
    tx = optcore.ftrl(0.1, initial_accumulator_value=0.0)
    got, state = updates_of(tx, [HUGE] + [1.0] * 20, jnp.float32(0.0))
    np.testing.assert_allclose(got, -0.1, rtol=1e-5)
    assert state.nu == BOUND**2


def test_sums_stay_finite_however_many():
    for tx in (optcore.adagrad(0.1), optcore.ftrl(0.1), optcore.madgrad(0.1), optcore.sm3(0.1)):
        params = jnp.zeros((2,))
        got, state = updates_of(tx, [HUGE] * 200, params, (2,))
        testing._subject.assert_finite((got, state), repr(tx))


@pytest.mark.parametrize("size", [1e19, HUGE, 3e38])
def test_a_huge_first_step_is_that_of_an_ordinary_gradient(size):
    for tx in (optcore.adam(0.1), optcore.rmsprop(0.1), optcore.came(0.1), optcore.yogi(0.1)):
        w = jnp.zeros((2, 2))
        steps = [tx.update(jnp.full((2, 2), g), tx.init(w), w)[0] for g in (1e3, size)]
        np.testing.assert_allclose(*steps, rtol=1e-5)


SIGNS = {"scale_by_sign", "scale_by_sophia"}
"""An infinite gradient has a sign, and Sophia bounds its update."""
DIRECTIONS = [name for name in names("direction") if name not in SIGNS]


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", DIRECTIONS)
def test_what_is_not_finite_shows(name, value):
    shown(subject(name), value)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("name", ["scale_by_adam", "scale_by_novograd"])
def test_what_is_not_finite_shows_in_one_of_each_kind(name, value):
    shown(subject(name), value)


def shown(subject, value):
    """In the update or in the state of the step, in the first step or in a later one."""
    params, ordinary = {"w": jnp.ones((3, 2))}, {"w": jnp.ones((3, 2))}
    spoilt = {"w": ordinary["w"].at[0, 0].set(value)}
    state = subject.tx.init(params)
    for _ in range(2):
        seen = subject.update(spoilt, state, params)
        assert not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(seen))
        _, state = subject.update(ordinary, state, params)


def test_what_is_squared_is_bounded():
    x = jnp.array([3.0, -1e30, 2 * BOUND, np.inf, -np.inf, np.nan])
    expected = [4.5, 0.5 * BOUND**2, 0.5 * BOUND**2, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(abs_sq(x, 0.5), expected)
    np.testing.assert_array_equal(abs_sq(x)[:3], [9.0, np.inf, BOUND**2 * 4])
    z = jnp.complex64(1e30 - 1e30j)
    assert abs_sq(z, 0.5) == BOUND**2
    slope, curvature = (f(lambda x: abs_sq(x, 0.5)) for f in (jax.grad, jax.hessian))
    assert (slope(3.0), curvature(0.0), slope(1e30)) == (3.0, 1.0, 0.0)


def test_squarable():
    x = jnp.array([3.0, -1e30, 2 * BOUND, np.nan])
    expected = [3.0, -BOUND, BOUND, np.nan]
    np.testing.assert_allclose(squarable(x), expected, rtol=2e-6)
    np.testing.assert_allclose(squarable(x, spoilt=True), expected, rtol=2e-6)
    infinite = jnp.array([np.inf, -np.inf])
    np.testing.assert_allclose(squarable(infinite), [BOUND, -BOUND], rtol=2e-6)
    assert jnp.isnan(squarable(infinite, spoilt=True)).all()
    z = squarable(jnp.complex64(1e30 - 2j))
    assert z.real == pytest.approx(BOUND, rel=2e-6)
    assert z.imag == -2
    slopes = jax.vmap(jax.grad(squarable))(x[:2])
    np.testing.assert_array_equal(slopes, [1.0, 0.0])


def test_saturated():
    x = jnp.array([3.0, np.inf, np.nan])
    np.testing.assert_array_equal(saturated(x), [3.0, BOUND**2, np.nan])
    np.testing.assert_array_equal(saturated(x, 0.5), [3.0, 0.5 * BOUND**2, np.nan])
