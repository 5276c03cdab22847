"""One cycle against the formulas of optax and of torch, and their momentum."""

import math

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named
from tests.schedules.curves import cases, curve


def pieces(t, kind, bounds, values):
    for begin, end, low, high in zip(bounds, bounds[1:], values, values[1:], strict=False):
        if begin <= t <= end:
            part = (t - begin) / (end - begin)
            part = 0.5 - 0.5 * math.cos(math.pi * part) if kind == "cosine" else part
            return low + (high - low) * part
    return values[-1]


def cosine(
    t, transition_steps, peak_value, pct_start=0.3, div_factor=25.0, final_div_factor=1e4
):  # fmt: skip
    first = peak_value / div_factor
    bounds = [0, int(pct_start * transition_steps), transition_steps]
    return pieces(t, "cosine", bounds, [first, peak_value, first / final_div_factor])


def linear(
    t, transition_steps, peak_value, pct_start=0.3, pct_final=0.85, div_factor=25.0,
    final_div_factor=1e4,
):  # fmt: skip
    first = peak_value / div_factor
    ends = [int(pct_start * transition_steps), int(pct_final * transition_steps), transition_steps]
    return pieces(t, "linear", [0, *ends], [first, peak_value, first, first / final_div_factor])


def bounds(total_steps, pct_start, three_phase):
    rise = pct_start * total_steps - 1
    return [0, rise, *([2 * rise] if three_phase else []), total_steps - 1]


def torch(
    t, peak_value, total_steps, pct_start=0.3, anneal="cosine", three_phase=False,
    div_factor=25.0, final_div_factor=1e4,
):  # fmt: skip
    first = peak_value / div_factor
    values = [first, peak_value, *([first] if three_phase else []), first / final_div_factor]
    return pieces(t, anneal, bounds(total_steps, pct_start, three_phase), values)


def momentum(
    t, total_steps, pct_start=0.3, anneal="cosine", three_phase=False, base_momentum=0.85,
    max_momentum=0.95,
):  # fmt: skip
    middle = [max_momentum] if three_phase else []
    values = [max_momentum, base_momentum, *middle, max_momentum]
    return pieces(t, anneal, bounds(total_steps, pct_start, three_phase), values)


CURVES = [
    curve(
        "cosine", "cosine_onecycle_schedule", cosine, (6, 20), transition_steps=20, peak_value=0.9,
    ),
    curve(
        "cosine_all", "cosine_onecycle_schedule", cosine, (4, 11),
        transition_steps=11, peak_value=0.9, pct_start=0.4, div_factor=3.0, final_div_factor=5.0,
    ),
    curve(
        "linear", "linear_onecycle_schedule", linear, (6, 17, 20),
        transition_steps=20, peak_value=0.9,
    ),
    curve(
        "linear_all", "linear_onecycle_schedule", linear, (4, 7, 11),
        transition_steps=11, peak_value=0.9, pct_start=0.4, pct_final=0.7, div_factor=3.0,
        final_div_factor=5.0,
    ),
    *(
        curve(
            f"torch-{anneal}-{three_phase}", "onecycle_schedule", torch, (3, 4, 7, 12),
            peak_value=0.9, total_steps=13, pct_start=0.35, anneal=anneal, three_phase=three_phase,
            div_factor=3.0, final_div_factor=5.0,
        )
        for anneal in ("cosine", "linear")
        for three_phase in (False, True)
    ),
    *(
        curve(
            f"momentum-{anneal}-{three_phase}", "onecycle_momentum_schedule", momentum,
            (3, 4, 7, 12), total_steps=13, pct_start=0.35, anneal=anneal, three_phase=three_phase,
            base_momentum=0.6, max_momentum=0.9,
        )
        for anneal in ("cosine", "linear")
        for three_phase in (False, True)
    ),
    curve("torch", "onecycle_schedule", torch, (8, 9, 30), peak_value=0.9, total_steps=31),
    curve("momentum", "onecycle_momentum_schedule", momentum, (8, 9, 30), total_steps=31),
]  # fmt: skip


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


@pytest.mark.parametrize("name", ["cosine_onecycle_schedule", "linear_onecycle_schedule"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


def test_little_is_left_at_the_end():
    """The last of 2²⁰ steps, whose value is 1e-12 of the peak, keeps its digits."""
    total = 2**20
    schedule = optcore.onecycle_schedule(1.0, total, final_div_factor=1e12)
    t = total - 2
    expected = torch(t, 1.0, total, final_div_factor=1e12)
    assert schedule(t) == pytest.approx(expected, rel=1e-4)
    assert schedule(total - 1) == pytest.approx(0.04e-12, rel=1e-6, abs=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optcore.onecycle_schedule(1.0, 10, 0.1), "every phase must have a length > 0"),
        (lambda: optcore.onecycle_schedule(1.0, 31, 0.6, three_phase=True), "every phase"),
        (
            lambda: optcore.schedules.onecycle_momentum_schedule(10, 0.05),
            "every phase must have a length > 0",
        ),
        (lambda: optcore.onecycle_schedule(1.0, 1), "total_steps must lie in"),
        (lambda: optcore.onecycle_schedule(1.0, 10, 0.0), "pct_start must lie in"),
        (lambda: optcore.onecycle_schedule(1.0, 10, 1.0), "pct_start must lie in"),
        (lambda: optcore.onecycle_schedule(1.0, 10, div_factor=0.0), "div_factor must lie in"),
        (lambda: optcore.schedules.linear_onecycle_schedule(3, 1.0), "at the steps 0, 0, 2, 3"),
        (
            lambda: optcore.schedules.linear_onecycle_schedule(20, 1.0, 0.5, 0.5),
            "steps 0, 10, 10, 20",
        ),
        (
            lambda: optcore.schedules.linear_onecycle_schedule(20, 1.0, 0.5, 0.4),
            "steps 0, 10, 8, 20",
        ),
        (lambda: optcore.schedules.cosine_onecycle_schedule(3, 1.0), "at the steps 0, 0, 3"),
        (
            lambda: optcore.schedules.onecycle_momentum_schedule(20, base_momentum=0.99),
            "base_momentum must not exceed max_momentum=0.95",
        ),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_rate_and_momentum_of_one_optimizer():
    rate, momentum = (
        optcore.onecycle_schedule(0.1, 9),
        optcore.schedules.onecycle_momentum_schedule(9),
    )
    tx = optcore.sgd(rate, momentum=momentum)
    state = tx.init(jnp.zeros(2))
    trace, position = 0.0, 0.0
    for t in range(9):
        updates, state = tx.update(jnp.ones(2), state)
        trace = float(momentum(t)) * trace + 1
        position -= float(rate(t)) * trace
        np.testing.assert_allclose(updates, -float(rate(t)) * trace, rtol=1e-5)
    assert optcore.read(tx, state, "momentum") == momentum(8)
