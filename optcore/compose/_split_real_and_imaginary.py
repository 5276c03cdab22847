"""Complex parameters as pairs of real ones."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    slot_of,
    transformation,
)
from ..transforms import clip_by_norm, scale_by_learning_rate, trace
from ._chain import chain


class SplitRealAndImaginaryArrays(NamedTuple):
    """The replacement of a complex array inside `split_real_and_imaginary`.

    Attributes:
      real: the real parts.
      imaginary: the imaginary parts.
    """

    real: jax.Array
    imaginary: jax.Array


class SplitRealAndImaginaryState(NamedTuple):
    """The state of the transformation of the pairs.

    Attributes:
      inner: the state of `inner`, with a `SplitRealAndImaginaryArrays` per complex parameter.
    """

    inner: State


def _split(x: Any) -> Any:
    if not jnp.issubdtype(getattr(x, "dtype", type(x)), jnp.complexfloating):
        return x
    if isinstance(x, jax.ShapeDtypeStruct):
        parts = jax.eval_shape(lambda z: (z.real, z.imag), x)
    else:
        parts = x.real, x.imag
    return SplitRealAndImaginaryArrays(*(slot_of(x, part) for part in parts))


def _is_pair(x: Any) -> bool:
    return isinstance(x, SplitRealAndImaginaryArrays)


def _merged(x: Any) -> Any:
    return jax.lax.complex(x.real, x.imaginary) if _is_pair(x) else x


def _clipped_momentum() -> GradientTransformation:
    momentum = chain(clip_by_norm(1.0), trace(0.5), scale_by_learning_rate(0.1))
    return split_real_and_imaginary(momentum)


@transformation("wrapper", example=_clipped_momentum, per_example="inner")
def split_real_and_imaginary(inner: GradientTransformation) -> GradientTransformation:
    """Treat every complex parameter as two real ones, its real and its imaginary part.

    Without it, a complex number is one coordinate with one second moment, of `|g|²`; with it, each
    part has its own. It does not affect real parameters.

    Args:
      inner: the transformation of the pairs. Masks see a complex parameter as one leaf.

    Adam's first step is the sign of each part, so it does not have unit length:

    >>> import jax.numpy as jnp, optcore
    >>> g = jnp.array([3.0 - 4.0j])
    >>> for tx in (optcore.scale_by_adam(), split_real_and_imaginary(optcore.scale_by_adam())):
    ...     print(tx.update(g, tx.init(g))[0].round(4).tolist())
    [(0.6000000238418579-0.800000011920929j)]
    [(1-1j)]
    """
    inner = adapt(inner)

    def init(params: Params) -> SplitRealAndImaginaryState:
        return SplitRealAndImaginaryState(inner.init(jax.tree.map(_split, params)))

    def update(
        updates: Updates,
        state: SplitRealAndImaginaryState,
        params: Params | None = None,
        **extra: Any,
    ) -> tuple[Updates, SplitRealAndImaginaryState]:
        updates, params = jax.tree.map(_split, (updates, params))
        updates, new = inner.update(updates, state.inner, params, **extra)
        updates = jax.tree.map(_merged, updates, is_leaf=_is_pair)
        return updates, SplitRealAndImaginaryState(new)

    return GradientTransformation(init, update)
