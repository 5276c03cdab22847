"""Chebyshev's steps: their formula, their order, and what theory says they do."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.schedules.curves import cases, curve


def order(length):
    """The recursive definition of arXiv 2103.01338, as a list."""
    if length == 1:
        return [0]
    half = order(length // 2)
    return [x for s in half for x in (s, length - 1 - s)]


def chebyshev(t, init_value, period, smallest=0.05, largest=1.0):
    length = 2 ** math.ceil(math.log2(period))
    theta = (order(length)[t % length] + 0.5) * math.pi / length
    middle, radius = (largest + smallest) / 2, (largest - smallest) / 2
    return init_value / (middle - radius * math.cos(theta))


CURVES = [
    curve("eight", "chebyshev_schedule", chebyshev, (7, 8), init_value=0.3, period=8),
    curve(
        "rounded_up", "chebyshev_schedule", chebyshev, (5, 16),
        init_value=0.3, period=11, smallest=0.2, largest=0.7,
    ),
    curve("one", "chebyshev_schedule", chebyshev, (1,), init_value=0.3, period=1),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


def test_gradient_descent_ends_where_no_other_steps_end_closer():
    """After T steps the worst coordinate is left with 1 / cosh(T arcosh((M + m) / (M - m)))."""
    m, big, steps = 0.05, 1.0, 16
    h = np.linspace(m, big, 2001)
    rates = np.asarray(
        optcore.schedules.chebyshev_schedule(1.0, steps, m, big)(jnp.arange(steps)), float
    )
    left = np.abs(np.prod(1 - np.outer(rates, h), axis=0))
    bound = 1 / math.cosh(steps * math.acosh((big + m) / (big - m)))
    assert left.max() == pytest.approx(bound, rel=1e-4)
    partial = np.abs(np.cumprod(1 - np.outer(rates, h), axis=0)).max()
    ascending = np.abs(np.cumprod(1 - np.outer(np.sort(rates)[::-1], h), axis=0)).max()
    assert partial < 40 < ascending


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"smallest": 2.0}, "smallest must not exceed largest=1.0, got 2.0"),
        ({"smallest": 0.0}, "smallest must lie in"),
        ({"period": 2**30 + 1}, "period must not exceed"),
        ({"period": 0}, "period must lie in"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        optcore.schedules.chebyshev_schedule(**{"init_value": 1.0, "period": 8, **arguments})
