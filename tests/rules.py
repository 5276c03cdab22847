"""A rule for many names as one test, which tells every name that breaks it."""


def all_hold(cases, check):
    """Run a check for each of the named cases, and fail with all that fail."""
    assert cases, "there is nothing to check"
    failures = {}
    for name, case in cases.items():
        try:
            check(case)
        except Exception as error:
            failures[name] = error
    if failures:
        summary = f"{len(failures)} of {len(cases)} fail: {', '.join(failures)}"
        told = [f"{name}: {type(error).__name__}: {error}" for name, error in failures.items()]
        first = next(iter(failures.values()))
        raise AssertionError("\n\n".join([summary, *told])) from first


def for_each(cases):
    """Make the decorated check a test that runs it for each of the named cases.

    `cases()` is called when the test runs: every worker collects.
    """

    def decorate(check):
        def test():
            all_hold(cases(), check)

        # Not `functools.wraps`, by which pytest would look for a fixture of the argument's name.
        for name in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(test, name, getattr(check, name))
        return test

    return decorate
