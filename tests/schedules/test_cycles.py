"""Where cycles end: there the values jump back."""

import jax.numpy as jnp
import numpy as np
import pytest

import optcore


@pytest.mark.parametrize(
    ("schedule", "ends"),
    [
        (optcore.cosine_restarts_schedule(1.0, 10), (10, 20, 30)),
        (optcore.cosine_restarts_schedule(1.0, 5, 2.0), (5, 15, 35)),
        (optcore.cosine_restarts_schedule(optcore.linear_schedule(1.0, 0.5, 9), 20), (20,)),
        (optcore.cyclic_schedule(0.0, 1.0, 4, 7), (11, 22, 33)),
        (optcore.schedules.cyclic_momentum_schedule(0.0, 1.0, 9), (18,)),
        (optcore.cosine_decay_schedule(1.0, 30), (30,)),
        (optcore.warmup_cosine_decay_schedule(0.0, 1.0, 4, 21), (21,)),
    ],
)
def test_ends(schedule, ends):
    assert optcore.schedules.cycle_ends(schedule, 35) == ends
    assert optcore.schedules.cycle_ends(schedule, ends[0]) == ends[:1]
    assert optcore.schedules.cycle_ends(schedule, ends[0] - 1) == ()


def test_a_new_cycle_starts_at_an_end():
    schedule = optcore.cosine_restarts_schedule(1.0, 3, 1.5)
    values = np.asarray(schedule(jnp.arange(60)))
    assert optcore.schedules.cycle_ends(schedule, 59) == tuple(
        t for t in range(1, 60) if values[t] == 1
    )


RESTARTS = optcore.cosine_restarts_schedule(1.0, 5, 2.0)


@pytest.mark.parametrize(
    ("schedule", "ends"),
    [
        (optcore.prepend_warmup(RESTARTS, 4), (9, 19, 39)),
        (optcore.schedules.scale_schedule(RESTARTS, 2.0), (5, 15, 35)),
        (optcore.schedules.clamp_schedule(RESTARTS, 0.1), (5, 15, 35)),
        (optcore.schedules.shift_schedule(RESTARTS, 5), (10, 30)),
        (optcore.schedules.shift_schedule(RESTARTS, -2), (7, 17, 37)),
        (optcore.schedules.multiply_schedules(RESTARTS, optcore.cosine_restarts_schedule(1.0, 20)),
         (5, 15, 20, 35, 40)),
        (optcore.join_schedules([RESTARTS, optcore.constant_schedule(1.0), RESTARTS], [15, 20]),
         (5, 15, 25, 35)),
    ],
    ids=lambda x: x.declaration.name if hasattr(x, "declaration") else "",
)  # fmt: skip
def test_composed_schedules_keep_their_cycles(schedule, ends):
    assert optcore.schedules.cycle_ends(schedule, 40) == ends
    assert optcore.schedules.cycle_ends(schedule, 0) == ()


def test_before_a_cooldown_they_are_kept():
    """Made here: it evaluates its schedule, which takes half a second of compilation."""
    schedule = optcore.append_cooldown(RESTARTS, 20, 10)
    assert optcore.schedules.cycle_ends(schedule, 40) == (5, 15)
    assert optcore.schedules.cycle_ends(schedule, 0) == ()


@pytest.mark.parametrize(
    "schedule",
    [
        optcore.linear_schedule(1.0, 0.0, 5),
        optcore.join_schedules([optcore.constant_schedule(1.0)] * 2, [12]),
        lambda count: 1.0,
        0.1,
    ],
)
def test_without_cycles(schedule):
    with pytest.raises(TypeError, match="must have cycles, got"):
        optcore.schedules.cycle_ends(schedule, 10)


def test_the_total_is_a_count():
    with pytest.raises(TypeError, match=r"total_steps must be an int, got 40\.5"):
        optcore.schedules.cycle_ends(RESTARTS, 40.5)
    with pytest.raises(ValueError, match="total_steps must be at least 0, got -4"):
        optcore.schedules.cycle_ends(RESTARTS, -4)
