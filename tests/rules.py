"""A rule for many names as one test, which tells every name that breaks it."""


def for_each(cases):
    """Run the decorated check for each of the named cases, and fail with all that fail.

    `cases()` gives a dict of names to the check's argument, when the test runs: collection
    is for every worker.
    """

    def decorate(check):
        def test():
            given = cases()
            assert given, "there is nothing to check"
            failures = {}
            for name, case in given.items():
                try:
                    check(case)
                except Exception as error:
                    failures[name] = error
            told = [f"{name}: {type(error).__name__}: {error}" for name, error in failures.items()]
            if told:
                summary = f"{len(failures)} of {len(given)} fail: {', '.join(failures)}"
                first = next(iter(failures.values()))
                raise AssertionError("\n\n".join([summary, *told])) from first

        test.__name__, test.__doc__, test.__module__ = (
            check.__name__,
            check.__doc__,
            check.__module__,
        )
        return test

    return decorate
