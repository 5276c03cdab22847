"""optcore's own names, wherever they are exported."""

import types

import optcore
from optcore._core import REGISTRY


def named(name):
    """What a name is, at the top or in a chapter."""
    chapters = (x for n, x in vars(optcore).items() if isinstance(x, types.ModuleType))
    places = [
        optcore,
        *(x for x in chapters if "._" not in x.__name__ and "optax" not in x.__name__),
    ]
    return next(vars(place)[name] for place in places if name in vars(place))


def is_own(name):
    """Whether optcore has a factory of this name: tests and optax's door register others."""
    return f"optcore:{name}" in REGISTRY
