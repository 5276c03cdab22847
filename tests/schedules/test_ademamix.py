"""The warm-ups of AdEMAMix against the formulas of arXiv 2409.03137."""

import math

import jax
import numpy as np
import pytest

import optcore
from tests.named import named
from tests.schedules.curves import LAST, Curve, check_derivatives, check_tracing, check_values


def alpha(t, end_value, transition_steps):
    return min((t + 1) / transition_steps, 1) * end_value


def b3(t, init_value, end_value, transition_steps):
    """The formula of section 3."""
    part = min((t + 1) / transition_steps, 1)
    low, high = math.log(init_value), math.log(end_value)
    return math.exp(low * high / ((1 - part) * high + part * low))


def curve(label, ours, formula, steps, **arguments):
    return Curve(label, named(ours), formula, arguments, steps, None)


CURVES = [
    curve(
        "alpha", "ademamix_alpha_schedule", alpha, (9,), end_value=6.5, transition_steps=10
    ),
    curve(
        "alpha_at_once", "ademamix_alpha_schedule", alpha, (1,), end_value=3.0, transition_steps=1
    ),
    curve(
        "b3", "ademamix_b3_schedule", b3, (9,),
        init_value=0.7, end_value=0.98, transition_steps=10,
    ),
    curve(
        "b3_falls", "ademamix_b3_schedule", b3, (3,),
        init_value=0.9, end_value=0.3, transition_steps=4,
    ),
]  # fmt: skip
CHECKS = [check_values, check_derivatives, check_tracing]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
@pytest.mark.parametrize("curve", CURVES, ids=lambda c: c.label)
def test_formula(curve, check):
    check(curve)


def test_the_half_life_grows_in_a_straight_line():
    schedule = optcore.schedules.ademamix_b3_schedule(0.9, 0.99, 1000)
    values = np.asarray(jax.vmap(schedule)(np.arange(1200)), np.float64)
    half_lives = np.log(0.5) / np.log(values)
    slopes = np.diff(half_lives[:999])
    np.testing.assert_allclose(slopes, slopes.mean(), rtol=0.02)
    np.testing.assert_allclose(values[999:], 0.99, rtol=1e-7)


def test_the_last_count():
    assert optcore.schedules.ademamix_alpha_schedule(5.0, LAST)(LAST) == pytest.approx(5.0)
    assert optcore.schedules.ademamix_b3_schedule(0.9, 0.99, LAST)(LAST) == pytest.approx(0.99)


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_decay_without_a_half_life_is_refused(decay):
    with pytest.raises(ValueError, match="must lie in"):
        optcore.schedules.ademamix_b3_schedule(decay, 0.99, 5)
    with pytest.raises(ValueError, match="must lie in"):
        optcore.schedules.ademamix_b3_schedule(0.9, decay, 5)
