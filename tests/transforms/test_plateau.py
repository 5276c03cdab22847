"""Reducing on a plateau against torch's rules, in plain Python."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def scales(
    values, factor=0.1, patience=10, rtol=1e-4, atol=0.0, cooldown=0, accumulation_size=1,
    min_scale=0.0,
):  # fmt: skip
    """The scale after every value."""
    scale, best, bad, cooling, window = 1.0, math.inf, 0, 0, []
    for value in values:
        window.append(value)
        if len(window) == accumulation_size:
            average, window = sum(window) / accumulation_size, []
            better = average < (best - rtol * abs(best) - atol if best < math.inf else math.inf)
            best = average if better else best
            bad = 0 if better or cooling else bad + 1
            cooling = max(cooling - 1, 0)
            if bad == patience:
                scale, bad, cooling = max(scale * factor, min_scale), 0, cooldown
        yield scale


def run(values, **options):
    tx = optcore.reduce_on_plateau(**options)

    def step(state, value):
        update, state = tx.update(jnp.float32(1.0), state, value=value)
        return state, update

    values = jnp.array(values, jnp.float32)
    return np.asarray(jax.lax.scan(step, tx.init(jnp.float32(0.0)), values)[1])


RNG = np.random.default_rng(0)
NOISY = 1 / (1 + np.arange(60)) + RNG.choice([0, 0.3, 0.55], 60)
OPTIONS = {
    "patient": {"patience": 3},
    "impatient": {"patience": 1, "factor": 0.5},
    "relative": {"patience": 2, "rtol": 0.24, "factor": 0.5},
    "absolute": {"patience": 2, "rtol": 0.0, "atol": 0.125, "factor": 0.5},
    "cooldown": {"patience": 2, "cooldown": 3, "factor": 0.5},
    "averages": {"patience": 2, "accumulation_size": 4, "factor": 0.5},
    "bounded": {"patience": 1, "factor": 0.5, "min_scale": 0.2},
    "strict": {"patience": 2, "rtol": 0.0, "factor": 0.5},
}


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_scales(options, sign):
    values = NOISY - (3 if sign < 0 else 0)
    expected = list(scales(np.float32(values).astype(float), **options))
    assert len(set(expected)) > 1
    np.testing.assert_allclose(run(values, **options), expected, rtol=1e-6)


@pytest.mark.parametrize("options", [OPTIONS["patient"], OPTIONS["cooldown"], OPTIONS["averages"]])
def test_optax_agrees_where_losses_are_positive(options):
    tx = optax.contrib.reduce_on_plateau(**options)

    def step(state, value):
        update, state = tx.update(jnp.float32(1.0), state, value=value)
        return state, update

    with jax.numpy_dtype_promotion("standard"):
        values = jnp.array(NOISY, jnp.float32)
        expected = jax.lax.scan(step, tx.init(jnp.float32(0.0)), values)[1]
    np.testing.assert_allclose(run(NOISY, **options), expected, rtol=1e-6)


def test_a_falling_negative_loss_is_progress():
    """optax asks for a loss below (1 - rtol) · best, which lies above a negative best."""
    slow = -1 - 1e-6 * np.arange(12)
    np.testing.assert_array_equal(run(slow, patience=5, factor=0.5, rtol=1e-3)[-2:], [0.25, 0.25])
    fast = -1 - 0.1 * np.arange(12)
    np.testing.assert_array_equal(run(fast, patience=2, rtol=1e-3), np.ones(12))


def test_nan_is_never_better():
    values = [1.0, math.nan, math.nan, 0.5, math.nan]
    np.testing.assert_array_equal(run(values, patience=2, factor=0.5), [1, 1, 0.5, 0.5, 0.5])


def test_the_state_is_readable():
    tx = optcore.reduce_on_plateau(patience=1, factor=0.5, cooldown=2, accumulation_size=2)
    state = tx.init(jnp.zeros(2))
    for value in (1.0, 3.0, 5.0):
        _, state = tx.update(jnp.ones(2), state, value=value)
    assert state.best_value == 2.0
    assert state.avg_value == 5.0
    assert state.count == 1
    _, state = tx.update(jnp.ones(2), state, value=5.0)
    assert state.scale == 0.5
    assert state.cooldown_count == 2
    assert state.plateau_count == 0


def test_the_value_is_needed():
    tx = optcore.reduce_on_plateau()
    with pytest.raises(ValueError, match="value"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    for value in (jnp.ones(3), 1j):
        with pytest.raises(ValueError, match="value must be a real scalar"):
            tx.update(jnp.ones(2), tx.init(jnp.ones(2)), value=value)


def test_the_smallest_scale_is_no_larger_than_the_first():
    with pytest.raises(ValueError, match=r"min_scale must lie in \[0, 1\], got 2\.0"):
        optcore.reduce_on_plateau(min_scale=2.0)


def test_defaults():
    oracles.same_defaults(optcore.reduce_on_plateau, optax.contrib.reduce_on_plateau)
