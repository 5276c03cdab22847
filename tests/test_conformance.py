"""Every registered factory passes every check, without exception."""

import pytest

import optcore
from optcore import testing

# Tests declare factories too.
OWN = {name for name, f in optcore.registry().items() if f.key.startswith("optcore:")}
TRANSFORMATIONS = [s for s in testing.subjects() if s.name in OWN]
SCHEDULES = [s for s in testing.subjects("schedule") if s.name in OWN]


@pytest.mark.parametrize("subject", TRANSFORMATIONS, ids=lambda s: s.name)
@pytest.mark.parametrize("check", testing.CHECKS, ids=testing.check_name)
def test_conformance(check, subject):
    check(subject)


@pytest.mark.parametrize("subject", SCHEDULES, ids=lambda s: s.name)
@pytest.mark.parametrize("check", testing.SCHEDULE_CHECKS, ids=testing.check_name)
def test_schedule_conformance(check, subject):
    check(subject)
