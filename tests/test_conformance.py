"""Every registered factory passes every check, without exception.

By default one is checked in full and all others by the checks that are quick; the rest is marked
slow.
"""

import pytest

import optcore
from optcore import testing

# Tests declare factories too.
OWN = {name for name, f in optcore.registry().items() if f.key.startswith("optcore:")}
TRANSFORMATIONS = [s for s in testing.subjects() if s.name in OWN]
SCHEDULES = [s for s in testing.subjects("schedule") if s.name in OWN]


IN_FULL = {"adamw"}
QUICK = {
    "config_round_trip",
    "descends",
    "each_hyperparameter_is_one_leaf",
    "has_value_semantics",
    "init_is_abstract",
    "refuses_wrong_arguments",
}
ONE_OF_EACH_FAMILY = {"second_derivatives_are_finite", "a_huge_gradient_passes"}
"""Checked by default where `FAMILIES` are checked."""
FAMILIES = {"adafactor", "signum"}
STEPS = {"config_round_trip", "descends", "refuses_wrong_arguments"}
"""Of ready optimizers, whose directions are checked by themselves."""


def test_the_quick_checks_exist():
    assert {testing.check_name(check) for check in testing.CHECKS} >= QUICK
    assert {subject.name for subject in TRANSFORMATIONS} >= IN_FULL


def cases():
    """Every check of every subject; what takes long is marked."""
    for subject in TRANSFORMATIONS:
        for check in testing.CHECKS:
            name = testing.check_name(check)
            quick = name in (STEPS if subject.descends else QUICK) or subject.name in IN_FULL
            quick = quick or (name in ONE_OF_EACH_FAMILY and subject.name in FAMILIES)
            marks = [] if quick else [pytest.mark.slow]
            yield pytest.param(check, subject, id=f"{name}-{subject.name}", marks=marks)


@pytest.mark.parametrize(("check", "subject"), list(cases()))
def test_conformance(check, subject):
    check(subject)


def schedule_cases():
    """Every check of every schedule; what takes long is marked."""
    for check in testing.SCHEDULE_CHECKS:
        name = testing.check_name(check)
        marks = [pytest.mark.slow] if name == "vectorises_over_counts" else []
        for subject in SCHEDULES:
            yield pytest.param(check, subject, id=f"{name}-{subject.name}", marks=marks)


@pytest.mark.parametrize(("check", "subject"), list(schedule_cases()))
def test_schedule_conformance(check, subject):
    check(subject)
