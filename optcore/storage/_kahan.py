"""Low-precision parameters with the rounding error of the last step in the state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import GradientTransformation, Params, State, transformation
from ._carry import Remainder, carry
from ._rounding import nearest, spacing


class KahanState(NamedTuple):
    """The compensation, and the state of `inner`.

    Attributes:
      residual: bfloat16, the rounding error of each parameter; `None` for parameters of float32 or
        wider.
      inner: its state.
    """

    residual: Params
    inner: State


@transformation("wrapper", example={}, needs=("params",), per_example="results")
def kahan(inner: GradientTransformation) -> GradientTransformation:
    r"""Add steps to bfloat16 and float16 parameters with Kahan's compensated summation.

    With the update `u` of `inner` and the rounding `R` to the parameter's dtype (Zamirai et al.,
    arXiv 2010.06192, algorithm 1; here `c` has the opposite sign, and sums are float32):

    .. math::
        s_t = w_{t-1} + c_{t-1} + u_t, \quad w_t = R(s_t), \quad
        c_t = R_{bf16}(s_t - w_t)

    Together `w` and `c` have about 16 binary digits, twice those of bfloat16. The summation is
    deterministic and, unlike stochastic rounding, adds no noise. The compensation is bfloat16 for
    float16 parameters too, because half their spacing may be below the range of float16. After
    `apply_updates` a parameter is the rounded sum, as for `master_weights`. If a compensation
    exceeds half the parameter's spacing, the parameter was replaced from outside, and the
    compensation counts as 0.

    Bytes per bfloat16 parameter: 2, plus 2 in the state.

    Args:
      inner: a complete optimizer; it sees `w + c` as parameters.

    Raises:
      ValueError: `update` was not given `params`.

    Steps of 3/8 of a spacing, which bfloat16 alone would round away:

    >>> import jax.numpy as jnp, optcore
    >>> tx = kahan(optcore.sgd(1.0))
    >>> w = jnp.ones((), jnp.bfloat16)
    >>> state = tx.init(w)
    >>> for _ in range(4):
    ...     updates, state = tx.update(jnp.float32(-3 * 2**-10), state, params=w)
    ...     w = optcore.apply_updates(w, updates)
    ...     print(w.item(), state.residual.item())
    1.0 0.0029296875
    1.0078125 -0.001953125
    1.0078125 0.0009765625
    1.015625 -0.00390625
    """
    return carry(inner, Remainder(_split, _join), KahanState, lambda state: state.residual)


def _split(total: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    w = nearest(total, dtype)
    return w, nearest(total - w, jnp.bfloat16).astype(jnp.bfloat16)


def _join(w: jax.Array, c: jax.Array) -> jax.Array:
    digits, lowest = (7, -126) if w.dtype == jnp.bfloat16 else (10, -14)
    w, c = w.astype(jnp.float32), c.astype(jnp.float32)
    return w + jnp.where(jnp.abs(c) <= 0.5 * spacing(w, digits, lowest), c, 0)
