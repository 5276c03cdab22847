"""Low-precision parameters with a float32 copy in the state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import GradientTransformation, Params, State, transformation
from ._carry import Remainder, carry
from ._rounding import nearest


class MasterWeightsState(NamedTuple):
    """The copy, and the state of `inner`.

    Attributes:
      master: float32, like the parameters; `None` for parameters of float32 or wider.
      inner: its state.
    """

    master: Params
    inner: State


@transformation("wrapper", example={}, needs=("params",), per_example="results")
def master_weights(inner: GradientTransformation) -> GradientTransformation:
    """Let `inner` work on a float32 copy of bfloat16 and float16 parameters.

    The copy takes the whole step; the update leads from the current parameter to the copy rounded
    to the parameter's dtype (to nearest, ties to even). So steps that are too small for the
    parameter add up in the copy until they count (Micikevicius et al., arXiv 1710.03740, section
    3.1). Parameters of float32 or wider have no copy.

    After `apply_updates`, ours or optax's, a parameter *is* the rounded copy, if both are finite,
    normal or zero, and it did not shrink in one step by a factor of 2¹⁵ or more (float16: 2¹²);
    otherwise the float32 update itself is rounded. If a parameter is not the rounded copy, it was
    replaced from outside, and the copy restarts from it.

    Bytes per bfloat16 parameter: 2, plus 4 in the state.

    Args:
      inner: a complete optimizer; it sees the copy as parameters. A transformation behind this
        wrapper would change updates that lead to rounded numbers.

    Raises:
      ValueError: `update` was not given `params`.

    Eight steps of 2⁻¹⁰, which bfloat16 alone would round away:

    >>> import jax.numpy as jnp, optcore
    >>> for tx in (optcore.sgd(1.0), master_weights(optcore.sgd(1.0))):
    ...     w = jnp.ones((), jnp.bfloat16)
    ...     state = tx.init(w)
    ...     for _ in range(8):
    ...         updates, state = tx.update(jnp.float32(2**-10), state, params=w)
    ...         w = optcore.apply_updates(w, updates)
    ...     print(w.item())
    1.0
    0.9921875
    """
    return carry(inner, Remainder(_split, _join), MasterWeightsState, lambda state: state.master)


def _split(master: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    return nearest(master, dtype), master


def _join(p: jax.Array, master: jax.Array) -> jax.Array:
    own = p.astype(jnp.float32)
    return jnp.where(nearest(master, p.dtype) == own, master, own)
