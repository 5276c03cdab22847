"""Cyclical rates against the equations of arXiv 1506.01186."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.schedules.curves import LAST, cases, curve


def scaled(t, up_steps, down_steps=None, policy="triangular", gamma=None, scale_fn=None,
           scale_mode="cycle"):  # fmt: skip
    """The height as a part of the range; equal lengths use the paper's own equations."""
    down = up_steps if down_steps is None else down_steps
    cycle = math.floor(1 + t / (up_steps + down))
    if down == up_steps:
        x = abs(t / up_steps - 2 * cycle + 1)
        height = max(0.0, 1 - x)
    else:
        position = t - (cycle - 1) * (up_steps + down)
        height = position / up_steps if position <= up_steps else 1 - (position - up_steps) / down
    if scale_fn is not None:
        return height / (1 + 0.1 * (cycle if scale_mode == "cycle" else t))
    scales = {"triangular": 1, "triangular2": 0.5 ** min(cycle - 1, 1000)}
    return height * (gamma**t if policy == "exp_range" else scales[policy])


def cyclic(t, base_value, max_value, *arguments, **more):
    return base_value + (max_value - base_value) * scaled(t, *arguments, **more)


def momentum(t, base_momentum, max_momentum, *arguments, **more):
    return max_momentum - (max_momentum - base_momentum) * scaled(t, *arguments, **more)


def harmonic(x):
    return 1 / (1 + 0.1 * jnp.asarray(x, jnp.float32))


OPTIONS = {
    "paper": {"up_steps": 4},
    "uneven": {"up_steps": 3, "down_steps": 5},
    "triangular2": {"up_steps": 3, "policy": "triangular2"},
    "exp_range": {"up_steps": 3, "down_steps": 2, "policy": "exp_range", "gamma": 0.9},
    "of_the_cycle": {"up_steps": 3, "scale_fn": harmonic},
    "of_the_step": {"up_steps": 3, "scale_fn": harmonic, "scale_mode": "iterations"},
    "one_step": {"up_steps": 1},
}

CURVES = [
    curve(
        f"rate-{name}", "cyclic_schedule", cyclic, (3, 4, 8, 16),
        base_value=0.1, max_value=0.7, **o,
    )
    for name, o in OPTIONS.items()
] + [
    curve(
        f"momentum-{name}", "cyclic_momentum_schedule", momentum, (3, 4, 8),
        base_momentum=0.8, max_momentum=0.95, **o,
    )
    for name, o in OPTIONS.items()
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


def test_late_cycles_are_exact():
    """In float32 the steps after 2²⁴ cannot be told apart."""
    waves = optcore.cyclic_schedule(0.0, 1.0, 4)
    late = 8 * (2**27)
    np.testing.assert_array_equal(
        waves(jnp.arange(late, late + 9)), [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]
    )


def test_the_rate_and_the_momentum_move_against_each_other():
    rate = optcore.cyclic_schedule(0.0, 1.0, 3, 5)
    against = optcore.schedules.cyclic_momentum_schedule(0.0, 1.0, 3, 5)
    np.testing.assert_allclose(rate(jnp.arange(20)) + against(jnp.arange(20)), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_value": 2.0}, "base_value must not exceed max_value=1.0, got 2.0"),
        ({"policy": "exp_range"}, "the policy 'exp_range' needs gamma, in"),
        ({"gamma": 0.5}, "gamma belongs to the policy 'exp_range', got gamma=0.5"),
        ({"policy": "exp_range", "gamma": 0.0}, r"gamma must lie in \(0, 1\], got 0.0"),
        ({"policy": "exp_range", "gamma": 1.5}, r"gamma must lie in \(0, 1\], got 1.5"),
        ({"scale_fn": harmonic, "policy": "triangular2"}, "got both scale_fn and the policy"),
        ({"scale_mode": "iterations"}, "needs a scale_fn, got none"),
        ({"up_steps": 0}, r"up_steps must lie in \[1, 2147483648\), got 0"),
        ({"down_steps": -1}, "down_steps"),
        ({"up_steps": 2**30, "down_steps": 2**30}, "fewer than 2\\*\\*31 steps"),
        ({"max_value": math.nan}, "max_value must be a number, got nan"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        optcore.cyclic_schedule(**{"base_value": 0.0, "max_value": 1.0, "up_steps": 4, **arguments})


def test_a_swapped_momentum_is_refused():
    with pytest.raises(ValueError, match=r"base_momentum must not exceed max_momentum=0\.8"):
        optcore.schedules.cyclic_momentum_schedule(0.95, 0.8, 4)


def test_gamma_may_be_swept():
    def last(gamma):
        return optcore.cyclic_schedule(0.0, 1.0, 2, policy="exp_range", gamma=gamma)(6)

    gammas = jnp.array([0.5, 0.9])
    np.testing.assert_allclose(jax.jit(jax.vmap(last))(gammas), gammas**6, rtol=1e-6)
    assert optcore.cyclic_schedule(0.0, 1.0, 2)(LAST) == 0.5
