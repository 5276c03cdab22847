"""Extra arguments that nothing takes are errors."""

from typing import Any

from .._core import (
    GradientTransformation,
    Leafwise,
    Params,
    State,
    Updates,
    adapt,
    contents_of,
    suggestion,
    transformation,
)


@transformation("wrapper", example={}, strict=True, per_example="inner")
def strict(inner: GradientTransformation) -> GradientTransformation:
    """Refuse every extra argument of `update` that nothing inside takes.

    Without it, unknown arguments are ignored, because they may be meant for other transformations;
    only a near miss (`valeu` for `value`) is an error. The state is that of `inner`, so `strict`
    can be added or removed at any time. Put it outermost: inside a chain it also refuses arguments
    that are meant for its neighbours. A transformation of another library whose `update` takes any
    argument accepts all.

    Args:
      inner: the transformation that takes the arguments.

    Raises:
      TypeError: `update` was given an argument that nothing takes; the message lists those that are
        taken.

    >>> import jax.numpy as jnp, optcore
    >>> tx = strict(optcore.chain(optcore.sgd(0.1), optcore.reduce_on_plateau()))
    >>> update, state = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)), value=1.0)
    >>> try:
    ...     tx.update(jnp.ones(2), state, value=1.0, loss=1.0)
    ... except TypeError as error:
    ...     print(error)
    strict: nothing in it takes 'loss'; it takes 'value'
    """
    adapted = adapt(inner)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        parts = contents_of(inner)
        for name in extra:
            if name not in parts.takes and not parts.open:
                takes = ", ".join(map(repr, sorted(parts.takes))) or "none"
                hint = suggestion(name, parts.takes)
                raise TypeError(f"strict: nothing in it takes {name!r}; {hint}it takes {takes}")
        return adapted.update(updates, state, params, **extra)

    return Leafwise(adapted.init, update)
