"""Resolution of names: ends of paths, and names of arguments in other libraries."""

import difflib
from collections.abc import Collection, Iterable
from typing import Any

# The first known name of several is used.
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate", "max_learning_rate", "step_size"),
    "eta": ("learning_rate", "max_learning_rate", "step_size"),
    "step_size": ("learning_rate",),
    "learning_rate": ("max_learning_rate", "step_size"),
    "max_lr": ("max_learning_rate", "peak_value", "learning_rate"),
    "base_lr": ("init_value", "learning_rate"),
    "init_lr": ("init_value",),
    "initial_learning_rate": ("init_value",),
    "beta": ("decay", "momentum", "b1"),
    "beta1": ("b1",),
    "beta2": ("b2",),
    "beta3": ("b3",),
    "beta_1": ("b1",),
    "beta_2": ("b2",),
    "beta_3": ("b3",),
    "momentum": ("b1", "decay"),
    "rho": ("decay", "b2"),
    "alpha": ("decay", "decay_rate"),
    "gamma": ("decay_rate", "factor"),
    "decay_rate": ("decay",),
    "epsilon": ("eps",),
    "eps": ("epsilon",),
    "wd": ("weight_decay",),
    "l2": ("weight_decay",),
    "decay": ("weight_decay",),
    "weight_decay_rate": ("weight_decay",),
    "clipnorm": ("max_norm",),
    "max_grad_norm": ("max_norm",),
    "clipvalue": ("max_delta",),
    "clip_value": ("max_delta",),
    "num_warmup_steps": ("warmup_steps",),
    "total_steps": ("decay_steps", "transition_steps"),
    "num_training_steps": ("decay_steps", "transition_steps"),
    "max_iters": ("decay_steps", "transition_steps"),
    "T_max": ("decay_steps",),
    "optimizer": ("inner",),
    "base_optimizer": ("inner", "fast_optimizer"),
    "seed": ("key",),
    "rng": ("key",),
}


def meant(name: str, known: Collection[str]) -> list[str]:
    """The known names that an unknown name probably refers to.

    >>> meant("betas", ["learning_rate", "b1", "b2"]), meant("nesterof", ["nesterov"])
    (['b1', 'b2'], ['nesterov'])
    """
    if name == "betas":
        several = [b for b in ("b1", "b2", "b3") if b in known]
        if several:
            return several
    there = [other for other in _ELSEWHERE.get(name, ()) if other in known]
    return there[:1] or difflib.get_close_matches(name, known, 1)


def find_among(tx: Any, name: str, known: list[str], what: str) -> str:
    """The only known path with this name, or this end."""
    matches = [path for path in known if path == name or path.endswith(f".{name}")]
    if name in known:
        matches = [name]
    if len(matches) != 1:
        raise KeyError(_no_match(tx, name, matches, known, what))
    return matches[0]


def _no_match(tx: Any, name: str, matches: list[str], known: list[str], what: str) -> str:
    if matches:
        return f"{name!r} is ambiguous: give one of {', '.join(matches)}; in {tx!r}"
    near = meant(name, [*known, *(path.rpartition(".")[2] for path in known)])
    hint = f"did you mean {' and '.join(map(repr, near))}? " if near else ""
    return f"{tx!r} has no {what} {name!r}; {hint}it has {', '.join(known) or 'none'}"


def suggestion(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`did you mean 'value'? `, or nothing."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff)
    return f"did you mean {near[0]!r}? " if near else ""
