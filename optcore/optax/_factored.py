"""Directions with fewer slots than parameters, whose states optax lays out in its own way."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax._src import factorized

from .._core import GradientTransformation, is_inexact
from ..optimizers import diagonal
from ..optimizers.diagonal._factored import factored_axes
from ._door import body, given, instead_of
from ._states import translated

Pair = GradientTransformation


@instead_of(optax.scale_by_factored_rms)
def scale_by_factored_rms(
    factored: bool, min_dim_size_to_factor: int, decay_rate_fn: Any, **options: Any
) -> Pair:
    power = decay_rate_fn is factorized._decay_rate_pow
    pair = body(diagonal.scale_by_factored_rms)(
        factored=factored,
        min_dim_size_to_factor=min_dim_size_to_factor,
        decay_rate_fn=None if power else decay_rate_fn,
        **options,
    )

    def axes_of(p: Any) -> tuple[int, int] | None:
        return factored_axes(jnp.shape(p), min_dim_size_to_factor) if factored else None

    def outside(new: Any, old: Any, params: Any) -> Any:
        def laid_out(p: Any, row: Any, col: Any, full: Any) -> tuple[Any, Any, Any]:
            if not is_inexact(p):
                return jnp.zeros((1,), p.dtype), jnp.zeros((1,), p.dtype), jnp.zeros_like(p)
            axes = axes_of(p)
            if axes is None:
                return jnp.zeros((1,), full.dtype), jnp.zeros((1,), full.dtype), full
            first, second = axes
            return jnp.squeeze(row, second), jnp.squeeze(col, first), jnp.zeros((1,), row.dtype)

        return optax.FactoredState(
            new.count, *_apart(3, laid_out, params, new.nu_row, new.nu_col, new.nu)
        )

    def inside(state: Any, params: Any) -> Any:
        def taken(p: Any, row: Any, col: Any, full: Any) -> tuple[Any, Any, Any]:
            axes = axes_of(p)
            if not is_inexact(p) or axes is None:
                return None, None, full if is_inexact(p) else None
            first, second = axes
            return jnp.expand_dims(row, second), jnp.expand_dims(col, first), None

        return diagonal.FactoredState(
            state.count, *_apart(3, taken, given(params), state.v_row, state.v_col, state.v)
        )

    return translated(pair, outside, inside, waiting=False)


@instead_of(optax.scale_by_sm3)
def scale_by_sm3(**options: Any) -> Pair:
    def outside(new: Any, old: Any, params: Any) -> Any:
        def vectors(p: Any, *numbers: Any) -> list[Any]:
            return [jnp.ravel(v) for v in numbers if v is not None]

        return optax.ScaleBySM3State(jax.tree.map(vectors, params, *new.nu), new.mu)

    def inside(state: Any, params: Any) -> Any:
        most = max((len(_cover(p)) for p in jax.tree.leaves(params)), default=1)

        def along(p: Any, vectors: Any) -> list[Any]:
            made = [jnp.reshape(v, s) for v, s in zip(vectors, _cover(p), strict=True)]
            return made + [None] * (most - len(made))

        return diagonal.ScaleBySM3State(state.nu, tuple(_apart(most, along, params, state.mu)))

    return translated(body(diagonal.scale_by_sm3)(**options), outside, inside, waiting=False)


def _cover(p: Any) -> list[tuple[int, ...]]:
    """The shapes of the vectors along the axes of an array, each of its rank."""
    shape = jnp.shape(p)
    along = [tuple(n if j == i else 1 for j, n in enumerate(shape)) for i in range(len(shape))]
    return along or [()]


def _apart(number: int, function: Any, params: Any, *trees: Any) -> list[Any]:
    """The trees of what a function makes of each parameter and its part of other trees."""
    leaves, treedef = jax.tree.flatten(params)
    columns = [treedef.flatten_up_to(tree) for tree in trees]
    made = [function(*row) for row in zip(leaves, *columns, strict=True)]
    return [treedef.unflatten([row[i] for row in made]) for i in range(number)]
