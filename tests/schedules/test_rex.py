"""REX against its formula."""

import pytest

import optcore
from tests.schedules.curves import cases, curve


def rex(t, init_value, transition_steps, end_value=0.0):
    rest = 1 - min(t / transition_steps, 1)
    return end_value + (init_value - end_value) * rest / (0.5 + 0.5 * rest)


CURVES = [
    curve("to_zero", "rex_schedule", rex, (9,), init_value=0.8, transition_steps=9),
    curve("bounded", "rex_schedule", rex, (9,), init_value=0.8, transition_steps=9, end_value=0.3),
]


@pytest.mark.parametrize(("curve", "check"), cases(CURVES))
def test_formula(curve, check):
    check(curve)


def test_refuses_an_end_above_the_start():
    optcore.schedules.rex_schedule(0.3, 4, 0.3)
    with pytest.raises(ValueError, match=r"end_value must not exceed init_value=0\.2, got 0\.3"):
        optcore.schedules.rex_schedule(0.2, 4, 0.3)
