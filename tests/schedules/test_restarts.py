"""Warm restarts against an integer loop, and optax's list of cycles."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests.schedules.curves import LAST, cases, curve


def cycles(first, multiplier, until):
    """(cycle, start, length) of every cycle that starts up to `until`, one after another."""
    cycle, start = 0, 0
    while start <= until:
        length = math.floor(first * multiplier**cycle + 0.5)
        yield cycle, start, length
        cycle, start = cycle + 1, start + length


@functools.cache
def located(t, first, multiplier):
    if multiplier == 1:
        return t // first, t // first * first, first
    return list(cycles(first, multiplier, t))[-1]


def restarts(
    t, init_value, cycle_steps, cycle_multiplier=1.0, end_value=0.0, decay=1.0, warmup_steps=0,
    steps_per_epoch=1,
):  # fmt: skip
    cycle, start, length = located(t, cycle_steps * steps_per_epoch, cycle_multiplier)
    low, high = end_value * decay**cycle, init_value * decay**cycle
    if t - start < warmup_steps:
        return low + (high - low) * (t - start) / warmup_steps
    part = (t - start - warmup_steps) / (length - warmup_steps)
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * part))


CURVES = [
    curve("even", "cosine_restarts_schedule", restarts, (7, 14), init_value=0.9, cycle_steps=7),
    curve(
        "doubling", "cosine_restarts_schedule", restarts, (3, 9, 21),
        init_value=0.9, cycle_steps=3, cycle_multiplier=2.0, end_value=0.2, decay=0.7,
    ),
    curve(
        "all", "cosine_restarts_schedule", restarts, (6, 15, 29),
        init_value=0.9, cycle_steps=3, cycle_multiplier=1.5, end_value=0.2, decay=0.7,
        warmup_steps=4, steps_per_epoch=2,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


@pytest.mark.parametrize("multiplier", [1, 1.5, 2, 3])
@pytest.mark.parametrize("first", [10, pytest.param(1, marks=pytest.mark.slow)])
def test_every_boundary(first, multiplier):
    """At and around every restart up to 2²⁴ the values are those of an integer loop."""
    if multiplier == 1:
        starts = np.arange(0, 2**24, first)
        numbers, lengths = np.arange(len(starts)), np.full(len(starts), first)
    else:
        numbers, starts, lengths = np.array(list(cycles(first, multiplier, 2**24))).T
    schedule = jax.jit(optcore.cosine_restarts_schedule(1.0, first, multiplier))
    for position in (0 * lengths, np.minimum(1, lengths - 1), lengths - 1):
        expected = np.sin(0.5 * np.pi * (lengths - position) / lengths) ** 2
        got = schedule(jnp.array(starts + position, jnp.int32))
        np.testing.assert_allclose(got, expected, rtol=2e-6)
    decaying = jax.jit(optcore.cosine_restarts_schedule(1.0, first, multiplier, 0.1, decay=0.999))
    few = numbers < 5000
    got = decaying(jnp.array(starts[few], jnp.int32))
    np.testing.assert_allclose(got, 0.999 ** numbers[few], rtol=2e-6)


def test_the_end_of_a_long_cycle_keeps_its_digits():
    length = 2**26 + 3
    schedule = optcore.cosine_restarts_schedule(1.0, length)
    grown = optcore.cosine_restarts_schedule(1.0, length, 2.0)
    for rest in (1, 2, 3, 100):
        expected = math.sin(0.5 * math.pi * rest / length) ** 2
        assert float(schedule(length - rest)) == pytest.approx(expected, rel=1e-6)
        assert float(grown(length - rest)) == pytest.approx(expected, rel=1e-6)
        assert float(grown(3 * length - rest)) == pytest.approx(expected / 4, rel=1e-6)


def test_lengths_round_halves_up():
    """5, 7.5, 11.25, 16.875 steps."""
    schedule = optcore.cosine_restarts_schedule(1.0, 5, 1.5)
    assert optcore.schedules.cycle_ends(schedule, 60) == (5, 13, 24, 41)
    values = np.asarray(schedule(jnp.arange(42)))
    assert [t for t in range(42) if values[t] == 1.0] == [0, 5, 13, 24, 41]


def test_the_last_count():
    for multiplier in (1.0, 1.001, 2.0, 1e6, 2.0**30):
        value = optcore.cosine_restarts_schedule(1.0, 7, multiplier)(LAST)
        assert 0 <= value <= 1


def test_epochs_are_steps():
    epochs = optcore.cosine_restarts_schedule(1.0, 2, 2.0, steps_per_epoch=10)
    steps = optcore.cosine_restarts_schedule(1.0, 20, 2.0)
    np.testing.assert_array_equal(epochs(jnp.arange(150)), steps(jnp.arange(150)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"end_value": 2.0}, ValueError, "end_value must not exceed init_value=1.0, got 2.0"),
        ({"warmup_steps": 5}, ValueError, "fewer than the 5 steps of the first cycle, got 5"),
        (
            {"cycle_multiplier": 0.5},
            ValueError,
            r"multiplier must lie in \[1, 2147483648\), got 0.5",
        ),
        ({"cycle_multiplier": 1.0001}, ValueError, "must be 1 or at least 1.001, got 1.0001"),
        (
            {"cycle_multiplier": len},
            TypeError,
            "cycle_multiplier is static and cannot be a schedule",
        ),
        ({"decay": 0.0}, ValueError, "decay must lie in"),
        ({"cycle_steps": 0}, ValueError, "cycle_steps must lie in"),
        ({"steps_per_epoch": 2**29}, ValueError, "fewer than 2\\*\\*31 steps"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        optcore.cosine_restarts_schedule(**{"init_value": 1.0, "cycle_steps": 5, **arguments})


def test_the_multiplier_is_static():
    with pytest.raises(TypeError, match="cycle_multiplier must be a static number, got a traced"):
        jax.jit(lambda m: optcore.cosine_restarts_schedule(1.0, 5, m)(3))(2.0)


CYCLES = [
    {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 7},
    {"init_value": 0.1, "peak_value": 0.8, "warmup_steps": 3, "decay_steps": 9, "end_value": 0.2},
    {"init_value": 0.3, "peak_value": 0.5, "warmup_steps": 1, "decay_steps": 4, "exponent": 2.0},
]


def test_sgdr_schedule_is_optax():
    ours, theirs = optcore.schedules.sgdr_schedule(CYCLES), optax.sgdr_schedule(CYCLES)
    counts = jnp.arange(25)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.vmap(theirs)(counts)
    np.testing.assert_allclose(ours(counts), expected, atol=1e-6)
    assert optcore.schedules.cycle_ends(ours, 100) == (7, 16, 20)


def test_the_rates_of_a_list_of_cycles_may_be_swept():
    schedule = optcore.schedules.sgdr_schedule(CYCLES)
    assert len(jax.tree.leaves(schedule)) == 4 * len(CYCLES)
    doubled = jax.jit(lambda s: s(jnp.arange(25)))(jax.tree.map(lambda x: 2 * x, schedule))
    assert doubled[2] == 2.0
    with pytest.raises(ValueError, match="at least one cycle"):
        optcore.schedules.sgdr_schedule([])
    for wrong in (CYCLES[0], [1.0]):
        with pytest.raises(TypeError, match="cosine_kwargs must be a list of dicts"):
            optcore.schedules.sgdr_schedule(wrong)
