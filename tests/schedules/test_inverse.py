"""Decays without an end against their formulas."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.schedules.curves import cases, curve


def inverse_time(
    t, init_value, decay_rate, transition_steps=1, transition_begin=0, staircase=False
):
    passed = max(t - transition_begin, 0) / transition_steps
    return init_value / (1 + decay_rate * (math.floor(passed) if staircase else passed))


def inverse_sqrt(t, init_value, timescale, transition_begin=0):
    return init_value * math.sqrt(timescale / (timescale + max(t - transition_begin, 0)))


def noam(t, model_size, warmup_steps, scale=1.0):
    t = t + 1
    return scale * model_size**-0.5 * min(t**-0.5, t * warmup_steps**-1.5)


def power(t, peak_value, amplitude, power=-0.51, tokens_per_step=1.0):
    return min(peak_value, amplitude * (t * tokens_per_step) ** power) if t else peak_value


CURVES = [
    curve("keras", "inverse_time_schedule", inverse_time, init_value=0.7, decay_rate=0.3),
    curve(
        "late", "inverse_time_schedule", inverse_time, (4, 9),
        init_value=0.7, decay_rate=0.3, transition_steps=5, transition_begin=4,
    ),
    curve(
        "stairs", "inverse_time_schedule", inverse_time, (4, 9),
        init_value=0.7, decay_rate=0.3, transition_steps=5, transition_begin=4, staircase=True,
    ),
    curve("timescale", "inverse_sqrt_schedule", inverse_sqrt, (9,), init_value=0.7, timescale=3),
    curve(
        "t5", "inverse_sqrt_schedule", inverse_sqrt, (6, 24),
        init_value=0.7, timescale=6, transition_begin=6,
    ),
    curve("noam", "noam_schedule", noam, (5, 6), model_size=48.0, warmup_steps=6),
    curve("twice", "noam_schedule", noam, (5, 6), model_size=48.0, warmup_steps=6, scale=2.0),
    curve("power", "power_schedule", power, (3, 4), peak_value=0.5, amplitude=1.1),
    curve(
        "tokens", "power_schedule", power, (3, 4),
        peak_value=0.5, amplitude=3.0, power=-0.7, tokens_per_step=4.0,
    ),
]  # fmt: skip


RELATIVE = [dataclasses.replace(c, relative=True) for c in CURVES]


@pytest.mark.parametrize(("curve", "check"), cases(RELATIVE))
def test_formula(curve, check):
    check(curve)


def test_t5_is_one_over_the_root_of_the_step():
    warmup = 50
    t5 = optcore.inverse_sqrt_schedule(warmup**-0.5, warmup, transition_begin=warmup)
    counts = np.array([0, 49, 50, 51, 200, 10_000])
    np.testing.assert_allclose(t5(counts), 1 / np.sqrt(np.maximum(counts, warmup)), rtol=1e-6)


def test_a_warmup_in_front_of_the_root_is_the_transformers_rate_a_step_later():
    peak, warmup = 0.3, 20
    ours = optcore.prepend_warmup(optcore.inverse_sqrt_schedule(peak, warmup), warmup)
    noam = optcore.schedules.noam_schedule(1.0, warmup, scale=peak * warmup**0.5)
    np.testing.assert_allclose(ours(jnp.arange(1, 99)), noam(jnp.arange(98)), rtol=1e-6)
