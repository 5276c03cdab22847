"""Row-sparse gradients to test with, and their dense counterparts."""

import jax
import jax.numpy as jnp
import numpy as np

from optcore import RowSparse

ROWS, COLUMNS, PLACES = 7, 3, 5


def table(seed=0, dtype=jnp.float32, shape=(ROWS, COLUMNS)):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def sparse(seed=0, *, whole=False, dtype=jnp.float32, shape=(ROWS, COLUMNS), places=PLACES):
    """A gradient in which a row occurs twice; of whole numbers on request."""
    rng = np.random.default_rng(1000 + seed)
    indices = rng.integers(0, shape[0], places)
    indices[-1] = indices[0]
    values = rng.normal(size=(places, *shape[1:]))
    if whole:
        values = rng.integers(1, 9, values.shape) * rng.choice([-1, 1], values.shape)
    return RowSparse(indices.astype(np.int32), jnp.asarray(values, dtype), shape)


def is_sparse(x):
    return isinstance(x, RowSparse)


def dense(tree):
    """The same tree with arrays."""
    return jax.tree.map(lambda x: x.todense() if is_sparse(x) else x, tree, is_leaf=is_sparse)


def touched(g):
    """Which rows a gradient has."""
    return np.isin(np.arange(g.shape[0]), np.asarray(g.indices))


def shapes_in(jaxpr):
    """The shapes of all that a traced function computes, with the primitives that do."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("jit", "pjit", "custom_jvp_call"):
            inside = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
            yield from shapes_in(inside.jaxpr)
        else:
            for variable in equation.outvars:
                yield equation.primitive.name, variable.aval.shape
