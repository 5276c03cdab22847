"""Which arrays of a state are moments, and which of them are never negative."""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import jax
import numpy as np
from jax.tree_util import GetAttrKey

from .._core import path_name

SlotKind = Literal["signed", "nonnegative", "float32"]

SLOTS: Mapping[str, SlotKind] = {
    "mu": "signed",
    "mu_diff": "signed",
    "mu_slow": "signed",
    "trace": "signed",
    "previous_gradient": "signed",
    "hessian": "signed",
    "nu": "nonnegative",
    "nu_row": "nonnegative",
    "nu_col": "nonnegative",
    "nu_max": "nonnegative",
    "nu_residual_row": "nonnegative",
    "nu_residual_col": "nonnegative",
    "e_x": "nonnegative",
    "acc_grads": "float32",
    "grad_acc": "float32",
    "anchor": "float32",
    "average": "float32",
    "snapshots": "float32",
    "master": "float32",
    "residual": "float32",
    "step_sizes": "float32",
    "radius": "float32",
    "window": "float32",
}
"""The state fields with arrays like the parameters, and their kinds; `float32` is not encoded."""


def field_of(path: Any) -> str | None:
    """The first field on the path to an array that `SLOTS` lists; parameters have fields too."""
    names = (entry.name for entry in path if isinstance(entry, GetAttrKey))
    return next((name for name in names if name in SLOTS), None)


def kind_of(path: Any, rules: Mapping[str, SlotKind]) -> SlotKind | None:
    """The kind of a state's array, by rule, otherwise by field; `None` if it is unknown."""
    name = path_name(path)
    found = {pattern: kind for pattern, kind in rules.items() if re.search(pattern, name)}
    if len(set(found.values())) > 1:
        raise ValueError(f"store: rules disagree about {name!r}: {found}")
    if found:
        return next(iter(found.values()))
    field = field_of(path)
    return None if field is None else SLOTS[field]


def check_rules(rules: Any) -> None:
    """Raise if these are not valid rules."""
    if rules is None:
        return
    if not isinstance(rules, Mapping):
        raise TypeError(
            f"store: rules must be a dict from a pattern to a kind, got {type(rules).__name__}"
        )
    for pattern, kind in rules.items():
        if kind not in get_args(SlotKind):
            options = ", ".join(map(repr, get_args(SlotKind)))
            raise ValueError(f"store: a rule is one of {options}, got {kind!r} for {pattern!r}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"store: the rule {pattern!r} must be a regular expression: {error}"
            ) from None


def check_matches(state: Any, rules: Mapping[str, SlotKind]) -> None:
    """Raise if a rule matches no path of a state."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    if not any(np.ndim(x) for _, x in paths):
        # The state of a single scalar, which shows the types of a state, or of no parameters.
        return
    names = [path_name(path) for path, _ in paths]
    for pattern in rules:
        if not any(re.search(pattern, name) for name in names):
            shown = ", ".join(map(repr, names[:8])) + (", …" if len(names) > 8 else "")
            raise ValueError(f"store: the rule {pattern!r} matches nothing in the state: {shown}")
