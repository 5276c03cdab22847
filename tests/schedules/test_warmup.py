"""Warm-up in front of anything against formulas and optax."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named
from tests.schedules.curves import cases, curve


def rising(t, low, high, warmup_steps, rise="linear", start="init"):
    part = (t + (start == "nonzero")) / warmup_steps
    if rise == "exponential":
        return low * (high / low) ** part
    part = 0.5 - 0.5 * math.cos(math.pi * part) if rise == "cosine" else part
    return low + (high - low) * part


def warmup_cosine(
    t, init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, exponent=1.0, **how
):
    if t < warmup_steps:
        return rising(t, init_value, peak_value, warmup_steps, **how)
    part = min((t - warmup_steps) / (decay_steps - warmup_steps), 1)
    wave = 0.5 + 0.5 * math.cos(math.pi * part)
    return end_value + (peak_value - end_value) * wave**exponent


def warmup_linear(t, init_value, peak_value, warmup_steps, decay_steps, end_value=0.0, **how):
    if t < warmup_steps:
        return rising(t, init_value, peak_value, warmup_steps, **how)
    part = min((t - warmup_steps) / (decay_steps - warmup_steps), 1)
    return peak_value + (end_value - peak_value) * part


def warmup_constant(t, init_value, peak_value, warmup_steps, **how):
    return (
        rising(t, init_value, peak_value, warmup_steps, **how) if t < warmup_steps else peak_value
    )


def warmup_exponential(
    t, init_value, peak_value, warmup_steps, transition_steps, decay_rate,
    transition_begin=0, staircase=False, end_value=None, **how,
):  # fmt: skip
    if t < warmup_steps:
        return rising(t, init_value, peak_value, warmup_steps, **how)
    passed = max(t - warmup_steps - transition_begin, 0) / transition_steps
    value = peak_value * decay_rate ** (math.floor(passed) if staircase else passed)
    return value if end_value is None else max(value, end_value)


HOW = [
    {"rise": "cosine"},
    {"rise": "exponential"},
    {"start": "nonzero"},
    {"rise": "cosine", "start": "nonzero"},
    {"rise": "exponential", "start": "nonzero"},
]

CURVES = [
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
    curve(
        "constant", "warmup_constant_schedule", warmup_constant, (5,),
        init_value=0.1, peak_value=1.5, warmup_steps=5,
    ),
    curve(
        "linear", "warmup_linear_decay_schedule", warmup_linear, (4, 12),
        init_value=0.1, peak_value=1.5, warmup_steps=4, decay_steps=12, end_value=0.3,
    ),
    curve(
        "exponential", "warmup_exponential_decay_schedule", warmup_exponential, (4, 7, 11),
        init_value=0.1, peak_value=1.5, warmup_steps=4, transition_steps=4, decay_rate=0.6,
        transition_begin=3,
    ),
    curve(
        "stairs", "warmup_exponential_decay_schedule", warmup_exponential, (4, 7, 11),
        init_value=0.1, peak_value=1.5, warmup_steps=4, transition_steps=4, decay_rate=0.6,
        transition_begin=3, staircase=True, end_value=0.4,
    ),
]  # fmt: skip


def risen(how):
    """The four schedules with a way to rise; optax has no such arguments."""
    same = {"init_value": 0.1, "peak_value": 1.5, "warmup_steps": 5}
    label = "-".join(how.values())
    made = [
        curve(
            f"constant-{label}", "warmup_constant_schedule", warmup_constant, (5,), **same, **how,
        ),
        curve(
            f"cosine-{label}", "warmup_cosine_decay_schedule", warmup_cosine, (5, 9),
            **same, decay_steps=9, **how,
        ),
        curve(
            f"linear-{label}", "warmup_linear_decay_schedule", warmup_linear, (5, 9),
            **same, decay_steps=9, **how,
        ),
        curve(
            f"exponential-{label}", "warmup_exponential_decay_schedule", warmup_exponential, (5, 9),
            **same, transition_steps=4, decay_rate=0.6, **how,
        ),
    ]  # fmt: skip
    return [type(c)(**{**vars(c), "theirs": None}) for c in made]


@pytest.mark.parametrize(
    ("curve", "check"), cases([*CURVES, *(c for how in HOW for c in risen(how))])
)
def test_formula(curve, check):
    check(curve)


def test_warmup_in_front_of_a_plain_function():
    def decay(count):
        return 2.0 / (1 + jnp.asarray(count, jnp.float32))

    warm = optcore.prepend_warmup(decay, 4, 0.4)
    np.testing.assert_allclose(warm(jnp.arange(7)), [0.4, 0.8, 1.2, 1.6, 2, 1, 2 / 3], rtol=1e-6)


def test_no_warmup_starts_at_the_peak():
    """optax stays at the first value for ever."""
    ours = optcore.warmup_constant_schedule(0.0, 1e-3, warmup_steps=0)
    assert [float(ours(t)) for t in (0, 1, 100)] == [np.float32(1e-3)] * 3
    assert optax.warmup_constant_schedule(0.0, 1e-3, warmup_steps=0)(100) == 0
    decay = optcore.linear_schedule(1.0, 0.0, 4)
    for start in ("init", "nonzero"):
        none = optcore.prepend_warmup(decay, 0, start=start)
        np.testing.assert_array_equal(none(jnp.arange(6)), decay(jnp.arange(6)))


def test_a_nonzero_start_wastes_no_step():
    eager = optcore.warmup_constant_schedule(0.0, 1.0, 10, start="nonzero")
    np.testing.assert_allclose(eager(jnp.arange(11)), [*np.arange(1, 11) / 10, 1], rtol=1e-6)


def test_an_exponential_rise_needs_positive_ends():
    for low, peak, name in ((0.0, 1.0, "init_value"), (0.1, -1.0, "the peak")):
        with pytest.raises(ValueError, match=f"^warmup_constant_schedule: .*{name} must be posi"):
            optcore.warmup_constant_schedule(low, peak, 5, rise="exponential")
    with pytest.raises(ValueError, match=r"^prepend_warmup: .*the peak must be positive, got 0\.0"):
        optcore.prepend_warmup(optcore.linear_schedule(0.0, 1.0, 4), 4, 0.1, rise="exponential")
    # Without steps there is no rise; a number that is traced cannot be checked.
    assert optcore.warmup_constant_schedule(0.0, 1.0, 0, rise="exponential")(0) == 1
    rising = jax.jit(
        lambda low: optcore.warmup_constant_schedule(low, 1.0, 5, rise="exponential")(2)
    )
    assert rising(0.0) == 0
    assert rising(0.1) == pytest.approx(10**-0.6, rel=1e-6)


def test_a_rise_ends_exactly_at_the_peak():
    for rise in ("linear", "cosine", "exponential"):
        for peak in (0.1, 0.3, 0.7):
            early = optcore.warmup_constant_schedule(1e-3, peak, 7, rise=rise, start="nonzero")
            assert early(6) == np.float32(peak)


def test_the_end_does_not_exceed_the_peak():
    with pytest.raises(ValueError, match=r"end_value must not exceed peak_value=0\.1, got 0\.5"):
        optcore.warmup_linear_decay_schedule(0.0, 0.1, 4, 8, end_value=0.5)


def test_the_decay_takes_time():
    for factory in (optcore.warmup_cosine_decay_schedule, optcore.warmup_linear_decay_schedule):
        factory(0.0, 1.0, 3, 4)
        for decay_steps in (2, 3):
            with pytest.raises(ValueError, match=f"exceed warmup_steps=3, got {decay_steps}"):
                factory(0.0, 1.0, 3, decay_steps)


@pytest.mark.parametrize(
    "name",
    [
        "warmup_constant_schedule",
        "warmup_cosine_decay_schedule",
        "warmup_exponential_decay_schedule",
    ],
)
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
