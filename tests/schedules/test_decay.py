"""Constant, polynomial, exponential and cosine schedules against their formulas and optax."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named
from tests.schedules.curves import LAST, cases, curve


def constant(t, value):
    return value


def polynomial(t, init_value, end_value, power, transition_steps, transition_begin=0):
    part = min(max(t - transition_begin, 0), transition_steps) / transition_steps
    return end_value + (init_value - end_value) * (1 - part) ** power


def linear(t, init_value, end_value, transition_steps, transition_begin=0):
    return polynomial(t, init_value, end_value, 1.0, transition_steps, transition_begin)


def exponential(
    t, init_value, transition_steps, decay_rate, transition_begin=0, staircase=False, end_value=None
):
    passed = max(t - transition_begin, 0) / transition_steps
    with np.errstate(over="ignore"):
        power = np.float64(decay_rate) ** (math.floor(passed) if staircase else passed)
    value = init_value * power
    if end_value is None:
        return value
    return max(value, end_value) if decay_rate < 1 else min(value, end_value)


def cosine(t, init_value, decay_steps, alpha=0.0, exponent=1.0):
    wave = 0.5 + 0.5 * math.cos(math.pi * min(t, decay_steps) / decay_steps)
    return init_value * ((1 - alpha) * wave**exponent + alpha)


CURVES = [
    curve("constant", "constant_schedule", constant, value=-0.7),
    curve(
        "falls", "polynomial_schedule", polynomial, (8,),
        init_value=2.0, end_value=0.3, power=2.5, transition_steps=8,
    ),
    curve(
        "rises_late", "polynomial_schedule", polynomial, (4, 13),
        init_value=-1.0, end_value=3.0, power=2.0, transition_steps=9, transition_begin=4,
    ),
    curve(
        "power_one", "polynomial_schedule", polynomial, (3, 8),
        init_value=-1.0, end_value=3.0, power=1.0, transition_steps=5, transition_begin=3,
    ),
    curve(
        "one_step", "polynomial_schedule", polynomial, (1,),
        init_value=1.0, end_value=0.25, power=2.0, transition_steps=1,
    ),
    curve(
        "line", "linear_schedule", linear, (9,),
        init_value=0.2, end_value=1.0, transition_steps=9,
    ),
    curve(
        "line_late", "linear_schedule", linear, (3, 12),
        init_value=0.2, end_value=1.0, transition_steps=9, transition_begin=3,
    ),
    curve(
        "decays", "exponential_decay", exponential, (6, 12),
        init_value=2.0, transition_steps=6, decay_rate=0.4,
    ),
    curve(
        "decays_late", "exponential_decay", exponential, (5, 11),
        init_value=2.0, transition_steps=6, decay_rate=0.4, transition_begin=5,
    ),
    curve(
        "stairs", "exponential_decay", exponential, (5, 8, 11),
        init_value=2.0, transition_steps=3, decay_rate=0.4, transition_begin=5, staircase=True,
    ),
    curve(
        "bounded_below", "exponential_decay", exponential, (6, 12),
        init_value=2.0, transition_steps=4, decay_rate=0.4, end_value=0.5,
    ),
    curve(
        "bounded_above", "exponential_decay", exponential, (6, 12),
        init_value=0.1, transition_steps=4, decay_rate=1.5, end_value=0.7,
    ),
    curve("cosine", "cosine_decay_schedule", cosine, (5, 10), init_value=1.5, decay_steps=10),
    curve(
        "cosine_to_a_part", "cosine_decay_schedule", cosine, (5, 10),
        init_value=1.5, decay_steps=10, alpha=0.2, exponent=2.5,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_growth_without_bound_stays_finite(sign):
    growing = optcore.exponential_decay(3.0 * sign, 1, 2.0)
    assert growing(LAST) == sign * np.finfo(np.float32).max
    assert growing(100) == 3.0 * sign * 2.0**100
    slopes = jax.grad(lambda schedule: schedule(LAST))(growing)
    assert np.isfinite(jax.tree.leaves(slopes)).all()


def test_counts_may_be_an_array():
    line = optcore.linear_schedule(0.0, 1.0, 4)
    counts = jnp.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(line(counts), [[0, 0.25], [0.5, 0.75], [1, 1]])
    constant = optcore.constant_schedule(2.0)(counts)
    np.testing.assert_array_equal(constant, np.full((3, 2), 2))
    assert constant.dtype == jnp.float32


def test_consecutive_late_counts_are_told_apart():
    """float32 counts exactly only to 2²⁴."""
    late = 2**24
    line = optcore.linear_schedule(0.0, 4.0, 4, transition_begin=late)
    assert [line(late + d).item() for d in range(5)] == [0, 1, 2, 3, 4]
    stairs = optcore.exponential_decay(1.0, 2, 0.5, transition_begin=late, staircase=True)
    assert [stairs(late + d).item() for d in range(5)] == [1, 1, 0.5, 0.5, 0.25]


def test_a_transition_may_end_after_the_last_count():
    line = optcore.linear_schedule(0.0, 1.0, LAST, transition_begin=2**30)
    assert line(LAST) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["polynomial", "linear", "cosine_decay"])
def test_defaults(name):
    oracles.same_defaults(named(f"{name}_schedule"), getattr(optax, f"{name}_schedule"))


def test_defaults_of_exponential_decay():
    oracles.same_defaults(optcore.exponential_decay, optax.exponential_decay)
