"""A rule that is one test hides none of what breaks it."""

import pytest

from tests.rules import for_each


def test_every_name_is_told():
    @for_each(lambda: {"good": 1, "bad": 2, "odd": "3", "worse": 4})
    def rule(number):
        assert number + 0 == 1, f"{number} is not 1"

    with pytest.raises(AssertionError) as caught:
        rule()
    text = str(caught.value)
    assert text.startswith("3 of 4 fail: bad, odd, worse\n")
    assert "bad: AssertionError: 2 is not 1" in text
    assert "odd: TypeError: " in text
    assert "worse: AssertionError: 4 is not 1" in text
    assert str(caught.value.__cause__).startswith("2 is not 1")


def test_what_nobody_breaks_passes():
    for_each(lambda: {"good": 1, "better": 1})(lambda number: None)()


def test_no_names_are_no_pass():
    with pytest.raises(AssertionError, match="nothing to check"):
        for_each(dict)(lambda case: None)()
