"""Steps, joined schedules and warm-up against their formulas and optax."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.schedules.curves import CHECKS, LAST, Curve


def steps(t, init_value, boundaries_and_scales=None):
    scales = boundaries_and_scales or {}
    return init_value * math.prod(scale for boundary, scale in scales.items() if t >= boundary)


def warmup_cosine(
    t, init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0
):
    if t < warmup_steps:
        return init_value + (peak_value - init_value) * t / warmup_steps
    part = min((t - warmup_steps) / (decay_steps - warmup_steps), 1)
    wave = 0.5 + 0.5 * math.cos(math.pi * part)
    return end_value + (peak_value - end_value) * wave**exponent


def curve(label, ours, formula, at=(), **arguments):
    return Curve(label, getattr(optcore, ours), formula, arguments, at, getattr(optax, ours))


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
        "warmup", "warmup_cosine_decay_schedule", warmup_cosine, (4, 12),
        init_value=0.1, peak_value=1.5, warmup_steps=4, decay_steps=12,
    ),
    curve(
        "warmup_all_options", "warmup_cosine_decay_schedule", warmup_cosine, (4, 7, 12),
        init_value=0.1, peak_value=1.5, warmup_steps=4, decay_steps=12, end_value=0.3, exponent=2.5,
    ),
    curve(
        "no_warmup", "warmup_cosine_decay_schedule", warmup_cosine, (6,),
        init_value=0.1, peak_value=1.5, warmup_steps=0, decay_steps=6, end_value=0.3,
    ),
    curve(
        "shortest_warmup_and_decay", "warmup_cosine_decay_schedule", warmup_cosine, (1, 2),
        init_value=0.1, peak_value=1.5, warmup_steps=1, decay_steps=2,
    ),
]  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
@pytest.mark.parametrize("curve", CURVES, ids=lambda c: c.label)
def test_formula(curve, check):
    check(curve)


def test_the_scales_have_derivatives():
    schedule = optcore.piecewise_constant_schedule(2.0, {3: 0.5, 6: 0.25})
    slopes = jax.grad(lambda schedule: schedule(4))(schedule)
    assert slopes == optcore.piecewise_constant_schedule(0.5, {3: 2.0, 6: 0.0})


def identity(count):
    return jnp.asarray(count, jnp.float32)


def test_joined_schedules_count_from_their_own_start():
    schedule = optcore.join_schedules(
        [identity, lambda count: 100 + identity(count), lambda count: 1000 + identity(count)],
        [3, 5],
    )
    expected = [0, 1, 2, 100, 101, 1000, 1001, 1002]
    assert [schedule(t).item() for t in range(8)] == expected
    np.testing.assert_array_equal(schedule(jnp.arange(8)), expected)
    np.testing.assert_array_equal(jax.jit(schedule)(jnp.arange(8)), expected)
    assert schedule(LAST) == pytest.approx(1000 + LAST - 5)
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.join_schedules(schedule.arguments["schedules"], [3, 5])
        assert [theirs(t) for t in range(8)] == expected


def test_a_joined_schedule_never_sees_a_negative_count():
    def root(count):
        return jnp.sqrt(identity(count))

    schedule = optcore.join_schedules([optcore.constant_schedule(2.0), root], [4])
    assert schedule(0) == 2.0
    assert schedule(13) == 3.0
    np.testing.assert_array_equal(schedule(jnp.array([3, 4, 5])), [2.0, 0.0, 1.0])

    # A negative count would come back through the derivative as 0 · nan.
    def value(power):
        later = optcore.polynomial_schedule(1.0, 0.0, power, 4)
        return optcore.join_schedules([optcore.constant_schedule(2.0), later], [4])(0)

    assert jax.grad(value)(2.0) == 0.0


def test_one_schedule_alone():
    assert optcore.join_schedules([optcore.constant_schedule(2.0)], [])(7) == 2.0


@pytest.mark.parametrize(
    ("count", "boundaries", "message"),
    [
        (2, [], "expected 1 for 2 schedules, got 0"),
        (2, [1, 2], "expected 1 for 2 schedules, got 2"),
        (0, [], "at least one, got none"),
        (3, [4, 4], "must increase"),
        (3, [4, 2], "must increase"),
    ],
)
def test_join_schedules_refuses(count, boundaries, message):
    with pytest.raises(ValueError, match=message):
        optcore.join_schedules([identity] * count, boundaries)


def test_boundaries_are_counts():
    optcore.piecewise_constant_schedule(1.0, {0: 0.5})
    for boundary in (-1, 2.5, True, "3"):
        with pytest.raises(ValueError, match="ints ≥ 0, as keys, got"):
            optcore.piecewise_constant_schedule(1.0, {boundary: 0.5})


def test_the_decay_takes_time():
    optcore.warmup_cosine_decay_schedule(0.0, 1.0, 3, 4)
    for decay_steps in (2, 3):
        with pytest.raises(ValueError, match=f"must exceed warmup_steps=3, got {decay_steps}"):
            optcore.warmup_cosine_decay_schedule(0.0, 1.0, 3, decay_steps)


@pytest.mark.parametrize(
    "name", ["piecewise_constant_schedule", "join_schedules", "warmup_cosine_decay_schedule"]
)
def test_defaults(name):
    oracles.same_defaults(getattr(optcore, name), getattr(optax, name))


def test_a_boundary_fits_in_the_count():
    last = 2**31 - 1
    schedule = optcore.piecewise_constant_schedule(1.0, {100: 0.5, last: 0.5})
    assert [float(schedule(t)) for t in (99, 100, last - 1, last)] == [1.0, 0.5, 0.5, 0.25]
    with pytest.raises(ValueError, match=f"as keys, got {2**31}"):
        optcore.piecewise_constant_schedule(1.0, {2**31: 0.5})
