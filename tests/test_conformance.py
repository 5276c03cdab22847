"""Every registered factory passes every check, without exception.

By default one optimizer of each family is checked in full and all others by the checks that are
quick; the rest is marked slow. An optimizer that is a registered direction, a decay and a rate
leaves the dear checks to its direction, unless `--all-cases` is given.
"""

import pytest

from optcore import testing
from tests.rules import all_hold
from tests.subjects import OWN, TRANSFORMATIONS, families, names, representatives, subject

CHECKS = {testing.check_name(check): check for check in testing.CHECKS}
IN_FULL = set(representatives().values())
QUICK = {
    "config_round_trip",
    "descends",
    "each_hyperparameter_is_one_leaf",
    "has_value_semantics",
    "init_is_abstract",
    "refuses_wrong_arguments",
    "slots_know_their_parameter",
}
STEPS = {"config_round_trip", "descends", "refuses_wrong_arguments"}
"""Of ready optimizers, whose directions are checked by themselves."""


DEAR = {
    "gradients_are_finite",
    "leaks_no_tracer",
    "second_derivatives_are_finite",
    "shard_map_equals_single",
    "state_lies_on_the_mesh",
    "state_may_be_cut_further",
    "vmap_is_a_loop",
}
"""The checks that cost most."""


def test_the_named_checks_exist():
    assert CHECKS.keys() >= QUICK >= STEPS
    assert CHECKS.keys() >= DEAR
    assert not DEAR & QUICK


def test_one_optimizer_of_each_family_is_checked_in_full():
    assert len(families()) == len(IN_FULL)
    for members in families().values():
        assert len(IN_FULL.intersection(members)) == 1


def quick(name):
    """The checks that do not run in full by default."""
    return STEPS if OWN[name].kind == "optimizer" else QUICK


def run(checks, name):
    all_hold(checks, lambda check: check(subject(name)))


@pytest.mark.parametrize("name", [n for n in TRANSFORMATIONS if n not in IN_FULL])
@pytest.mark.sample(None)
def test_quick_checks(name):
    run({check: CHECKS[check] for check in CHECKS if check in quick(name)}, name)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", sorted(IN_FULL))
@pytest.mark.sample(None)
def test_in_full(check, name):
    CHECKS[check](subject(name))


def left_to_the_direction(name):
    """The checks that the direction of an optimizer passes for it."""
    return DEAR if OWN[name].kind == "optimizer" and f"scale_by_{name}" in OWN else set()


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in TRANSFORMATIONS if n not in IN_FULL])
def test_the_rest(name, request):
    done = set(quick(name))
    if not request.config.getoption("all_cases"):
        done |= left_to_the_direction(name)
    run({check: CHECKS[check] for check in CHECKS if check not in done}, name)


SCHEDULE_CHECKS = {testing.check_name(check): check for check in testing.SCHEDULE_CHECKS}


@pytest.mark.parametrize("name", names("schedule"))
@pytest.mark.sample(6)
def test_schedule(name):
    checks = {**SCHEDULE_CHECKS}
    del checks["vectorises_over_counts"]
    run(checks, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", names("schedule"))
def test_schedule_vectorises_over_counts(name):
    SCHEDULE_CHECKS["vectorises_over_counts"](subject(name))
