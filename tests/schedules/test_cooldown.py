"""Cool-downs, warm-up-stable-decay and knee against their formulas."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.schedules.curves import cases, curve

SHAPES = {
    "linear": lambda x: 1 - x,
    "cosine": lambda x: 0.5 + 0.5 * math.cos(math.pi * x),
    "1-sqrt": lambda x: 1 - math.sqrt(x),
    "1-square": lambda x: 1 - x**2,
}


def cooled(x, top, end, shape, power=None):
    if shape == "exponential":
        return top * (end / top) ** x
    height = (1 - x) ** power if shape == "power" else SHAPES[shape](x)
    return end + (top - end) * height


def stable_decay(
    t, peak_value, warmup_steps, stable_steps, decay_steps, end_value=0.0, init_value=0.0,
    shape="linear", power=None,
):  # fmt: skip
    if t < warmup_steps:
        return init_value + (peak_value - init_value) * t / warmup_steps
    x = min(max(t - warmup_steps - stable_steps, 0) / decay_steps, 1)
    return cooled(x, peak_value, end_value, shape, power)


def knee(t, peak_value, explore_steps, decay_steps, warmup_steps=0):
    return stable_decay(t, peak_value, warmup_steps, explore_steps, decay_steps)


WSD = {"peak_value": 0.9, "warmup_steps": 3, "stable_steps": 4, "decay_steps": 6}
CURVES = [
    *(
        curve(
            shape, "warmup_stable_decay_schedule", stable_decay, (3, 7, 13),
            **WSD, end_value=0.2, init_value=0.1, shape=shape,
        )
        for shape in (*SHAPES, "exponential")
    ),
    curve(
        "power", "warmup_stable_decay_schedule", stable_decay, (3, 7, 13),
        **WSD, end_value=0.2, shape="power", power=1.2,
    ),
    curve("defaults", "warmup_stable_decay_schedule", stable_decay, (3, 7, 13), **WSD),
    curve(
        "nothing_but_decay", "warmup_stable_decay_schedule", stable_decay, (1,),
        **{**WSD, "warmup_steps": 0, "stable_steps": 0, "decay_steps": 1},
    ),
    curve("knee", "knee_schedule", knee, (3, 8), peak_value=0.9, explore_steps=3, decay_steps=5),
    curve(
        "knee_warm", "knee_schedule", knee, (2, 5, 10),
        peak_value=0.9, explore_steps=3, decay_steps=5, warmup_steps=2,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


@pytest.mark.parametrize("shape", [*SHAPES, "exponential", "power"])
def test_ends_and_monotone(shape):
    power = 0.7 if shape == "power" else None
    schedule = optcore.warmup_stable_decay_schedule(
        1.0, 0, 2**20, 2**20, end_value=1e-9, shape=shape, power=power
    )
    values = np.asarray(schedule(2**20 + jnp.linspace(0, 2**20, 1000).astype(jnp.int32)))
    assert values[0] == 1.0
    assert values[-1] == np.float32(1e-9)
    assert np.all(np.diff(values) <= 0)


@pytest.mark.parametrize("shape", [*SHAPES, "exponential", "power"])
def test_a_rise_from_zero_has_values_and_derivatives(shape):
    power = 0.7 if shape == "power" else None
    schedule = optcore.warmup_stable_decay_schedule(**WSD, end_value=0.1, shape=shape, power=power)
    counts = jnp.arange(20)
    assert schedule(0) == 0
    assert schedule(13) == schedule(20) == np.float32(0.1)
    slopes = jax.jacfwd(lambda schedule: schedule(counts))(schedule)
    assert all(np.isfinite(x).all() for x in [schedule(counts), *jax.tree.leaves(slopes)])


def test_the_last_steps_keep_their_digits():
    """`1 - √x` in float32 would be off by 3e-2 here."""
    length = 2**20
    x = (length - 2) / length
    for shape, f in SHAPES.items():
        schedule = optcore.append_cooldown(optcore.constant_schedule(1.0), 0, length, shape=shape)
        assert schedule(length - 2) == pytest.approx(f(x), rel=1e-4 if shape == "cosine" else 1e-6)


def test_a_longer_run_branches_from_the_stable_part():
    stable = optcore.warmup_constant_schedule(0.0, 1.0, 5)
    short, long = (optcore.append_cooldown(stable, begin, 10) for begin in (20, 50))
    early = jnp.arange(21)
    np.testing.assert_array_equal(short(early), long(early))
    np.testing.assert_array_equal(short(20 + early), long(50 + early))
    whole = optcore.warmup_stable_decay_schedule(1.0, 5, 15, 10)
    np.testing.assert_array_equal(short(jnp.arange(40)), whole(jnp.arange(40)))


def test_a_cooldown_starts_from_the_value_there():
    falling = optcore.linear_schedule(1.0, 0.0, 10)
    cooled = optcore.append_cooldown(falling, 5, 2)
    np.testing.assert_allclose(
        cooled(jnp.arange(9)), [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.25, 0, 0], atol=1e-7
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": "exponential"}, "end_value must be positive, got 0.0"),
        (
            {"shape": "exponential", "peak_value": -1.0, "end_value": -2.0},
            "end_value must be positive, got -2.0",
        ),
        ({"shape": "power"}, "the shape 'power' needs power, a positive"),
        ({"power": 2.0}, "power belongs to the shape 'power', got power=2.0"),
        ({"end_value": 2.0}, "end_value must not exceed peak_value=0.9, got 2.0"),
        ({"decay_steps": 0}, "decay_steps must lie in"),
        ({"warmup_steps": -1}, "warmup_steps must lie in"),
        ({"shape": "square"}, "shape must be one of 'linear', 'cosine'"),
        ({"warmup_steps": 2**31 - 1}, "run must have fewer than 2"),
        ({"decay_steps": 2**31 - 1}, "run must have fewer than 2"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=f"warmup_stable_decay_schedule: .*{message}"):
        optcore.warmup_stable_decay_schedule(**{**WSD, **arguments})


def test_what_is_known_of_the_schedule_is_checked():
    falling = optcore.linear_schedule(1.0, 0.0, 10)
    with pytest.raises(ValueError, match=r"append_cooldown: end_value must not exceed .*=0\.5"):
        optcore.append_cooldown(falling, 5, 2, end_value=0.6)
    # Of a plain function nothing is known: where it is not positive, nothing can be multiplied.
    flat = optcore.append_cooldown(lambda t: 0.0, 2, 4, end_value=0.1, shape="exponential")
    np.testing.assert_array_equal(flat(jnp.arange(8)), np.float32([0, 0, 0, 0, 0, 0, 0.1, 0.1]))


@pytest.mark.parametrize(("rise", "start"), [("cosine", "init"), ("linear", "nonzero")])
def test_the_rise_is_that_of_prepend_warmup(rise, start):
    wsd = optcore.warmup_stable_decay_schedule(**WSD, init_value=0.1, rise=rise, start=start)
    warm = optcore.warmup_constant_schedule(0.1, 0.9, 3, rise=rise, start=start)
    np.testing.assert_array_equal(wsd(jnp.arange(7)), warm(jnp.arange(7)))
