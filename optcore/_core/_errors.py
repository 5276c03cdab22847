"""Errors that have a class of their own."""


class ExplainedError(ValueError):
    """An error that names its cause, so the state is not searched for another one."""


class MissingArgumentError(ExplainedError):
    """`update` was not given an argument that it needs."""
