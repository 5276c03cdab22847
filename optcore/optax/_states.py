"""States of the native algorithms as optax has them: its classes, its fields, its paths."""

from typing import Any

from .._core import (
    EmptyState,
    GradientTransformation,
    Init,
    Leafwise,
    Update,
    increment,
    is_declared,
    zero_count,
)


def with_state(
    pair: GradientTransformation,
    kind: Any,
    native: Any = EmptyState,
    *,
    counted: bool = False,
    **names: str,
) -> GradientTransformation:
    """The pair with a state of optax's class.

    Args:
      pair: of a native algorithm.
      kind: optax's class of its state.
      native: the native one. What optax's lacks is `None` there.
      counted: optax's state counts steps, which the native one does not.
      **names: optax's fields that have another name in the native state, each with that.
    """
    own = {names.get(field, field): field for field in kind._fields}
    if counted:
        del own["count"]

    def outside(state: Any, count: Any) -> Any:
        fields = {field: getattr(state, name) for name, field in own.items()}
        return kind(**fields, **({"count": count} if counted else {}))

    def inside(state: Any) -> Any:
        return native(**{n: getattr(state, own[n]) if n in own else None for n in native._fields})

    def init(params: Any) -> Any:
        return outside(pair.init(params), zero_count() if counted else None)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        updates, new = pair.update(updates, inside(state), params, **extra)
        return updates, outside(new, increment(state.count) if counted else None)

    return made_of(pair, init, update)


def made_of(pair: GradientTransformation, init: Init, update: Update) -> GradientTransformation:
    """A pair that hands the updates of another one on: leafwise if that is."""
    leafwise = isinstance(pair, Leafwise) or is_declared(pair)
    return (Leafwise if leafwise else GradientTransformation)(init, update)
