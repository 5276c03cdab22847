"""Low-precision parameters without a copy: rounding that is unbiased."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Key,
    Params,
    State,
    Updates,
    adapt,
    flatten_like,
    increment,
    key_data,
    leaf_keys,
    transformation,
    typed_key,
    zero_count,
)
from ..compose._chain import example_momentum
from ._rounding import is_narrow, stochastic


class StochasticRoundingState(NamedTuple):
    """The sources of the random bits, and the state of `inner`.

    Attributes:
      count: int32, updates made so far.
      key: the data of the user's key, uint32, the same at every step.
      inner: the state of `inner`.
    """

    count: jax.Array  # type: ignore[assignment]
    key: jax.Array
    inner: State


def _descent() -> GradientTransformation:
    return stochastic_rounding(example_momentum(), key=jax.random.key(0))


@transformation("wrapper", example=_descent, needs=("params",), per_example="results")
def stochastic_rounding(
    inner: GradientTransformation, *, key: Key = None
) -> GradientTransformation:
    r"""Round updated bfloat16 and float16 parameters up or down at random.

    With the update `u` of `inner`, `s = w + u` in float32, and its neighbours `a ≤ s ≤ b` in the
    parameter's dtype (Gupta et al., arXiv 1502.02551, section 3; for weights Zamirai et al.,
    arXiv 2010.06192):

    .. math::
        w \leftarrow b \text{ with probability } \frac{s - a}{b - a}, \text{ otherwise } a

    So the expectation of the parameter is the result in float32, with variance `(s - a)(b - s)`,
    and steps that are too small for the dtype are taken on average. The probability is a multiple
    of 2⁻¹⁶, which is exact for bfloat16. A number between the largest bfloat16 and infinity is
    rounded down.

    The bits depend only on the key, the step, the leaf's path and the element's position in it:
    sharding the leaf or interrupting the run does not change them.

    Bytes per bfloat16 parameter: 2, with none in the state.

    Args:
      inner: a complete optimizer; it sees the rounded parameters.
      key: a typed random key; it must be given.

    Raises:
      TypeError: `key` is missing, or no typed key.
      ValueError: `update` was not given `params`.

    A quarter of the weights take a step of a quarter of the spacing:

    >>> import jax, jax.numpy as jnp, optcore
    >>> tx = stochastic_rounding(optcore.sgd(1.0), key=jax.random.key(0))
    >>> w = jnp.ones(100_000, jnp.bfloat16)
    >>> updates, _ = tx.update(jnp.full(100_000, -(2**-9)), tx.init(w), params=w)
    >>> moved = optcore.apply_updates(w, updates) == 1 + 2**-7
    >>> round(moved.mean().item(), 2)
    0.25
    """
    inner = adapt(inner)

    def init(params: Params) -> StochasticRoundingState:
        return StochasticRoundingState(zero_count(), key_data(key), inner.init(params))

    def update(
        updates: Updates,
        state: StochasticRoundingState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, StochasticRoundingState]:
        steps, new = inner.update(updates, state.inner, params, **extra)
        t = increment(state.count)
        keys = leaf_keys(typed_key(state.key, key), t, params)

        def rounded(p: Any, u: Any, key: jax.Array) -> Any:
            return _rounded(p, u, key) if u is not None and is_narrow(p) else u

        leaves, treedef = jax.tree.flatten(params)
        columns = (flatten_like(treedef, steps), flatten_like(treedef, keys))
        steps = treedef.unflatten(map(rounded, leaves, *columns))
        return steps, StochasticRoundingState(t, state.key, new)

    return GradientTransformation(init, update)


@jax.jit
def _rounded(p: jax.Array, u: jax.Array, key: jax.Array) -> jax.Array:
    """The update to the rounded parameter."""
    w = p.astype(jnp.float32)
    return stochastic(w + u.astype(w.dtype), p.dtype, key) - w
