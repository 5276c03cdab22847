"""Directions with fewer slots than parameters, with states in optax's own layout."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax._src import factorized

from .._core import GradientTransformation, flatten_like, is_inexact, is_none, slot_of
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
        return factored_axes(p, min_dim_size_to_factor) if factored else None

    def outside(new: Any, old: Any, params: Any) -> Any:
        def laid_out(p: Any, row: Any, col: Any, full: Any) -> tuple[Any, Any, Any]:
            if not is_inexact(p):
                return jnp.zeros((1,), p.dtype), jnp.zeros((1,), p.dtype), jnp.zeros_like(p)
            axes = axes_of(p)
            if axes is None:
                return jnp.zeros((1,), full.dtype), jnp.zeros((1,), full.dtype), full
            first, second = axes
            rows, columns = jnp.squeeze(row, second), jnp.squeeze(col, first)
            return _slot(p, rows, second), _slot(p, columns, first), jnp.zeros((1,), row.dtype)

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
        def vectors(p: Any, *numbers: Any) -> tuple[list[Any]]:
            made = [jnp.ravel(v) for v in numbers if v is not None]
            return ([slot_of(p, v, (i,)) if jnp.ndim(p) else v for i, v in enumerate(made)],)

        return optax.ScaleBySM3State(*_apart(1, vectors, params, *new.nu), new.mu)

    def inside(state: Any, params: Any) -> Any:
        leaves, treedef = jax.tree.flatten(params)
        rows = [
            [jnp.reshape(v, s) for v, s in zip(vectors, _cover(p), strict=True)]
            for p, vectors in zip(leaves, flatten_like(treedef, state.mu), strict=True)
        ]
        nu = itertools.zip_longest(*rows) if rows else [()]
        return diagonal.ScaleBySM3State(state.nu, tuple(map(treedef.unflatten, nu)))

    return translated(body(diagonal.scale_by_sm3)(**options), outside, inside, waiting=False)


def _cover(p: Any) -> list[tuple[int, ...]]:
    """The shapes of the vectors along the axes of an array, each of its rank."""
    shape = jnp.shape(p)
    along = [tuple(n if j == i else 1 for j, n in enumerate(shape)) for i in range(len(shape))]
    return along or [()]


def _slot(p: Any, array: Any, lost: int) -> Any:
    """The array with all axes of a parameter except one."""
    return slot_of(p, array, tuple(i for i in range(jnp.ndim(p)) if i != lost))


def _apart(number: int, function: Any, params: Any, *trees: Any) -> list[Any]:
    """The trees of the results of a function of each parameter and its part of other trees."""
    leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
    columns = [flatten_like(treedef, tree) for tree in trees]
    made = [
        (None,) * number if row[0] is None else function(*row)
        for row in zip(leaves, *columns, strict=True)
    ]
    return [treedef.unflatten([row[i] for row in made]) for i in range(number)]
