"""Errors that have a class of their own."""


class ExplainedError(ValueError):
    """An error that names its cause; none further is looked for in the state."""


class MissingArgumentError(ExplainedError):
    """`update` was not given what it needs."""
