"""All parameters as one vector."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    aggregates,
    flatten_like,
    is_inexact,
    is_none,
    placed_like,
    refuse_part,
    replicated,
    transformation,
    wide,
    without_examples,
)
from ..schedules import linear_schedule
from ..transforms import clip_by_block_rms, scale_by_learning_rate, trace
from ._chain import chain


def _clipped_momentum() -> GradientTransformation:
    rate = linear_schedule(0.1, 0.05, 8)
    return flatten(chain(clip_by_block_rms(1.0), trace(0.5), scale_by_learning_rate(rate)))


@transformation(
    "wrapper", example=_clipped_momentum, per_example="results", all_reduces=1, whole=True
)
def flatten(inner: GradientTransformation) -> GradientTransformation:
    """Give all parameters to `inner` as one vector, and return its updates in their shapes.

    Algorithms that work leaf by leaf then work on all leaves together, with one norm or one trust
    ratio. It does not save time: joining and splitting cost passes over memory, and XLA fuses
    leaves by itself.

    The vector is in the widest dtype of the parameters, at least float32, and complex if one of
    them is. Integer parameters are left out. The state of a single vector cannot leave out a part
    of it: where the gradient is `None`, the parameter does not move, but the state treats its
    gradient as zero. If any gradient is `None`, `update` needs the parameters.

    Args:
      inner: the transformation of the vector. Masks and rules have no meaning inside.

    The leaves are clipped together:

    >>> import jax.numpy as jnp, optcore
    >>> grads = {"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}
    >>> tx = flatten(optcore.clip_by_norm(1.0))
    >>> updates, _ = tx.update(grads, tx.init(grads))
    >>> updates["a"].round(4).tolist(), updates["b"].round(4).tolist()
    ([0.6000000238418579], [[0.800000011920929]])
    """
    examples = aggregates(inner)
    inner = adapt(inner)

    def init(params: Params) -> State:
        if any(isinstance(p, jax.ShapeDtypeStruct) for p in jax.tree.leaves(params)):
            vector = jax.eval_shape(lambda tree: _Layout(tree).join(tree), params)
            return inner.init(vector)
        return inner.init(_Layout(params).join(params))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, State]:
        one = without_examples(updates) if examples else updates
        layout = _Layout(one if params is None else params)
        vector = None if params is None else layout.join(params)
        join = layout.join_examples if examples else layout.join
        joined, state = inner.update(join(updates), state, vector, **extra)
        return layout.split(joined, one), state

    return GradientTransformation(init, update)


class _Layout:
    """The positions of the leaves of a tree in the vector."""

    def __init__(self, tree: Any) -> None:
        leaves, self.treedef = jax.tree.flatten(tree)
        self.leaves = [x if is_inexact(x) else None for x in leaves]
        dtypes = [wide(jnp.result_type(x)) for x in self.leaves if x is not None]
        with jax.numpy_dtype_promotion("standard"):
            self.dtype = jnp.result_type(jnp.float32, *dtypes)

    def join(self, tree: Any) -> jax.Array:
        """The leaves of a tree like this one in a row; zeros where it has `None`."""
        parts = []
        for like, x in zip(self.leaves, self._partners(tree), strict=True):
            if like is not None:
                refuse_part(like, "one vector of all parameters")
                shape = math.prod(np.shape(like))
                part = jnp.zeros(shape) if x is None else replicated(jnp.asarray(x)).reshape(shape)
                parts.append(part.astype(self.dtype))
        return jnp.concatenate(parts) if parts else jnp.zeros(0, self.dtype)

    def join_examples(self, tree: Any) -> jax.Array:
        """A row for each example."""
        if not jax.tree.leaves(tree):
            return self.join(tree)[None][:0]
        return jax.vmap(self.join)(tree)

    def split(self, vector: jax.Array, tree: Any) -> Any:
        """The vector in the shapes of the leaves; `None` where the tree has `None`."""
        found: list[Any] = []
        start = 0
        for like, x in zip(self.leaves, self._partners(tree), strict=True):
            if like is None:
                found.append(x)
                continue
            stop = start + math.prod(np.shape(like))
            part = placed_like(x, vector[start:stop].reshape(np.shape(like)))
            found.append(None if x is None else _as_dtype(part, wide(jnp.result_type(like))))
            start = stop
        return self.treedef.unflatten(found)

    def _partners(self, tree: Any) -> list[Any]:
        """The leaves of a tree like this one, with `None` for those below a `None`."""
        leaves, treedef = jax.tree.flatten(tree, is_leaf=is_none)
        own = flatten_like(treedef, self.treedef.unflatten(range(len(self.leaves))))
        partners: list[Any] = [None] * len(self.leaves)
        for x, number in zip(leaves, own, strict=True):
            if x is not None and number is not None:
                partners[number] = x
        return partners


def _as_dtype(x: jax.Array, dtype: Any) -> jax.Array:
    real = not jnp.issubdtype(dtype, jnp.complexfloating)
    return (x.real if real and jnp.iscomplexobj(x) else x).astype(dtype)
