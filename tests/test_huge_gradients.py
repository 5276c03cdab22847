"""Finite gradients whose squares overflow, and infinite ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import saturated, squarable, testing

HUGE = 1e30
BOUND = 2.0**61


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


AVERAGES = {
    "adam": optcore.scale_by_adam(0.0, 0.5),
    "rmsprop": optcore.scale_by_rms(0.5, eps=0.0),
    "rmsprop, corrected": optcore.scale_by_rms(0.5, eps=0.0, bias_correction=True),
    "adafactor": optcore.scale_by_factored_rms(decay_rate_fn=halving),
    "adafactor, matrix": optcore.scale_by_factored_rms(
        min_dim_size_to_factor=2, decay_rate_fn=halving
    ),
    "stable_adamw": optcore.scale_by_stable_adamw(0.0, 0.5, weight_decay=0.0),
    "came": optcore.scale_by_came(0.0, 0.5),
    "laprop": optcore.scale_by_laprop(0.0, 0.5),
    "radam": optcore.scale_by_radam(0.0, 0.5),
    "qhadam": optcore.scale_by_qhadam(0.0, 0.5),
    "adam_mini": optcore.scale_by_adam_mini(0.0, 0.5),
    "novograd": optcore.scale_by_novograd(0.0, 0.5),
}


@pytest.mark.parametrize("name", AVERAGES)
def test_steps_come_back_as_the_moment_decays(name):
    """Behind a gradient of 1e30 the second moment halves, and steps grow by the factor √2."""
    tx, before, after = AVERAGES[name], 3, 200
    shape = (4, 4) if "matrix" in name else ()
    params = jnp.zeros(shape)
    ordinary, _ = updates_of(tx, [1.0] * (before + 1 + after), params, shape)
    got, _ = updates_of(tx, [1.0] * before + [HUGE] + [1.0] * after, params, shape)
    assert np.isfinite(got).all()
    # The moment: half of the bound's square, which halves; ordinary squares add up to 1.
    k = np.arange(1, after + 1)
    expected = 1 / np.sqrt(1 + BOUND**2 * 0.5 ** (k + 1.0))
    if name in ("rmsprop, corrected", "laprop", "adam", "qhadam", "adam_mini", "stable_adamw"):
        expected = 1 / np.sqrt(1 + BOUND**2 * 0.5 ** (k + 1.0) / (1 - 0.5 ** (k + before + 1.0)))
    if name != "radam":
        np.testing.assert_allclose(got[before + 1 :], expected, rtol=1e-4)
        assert got[before] == pytest.approx(np.sqrt(2.0), rel=0.1) or name in (
            "stable_adamw",
            "came",
        )
    np.testing.assert_allclose(got[-1], ordinary[-1], rtol=1e-4)


@pytest.mark.parametrize(
    ("tx", "moment"),
    [
        (optcore.scale_by_yogi(0.0, 0.5, eps=0.0, initial_accumulator_value=0.0), 0.5 * BOUND**2),
        (optcore.scale_by_rss(0.0, 0.0), BOUND**2),
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
    for tx in (optcore.adam(0.1), optcore.rmsprop(0.1), optcore.came(0.1), optcore.novograd(0.1)):
        w = jnp.zeros((2, 2))
        steps = [tx.update(jnp.full((2, 2), g), tx.init(w), w)[0] for g in (1e3, size)]
        np.testing.assert_allclose(*steps, rtol=1e-5)


DIRECTIONS = [
    s for s in testing.subjects("direction") if s.tx.declaration.factory.key.startswith("optcore:")
]


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("subject", DIRECTIONS, ids=lambda s: s.name)
def test_what_is_not_finite_shows(subject, value):
    shown(subject, value)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("name", ["scale_by_adam", "scale_by_adopt"])
def test_what_is_not_finite_shows_in_one_of_each_kind(name, value):
    shown(next(s for s in DIRECTIONS if s.name == name), value)


def shown(subject, value):
    """In the update or in the state of the step, in the first step or in a later one."""
    params = {"w": jnp.ones((3, 2))}
    for late in (False, True):
        grads = {"w": jnp.ones((3, 2))}
        state = subject.tx.init(params)
        if late:
            _, state = subject.update(grads, state, params)
        seen = subject.update({"w": grads["w"].at[0, 0].set(value)}, state, params)
        finite = [bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(seen)]
        assert not all(finite)


def test_squarable():
    x = jnp.array([3.0, -1e30, BOUND, 2 * BOUND, np.inf, -np.inf, np.nan])
    expected = [3.0, -BOUND, BOUND, BOUND, np.inf, -np.inf, np.nan]
    np.testing.assert_array_equal(squarable(x), expected)
    z = jnp.array([1e30 - 2j, complex(np.inf, 1)], jnp.complex64)
    np.testing.assert_array_equal(squarable(z), np.array([BOUND - 2j, complex(np.inf, 1)]))
    slopes = jax.vmap(jax.grad(squarable))(x[:2])
    np.testing.assert_array_equal(slopes, [1.0, 0.0])


def test_saturated():
    largest = np.finfo(np.float32).max
    x = jnp.array([3.0, np.inf, np.nan])
    np.testing.assert_array_equal(saturated(x), np.float32([3.0, largest, np.nan]))
