"""A transformation defined by three parts: its slots, the numbers of the step, and its leaf."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ._examples import Aggregation
from ._leaves import map_leaves
from ._numerics import increment
from ._types import EmptyState, GradientTransformation, Init, Params, State, Updates


class Leafwise(GradientTransformation):
    """A pair whose `update` passes updates and slots only to functions that accept waiting trees.

    These are `map_leaves`, `global_norm` and other leafwise pairs. A chain computes it together
    with its neighbours, in one traced function per kind of leaf.
    """

    aggregation: Aggregation | None = None


def per_leaf(
    init: Init | None,
    leaf: Callable[..., Any],
    slots: Sequence[str] = (),
    *,
    scalars: Callable[[Any], Iterable[Any]] | None = None,
    reads: Callable[[Params], Sequence[Any]] | None = None,
    rows: bool = False,
) -> Leafwise:
    """The pair of an algorithm that is written for one array (see `map_leaves`).

    `leaf(g, *slots, *reads, *scalars)` returns the update, or `(update, *slots)` if there are
    slots. If the state has a `count`, it is increased by one in every step.

    Args:
      init: makes the state from the parameters, a NamedTuple with a `count` if there are `scalars`;
        `None` for a stateless transformation.
      leaf: the algorithm for one array; it may close over hyper-parameters.
      slots: the fields of the state that `leaf` is given and returns, in its order.
      scalars: the numbers of step `t`, such as bias corrections: a function of `t`, the int32
        `count` with this step (1 in the first). They are computed once, not for every leaf.
      reads: the trees that `leaf` only reads, of the parameters: `lambda params: (params,)`.
      rows: as in `map_leaves`.

    Raises:
      TypeError: `slots` is a string, or there are slots and no `init`; in `update`, the state is
        not a NamedTuple with these fields, or `leaf` does not return the update and slots.

    >>> import jax.numpy as jnp
    >>> from typing import Any, NamedTuple
    >>> from optcore import debias, slots, zero_count
    >>> class AverageState(NamedTuple):
    ...     count: Any
    ...     mu: Any
    >>> def init(params):
    ...     return AverageState(zero_count(), slots(params))
    >>> def leaf(g, m, c):
    ...     m = 0.5 * m + 0.5 * g
    ...     return c * m, m
    >>> tx = per_leaf(init, leaf, ("mu",), scalars=lambda t: (1 / debias(0.5, t),))
    >>> updates, state = tx.update(jnp.float32(3.0), tx.init(jnp.float32(0.0)))
    >>> updates.item(), state.mu.item(), state.count.item()
    (3.0, 1.5, 1)
    """
    if isinstance(slots, str):
        raise TypeError(f"per_leaf: slots must be a sequence of names, such as ({slots!r},)")
    if init is None and (slots or scalars):
        raise TypeError("per_leaf: slots and scalars need a state, so give init")

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        fields = (*slots, "count") if scalars else slots
        _check_fields(state, fields)
        counted = {}
        if "count" in state._fields and state.count is not None:
            counted["count"] = increment(state.count)
        out = map_leaves(
            leaf,
            updates,
            [getattr(state, name) for name in slots],
            reads(params) if reads else (),
            scalars(counted["count"]) if scalars else (),
            rows=rows,
        )
        updates, *new = out if slots else (out,)
        if not (slots or counted):
            return updates, state
        return updates, state._replace(**counted, **dict(zip(slots, new, strict=True)))

    return Leafwise(init or _remember_nothing, update)


def _check_fields(state: State, fields: Sequence[str]) -> None:
    own = getattr(state, "_fields", ())
    missing = [name for name in fields if name not in own]
    if missing or not hasattr(state, "_fields"):
        raise TypeError(
            f"per_leaf: the state must be a NamedTuple with the fields {', '.join(fields)}, "
            f"got {type(state).__name__}{' without ' + ', '.join(missing) if missing else ''}"
        )


def _remember_nothing(params: Params) -> EmptyState:
    return EmptyState()
