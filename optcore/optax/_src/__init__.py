"""The modules of `optax._src` that programs import from."""

from . import (
    alias,
    base,
    combine,
    constrain,
    deprecations,
    factorized,
    linear_algebra,
    linesearch,
    lookahead,
    numerics,
    schedule,
    transform,
    update,
    utils,
    wrappers,
)

__all__ = (
    "alias",
    "base",
    "combine",
    "constrain",
    "deprecations",
    "factorized",
    "linear_algebra",
    "linesearch",
    "lookahead",
    "numerics",
    "schedule",
    "transform",
    "update",
    "utils",
    "wrappers",
)
