"""Every registered factory passes every check, without exception."""

import pytest

from optcore import testing


@pytest.mark.parametrize("subject", testing.subjects(), ids=lambda s: s.name)
@pytest.mark.parametrize("check", testing.CHECKS, ids=testing.check_name)
def test_conformance(check, subject):
    check(subject)


@pytest.mark.parametrize("subject", testing.subjects("schedule"), ids=lambda s: s.name)
@pytest.mark.parametrize("check", testing.SCHEDULE_CHECKS, ids=testing.check_name)
def test_schedule_conformance(check, subject):
    check(subject)
