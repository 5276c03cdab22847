"""All checks in one call."""

from collections.abc import Callable, Mapping
from typing import Any

from .._core import aggregates
from . import (
    _behaviour,
    _containers,
    _hyperparameters,
    _modes,
    _schedules,
    _shapes,
    _sharding,
    _tracing,
)
from ._subject import Subject, default_params

Check = Callable[[Subject], None]

CHECKS: list[Check] = [
    *_shapes.CHECKS,
    *_containers.CHECKS,
    *_tracing.CHECKS,
    *_sharding.CHECKS,
    *_behaviour.CHECKS,
    *_hyperparameters.CHECKS,
    *_modes.CHECKS,
]
"""The checks of every transformation."""

SCHEDULE_CHECKS: list[Check] = [*_schedules.CHECKS]
"""The checks of every declared schedule."""


def check_name(check: Check) -> str:
    """A check's name in a test id: `vmap_is_a_loop`.

    >>> check_name(_tracing.check_vmap_is_a_loop)
    'vmap_is_a_loop'
    """
    return check.__name__.removeprefix("check_")


def check_transformation(
    tx: Any,
    params: Any = None,
    *,
    extra: Mapping[str, Any] | None = None,
    descends: bool = False,
    complex: bool = True,
) -> None:
    """Run every check on a transformation, from optcore or your own.

    Besides `params`, the checks use small trees of other kinds: bfloat16, float16 and integer
    leaves, `None`, scalars, complex numbers. An update that is lifted with `map_leaves` handles all
    of them. The transformations of optax do not keep this contract.

    Args:
      tx: a pair of `init` and `update`. Checks that only declared transformations can pass (values,
        config, sweeps, refused arguments) are skipped for others.
      params: a small tree of float32 arrays; by default a nested tree with scalar, `None`, empty
        and zero-size leaves.
      extra: the arguments that `update` needs besides updates, state and parameters, such as
        `value`.
      descends: whether it is an optimizer that should lower a quadratic loss in 200 steps.
      complex: whether it supports complex parameters.

    Raises:
      AssertionError: a check failed; the message starts with the check's name. Errors of the
        transformation itself are raised unchanged, with the check's name as a note.

    >>> import optcore
    >>> check_transformation(optcore.scale(-0.1), descends=True)
    """
    params = default_params() if params is None else params
    declared = hasattr(tx, "declaration")
    name = repr(tx) if declared else type(tx).__name__
    strict = declared and tx.declaration.factory.strict
    private = aggregates(tx)
    subject = Subject(name, tx, params, extra or {}, descends, complex, private, strict)
    _run(CHECKS, subject)


def check_schedule(schedule: Any) -> None:
    """Run every check on a declared schedule.

    Raises:
      AssertionError: a check failed; the message starts with the check's name.

    >>> import optcore
    >>> check_schedule(optcore.linear_schedule(1.0, 0.0, 10))
    """
    _run(SCHEDULE_CHECKS, Subject(repr(schedule), schedule))


def _run(checks: list[Check], subject: Subject) -> None:
    for check in checks:
        try:
            check(subject)
        except AssertionError as error:
            raise AssertionError(f"{check_name(check)}: {error}") from None
        except Exception as error:
            error.add_note(f"while checking {check_name(check)}")
            raise
