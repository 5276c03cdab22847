"""Cautious optimizers: only coordinates that agree with the gradient move."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    DeclaredTransformation,
    GradientTransformation,
    Params,
    State,
    Updates,
    adapt,
    begin,
    map_leaves,
    transformation,
    whole_count,
    whole_size,
)


class CautiousState(NamedTuple):
    """The state of the masked transformation.

    Attributes:
      inner: the state of `inner`, which the mask does not affect.
    """

    inner: State


@transformation("wrapper", example={"scaling": "c_lion"}, all_reduces=1)
def cautious(
    inner: GradientTransformation,
    scaling: Literal["c_adamw", "c_lion", "heavyball"] = "c_adamw",
    *,
    gives: Literal["steps", "directions"] = "steps",
) -> GradientTransformation:
    r"""Zero the coordinates in which an update disagrees with the gradient, and scale the rest.

    With the update `d` of `inner` in the direction of ascent, and the gradient `g` (Liang et
    al., arXiv 2411.16085, algorithm 1):

    .. math::
        u = \alpha \, \phi \, d, \quad \phi = [d g > 0]

    For a leaf of `n` elements, of which `k` agree, published code uses three factors `α`, named
    here after that code:

    * `"c_adamw"`, the authors' AdamW: `n / max(k, n / 1000)`;
    * `"c_lion"`, the authors' Lion and the paper's text: `n / (k + 1)`, which shrinks a fully
      agreeing update;
    * `"heavyball"`, HeavyBall: `n / max(k, 1)`. Here a coordinate in which `d` or `g` is zero
      agrees; in the other two it does not, and the rest is scaled up to compensate.

    Complex numbers agree if the angle between them is acute.

    Args:
      inner: the optimizer or direction; its state is that without the mask. Weight decay inside is
        masked too; in the paper, it is outside: `chain(cautious(scale_by_adam(),
        gives="directions"), add_decayed_weights(0.1), scale_by_learning_rate(1e-3))`.
      scaling: the factor.
      gives: whether `inner` gives steps of descent, like `adam`, or directions of ascent, like
        `scale_by_adam`.

    Raises:
      ValueError: `inner` is an optimizer and `gives="directions"`, or the reverse.

    A coordinate whose momentum still points back waits, and the other coordinate is scaled up:

    >>> import jax.numpy as jnp, optcore
    >>> tx = cautious(optcore.sgd(1.0, momentum=0.9))
    >>> state = tx.init(jnp.zeros(2))
    >>> for g in (jnp.array([10.0, 10.0]), jnp.array([-1.0, 1.0])):
    ...     update, state = tx.update(g, state)
    >>> update.tolist()
    [-0.0, -20.0]
    """
    _check_kind(inner, gives)
    inner = adapt(inner)
    ascent = 1 if gives == "directions" else -1

    def leaf(d: jax.Array, g: jax.Array) -> jax.Array:
        # Signs, because the product of small numbers may vanish.
        alignment = ascent * (jnp.sign(d) * jnp.sign(g).conj()).real
        agrees = alignment >= 0 if scaling == "heavyball" else alignment > 0
        n, k = max(whole_size(g), 1), whole_count(agrees)
        if scaling == "c_lion":
            alpha = n / (k + 1)
        else:
            alpha = n / jnp.maximum(k, n / 1000 if scaling == "c_adamw" else 1)
        # A product, so that a NaN is not masked away.
        return (alpha * agrees).astype(alignment.dtype) * d

    def init(params: Params) -> CautiousState:
        return CautiousState(inner.init(params))

    def update(
        updates: Updates, state: CautiousState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, CautiousState]:
        updates = begin(updates)
        steps, new = inner.update(updates, state.inner, params, **extra)
        steps = map_leaves(leaf, steps, reads=(updates,))
        return steps, CautiousState(new)

    return GradientTransformation(init, update)


def _check_kind(inner: GradientTransformation, gives: str) -> None:
    """Refuse an `inner` that is known to give the other kind: the mask would be inverted."""
    if not isinstance(inner, DeclaredTransformation):
        return
    known = {"optimizer": "steps", "direction": "directions"}
    kind = inner.declaration.factory.kind
    if known.get(kind, gives) != gives:
        raise ValueError(
            f"cautious: {inner.declaration.name} gives {known[kind]}, expected {gives}; "
            f"pass gives={known[kind]!r}"
        )
