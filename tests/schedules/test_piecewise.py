"""Constant and interpolated pieces against their formulas and optax."""

import math

import jax
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named
from tests.schedules.curves import cases, curve


def steps(t, init_value, boundaries_and_scales=None):
    scales = boundaries_and_scales or {}
    return init_value * math.prod(scale for boundary, scale in scales.items() if t >= boundary)


def interpolated(t, interpolate_type, init_value, boundaries_and_scales=None):
    bounds, values = [0], [init_value]
    for boundary, scale in sorted((boundaries_and_scales or {}).items()):
        bounds.append(boundary)
        values.append(values[-1] * scale)
    if interpolate_type == "linear":
        return (
            float(np.interp(t, bounds, values))
            if bounds[:2] != [0, 0]
            else float(np.interp(t, bounds[1:], values[1:]))
        )
    for i in range(len(bounds) - 1):
        if bounds[i] <= t < bounds[i + 1]:
            part = (t - bounds[i]) / (bounds[i + 1] - bounds[i])
            return values[i] + (values[i + 1] - values[i]) * (0.5 - 0.5 * math.cos(math.pi * part))
    return values[-1]


CURVES = [
    curve("no_steps", "piecewise_constant_schedule", steps, init_value=0.8),
    curve(
        "steps", "piecewise_constant_schedule", steps, (3, 9),
        init_value=0.8, boundaries_and_scales={3: 0.5, 9: 3.0},
    ),
    curve(
        "unsorted", "piecewise_constant_schedule", steps, (3, 9),
        init_value=-0.8, boundaries_and_scales={9: 0.25, 3: 0.5},
    ),
    curve(
        "from_the_start", "piecewise_constant_schedule", steps, (5,),
        init_value=2.0, boundaries_and_scales={0: 0.25, 5: 0.0},
    ),
    curve(
        "straight", "piecewise_interpolate_schedule", interpolated, (3, 9),
        interpolate_type="linear", init_value=0.8, boundaries_and_scales={3: 2.5, 9: 0.25},
    ),
    curve(
        "waves", "piecewise_interpolate_schedule", interpolated, (4, 9),
        interpolate_type="cosine", init_value=0.8, boundaries_and_scales={9: 0.25, 4: 2.5},
    ),
    curve(
        "jumps_at_the_start", "piecewise_interpolate_schedule", interpolated, (6,),
        interpolate_type="linear", init_value=-0.8, boundaries_and_scales={0: 0.5, 6: 3.0},
    ),
    curve(
        "no_piece", "piecewise_interpolate_schedule", interpolated,
        interpolate_type="cosine", init_value=0.7,
    ),
    curve(
        "epochs", "step_decay_schedule", lambda t, init_value, every, factor, steps_per_epoch=1:
        init_value * factor ** (t // (every * steps_per_epoch)), (6, 12, 18),
        init_value=0.8, every=2, factor=0.5, steps_per_epoch=3,
    ),
    curve(
        "grows", "step_decay_schedule", lambda t, init_value, every, factor:
        init_value * min(float(factor) ** min(t // every, 300), 1e30), (5, 10),
        init_value=0.8, every=2**27, factor=1.5,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


def test_the_scales_have_derivatives():
    schedule = optcore.piecewise_constant_schedule(2.0, {3: 0.5, 6: 0.25})
    slopes = jax.grad(lambda schedule: schedule(4))(schedule)
    assert slopes == optcore.piecewise_constant_schedule(0.5, {3: 2.0, 6: 0.0})


def test_boundaries_are_counts():
    optcore.piecewise_constant_schedule(1.0, {0: 0.5})
    for boundary in (-1, 2.5, True, "3"):
        with pytest.raises(ValueError, match="ints ≥ 0, as keys, got"):
            optcore.piecewise_constant_schedule(1.0, {boundary: 0.5})
        with pytest.raises(ValueError, match=r"^piecewise_interpolate_schedule.*ints ≥ 0, as keys"):
            optcore.schedules.piecewise_interpolate_schedule("linear", 1.0, {boundary: 0.5})


@pytest.mark.parametrize("name", ["piecewise_constant_schedule", "piecewise_interpolate_schedule"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


def test_a_boundary_fits_in_the_count():
    last = 2**31 - 1
    schedule = optcore.piecewise_constant_schedule(1.0, {100: 0.5, last: 0.5})
    assert [float(schedule(t)) for t in (99, 100, last - 1, last)] == [1.0, 0.5, 0.5, 0.25]
    with pytest.raises(ValueError, match=f"as keys, got {2**31}"):
        optcore.piecewise_constant_schedule(1.0, {2**31: 0.5})
