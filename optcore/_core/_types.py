"""The contract: what a transformation is, and the annotations that declare its arguments."""

import math
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol

from jax.typing import DTypeLike

from ._marks import DTypeMark, HyperparameterMark, KeyMark, Range, ScheduleMark, StaticMark

Params = Any
"""A pytree of arrays: the trained parameters."""

Updates = Any
"""A pytree like the parameters: gradients, directions or steps."""

State = Any
"""A pytree of arrays: the memory of a transformation."""

OptState = State
"""The public name of `State`."""


class Init(Protocol):
    """`init(params) -> state`."""

    def __call__(self, params: Params) -> State: ...


class Update(Protocol):
    """`update(updates, state, params=None, **extra) -> (updates, state)`."""

    def __call__(
        self, updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]: ...


class GradientTransformation(NamedTuple):
    """A pure pair of functions over pytrees.

    `init(params)` gives the state; `update(updates, state, params=None, **extra)` gives the
    transformed updates and the next state. The structure, shapes and dtypes of a state never
    change. Extra keyword arguments reach every transformation that uses them. Updates are *added*
    to the parameters (`apply_updates`).

    >>> import jax.numpy as jnp
    >>> def negated(updates, state, params=None, **extra):
    ...     return -updates, state
    >>> negate = GradientTransformation(lambda params: EmptyState(), negated)
    >>> updates, state = negate.update(jnp.float32(2.0), negate.init(jnp.float32(0.0)))
    >>> float(updates)
    -2.0
    """

    init: Init
    update: Update


class EmptyState(NamedTuple):
    """The state of a transformation without memory.

    >>> EmptyState()
    EmptyState()
    """


class LookaheadParams(NamedTuple):
    """Fast and slow parameters, which `lookahead` moves together.

    Gradients are taken at the fast parameters. The name and the fields are those of optax.

    Attributes:
      fast: the parameters that gradients are taken at.
      slow: the parameters to evaluate; `eval_params` reads them.
    """

    fast: Params
    slow: Params

    @classmethod
    def init_synced(cls, params: Params) -> "LookaheadParams":
        """Both the same, as at the start."""
        return cls(fast=params, slow=params)


def trained(params: Params) -> Params:
    """The parameters that gradients are taken at."""
    return params.fast if isinstance(params, LookaheadParams) else params


Schedule = Annotated[Callable[[Any], Any], ScheduleMark()]
"""A pure function of the step count (int32, from 0; an int, an array or traced) to a number."""

Hyperparameter = Annotated[Any, HyperparameterMark()]
"""A number or a schedule, which may be traced, swept and differentiated; `None` if absent.

For the caller of a factory it is `ArrayLike | Schedule`; for the factory's body it is always a
number; a single annotation cannot express both.
"""

Rate = Annotated[Hyperparameter, Range(0)]
"""A non-negative, finite hyper-parameter: learning rates, weight decays, epsilons."""

Decay = Annotated[Hyperparameter, Range(0, 1)]
"""A decay of a moving average, in [0, 1)."""

Retention = Annotated[Hyperparameter, Range(0, 1, closed=True)]
"""The fraction kept at each step, in [0, 1]; with 1 a running sum forgets nothing."""

Bound = Annotated[Hyperparameter, Range(0, math.inf, closed=True)]
"""A non-negative threshold; infinity means none."""

Count = Annotated[int, Range(0, 2**31)]
"""A static number of steps, zero allowed."""

Length = Annotated[int, Range(1, 2**31)]
"""A static number of steps, at least one."""

StaticFloat = Annotated[float, StaticMark()]
"""A static number, such as the fraction of a run after which a phase starts."""

DType = Annotated[DTypeLike, DTypeMark()]
"""A dtype, static."""

Key = Annotated[Any, KeyMark()]
"""A typed random key (`jax.random.key`), which the user must give; static."""
