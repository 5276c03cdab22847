"""The conformance suite: what every transformation and every schedule must do, as checks.

`check_transformation` runs all of them on anyone's transformation. Each check is a function of
a `Subject` that raises an `AssertionError` saying what was expected and what came, so that a
test can run them one by one:

    @pytest.mark.parametrize("subject", subjects(), ids=lambda s: s.name)
    @pytest.mark.parametrize("check", CHECKS, ids=check_name)
    def test_conformance(check, subject):
        check(subject)

`check_schedule` is the same for schedules. The guide is README.md in this folder.
"""

from ._check import CHECKS as CHECKS
from ._check import SCHEDULE_CHECKS as SCHEDULE_CHECKS
from ._check import check_name as check_name
from ._check import check_schedule as check_schedule
from ._check import check_transformation as check_transformation
from ._subject import Subject as Subject
from ._subject import subjects as subjects
