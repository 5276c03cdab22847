"""Weight decay: terms that pull the parameters towards a point."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Hyperparameter,
    Leafwise,
    Mask,
    Params,
    Range,
    Rate,
    abs_sq,
    add_multiple,
    copies,
    fitting,
    map_leaves,
    over_root,
    per_leaf,
    select,
    transformation,
)


def _decay(
    name: str, mask: Mask | None, leaf: Callable[[jax.Array, jax.Array], jax.Array]
) -> GradientTransformation:
    """`leaf(update, parameter)` on the leaves that the mask chooses."""

    def chosen_leaf(u, p):
        return u if p is None else leaf(u, p)

    def chosen(params):
        return (select(name, mask, params, params),)

    return per_leaf(fitting(None, (name, mask)), chosen_leaf, reads=chosen, rows=True)


@transformation("transform", example={"weight_decay": 0.01}, needs=("params",), stage="decay")
def add_decayed_weights(
    weight_decay: Rate = 0.0, mask: Mask | None = None
) -> GradientTransformation:
    """Add `weight_decay · p` to the update of every parameter `p`.

    Behind a direction and in front of the learning rate this is decoupled decay (Loshchilov
    and Hutter, arXiv 1711.05101, algorithm 2); in front of the direction it is L2
    regularisation. Behind the learning rate it would make the weights *grow*: use
    `add_independent_decayed_weights` there. Other decays are corrected for the schedule
    (`add_corrected_decayed_weights`), cautious (`add_cautious_decayed_weights`), towards the
    initial point (`add_decay_to_init`) or constant (`add_l1_decay`).

    Args:
      weight_decay: ≥ 0.
      mask: a tree of booleans (or a function from the parameters to one) that says which
        parameters decay; by default all. It may stop at a subtree. If a parameter has a `RowSparse`
        gradient, only the rows that it touches decay.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = add_decayed_weights(0.1, mask={"w": True, "b": False})
    >>> params = {"w": jnp.float32(2.0), "b": jnp.float32(2.0)}
    >>> zeros = {"w": jnp.float32(0.0), "b": jnp.float32(0.0)}
    >>> updates, _ = tx.update(zeros, tx.init(params), params=params)
    >>> round(updates["w"].item(), 6), updates["b"].item()
    (0.2, 0.0)
    """
    return _decay("add_decayed_weights", mask, lambda u, p: add_multiple(u, weight_decay, p))


@transformation("transform", example={"weight_decay": 0.01}, needs=("params",), stage="drift")
def add_independent_decayed_weights(
    weight_decay: Rate, mask: Mask | None = None
) -> GradientTransformation:
    """Decay that the learning rate does not multiply: `u ← u - weight_decay · p`.

    Put it behind the learning rate, where updates are steps. To make the decay follow the shape of
    a learning-rate schedule but not its size (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2,
    where one multiplier scales both), give `weight_decay` a schedule of that shape.

    Args:
      weight_decay: the fraction of a weight that is lost in each step, ≥ 0.
      mask: see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    Whatever the rate, a weight shrinks by the factor `1 - weight_decay`:

    >>> import jax.numpy as jnp
    >>> from optcore import chain, sgd
    >>> tx = chain(sgd(1e-3), add_independent_decayed_weights(0.25))
    >>> w = jnp.float32(2.0)
    >>> tx.update(jnp.float32(0.0), tx.init(w), params=w)[0].item()
    -0.5
    """
    name = "add_independent_decayed_weights"
    return _decay(name, mask, lambda u, p: u - weight_decay * p)


@transformation(
    "transform",
    example={"weight_decay": 0.01, "learning_rate": 0.1, "peak_learning_rate": 0.2},
    needs=("params",),
    stage="decay",
)
def add_corrected_decayed_weights(
    weight_decay: Rate,
    learning_rate: Rate,
    peak_learning_rate: Annotated[Hyperparameter, Range(0, open_low=True)],
    mask: Mask | None = None,
) -> GradientTransformation:
    r"""Decay that is proportional to the square of the learning rate.

    .. math:: u \leftarrow u + \lambda \frac{\gamma_t}{\gamma_{max}} p

    With the learning rate `γ_t` behind it, a weight loses `λ γ_t² / γ_max` of itself per step.
    A layer whose output is normalised then keeps its ratio of gradient to weight norm at
    `√(2 λ / γ_max)` while the rate decays; with decoupled decay the gradients blow up (Defazio,
    arXiv 2506.02285, AdamC). The paper corrects only normalised layers: select them with `mask`,
    and use `add_decayed_weights` for the others.

    Args:
      weight_decay: `λ`, ≥ 0.
      learning_rate: `γ_t`, the same rate or schedule as that of the optimizer, ≥ 0.
      peak_learning_rate: `γ_max`, the largest that the schedule reaches, > 0.
      mask: see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    Halfway down the schedule the decay is half of `weight_decay`:

    >>> import jax.numpy as jnp
    >>> tx = add_corrected_decayed_weights(0.5, learning_rate=0.1, peak_learning_rate=0.2)
    >>> w = jnp.float32(2.0)
    >>> tx.update(jnp.float32(0.0), tx.init(w), params=w)[0].item()
    0.5
    """
    corrected = weight_decay * (learning_rate / peak_learning_rate)
    return _decay("add_corrected_decayed_weights", mask, lambda u, p: u + corrected * p)


@transformation("transform", example={"weight_decay": 0.01}, needs=("params",), stage="decay")
def add_cautious_decayed_weights(
    weight_decay: Rate, mask: Mask | None = None
) -> GradientTransformation:
    """Decay only where it agrees with the update: `u ← u + weight_decay · [u · p ≥ 0] · p`.

    A weight decays only while the step also moves it towards zero, so the decay does not shift the
    minima of the loss (Chen et al., arXiv 2510.12402, algorithm 1). Where the update or the
    parameter is zero, it counts as agreement, as in the paper. For complex numbers the product is
    `Re(ū · p)`. Put it behind the direction and in front of the learning rate.

    Args:
      weight_decay: ≥ 0.
      mask: see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = add_cautious_decayed_weights(0.5)
    >>> params, direction = jnp.array([2.0, 2.0, 2.0]), jnp.array([1.0, -1.0, 0.0])
    >>> tx.update(direction, tx.init(params), params=params)[0].tolist()
    [2.0, -1.0, 1.0]
    """

    def leaf(u, p):
        # Signs, because the product of the numbers may vanish.
        agree = (jnp.sign(u).conj() * jnp.sign(p)).real >= 0
        return u + jnp.where(agree, weight_decay, 0) * p

    return _decay("add_cautious_decayed_weights", mask, leaf)


class AddDecayToInitState(NamedTuple):
    """The point that the parameters are pulled to.

    Attributes:
      anchor: the initial parameters, with `None` where the mask is False.
    """

    anchor: Params


@transformation("transform", example={"weight_decay": 0.01}, needs=("params",), stage="decay")
def add_decay_to_init(weight_decay: Rate, mask: Mask | None = None) -> GradientTransformation:
    """Decay towards the initial parameters: `u ← u + weight_decay · (p - p_0)`.

    Use it for fine-tuning. In front of the direction it is the gradient of the penalty
    `½ · weight_decay · ‖p - p_0‖²` (L2-SP; Li et al., arXiv 1802.01483, equation 3); behind the
    direction and in front of the learning rate it is decoupled. The point `p_0` is the parameters
    that `init` was given, in their own dtypes.

    Args:
      weight_decay: ≥ 0.
      mask: see `add_decayed_weights`; masked parameters cost no memory.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = add_decay_to_init(0.5)
    >>> state = tx.init(jnp.float32(3.0))
    >>> tx.update(jnp.float32(0.0), state, params=jnp.float32(5.0))[0].item()
    1.0
    """

    def init(params):
        return AddDecayToInitState(copies(select("add_decay_to_init", mask, params, params)))

    def leaf(u, p, p0):
        return u if p0 is None else u + weight_decay * (p - p0)

    def update(updates, state, params=None, **extra):
        return map_leaves(leaf, updates, reads=(params, state.anchor)), state

    return Leafwise(init, update)


@transformation("transform", example={"weight_decay": 0.01}, needs=("params",), stage="decay")
def add_l1_decay(weight_decay: Rate, mask: Mask | None = None) -> GradientTransformation:
    """Decay by a constant amount, whatever the size of a weight: `u ← u + weight_decay · sign(p)`.

    The decay is a subgradient of `weight_decay · ‖p‖₁`, with 0 at 0 and `p / |p|` for complex
    numbers. In front of the direction it is L1 regularisation; behind it, the decay is decoupled.
    Small weights end up within one step of zero rather than at zero.

    Args:
      weight_decay: ≥ 0.
      mask: see `add_decayed_weights`.

    Raises:
      ValueError: `update` was not given `params`, or the mask does not fit them.

    >>> import jax.numpy as jnp
    >>> tx = add_l1_decay(0.5)
    >>> params = jnp.array([100.0, -0.1, 0.0])
    >>> tx.update(jnp.zeros(3), tx.init(params), params=params)[0].tolist()
    [0.5, -0.5, 0.0]
    """

    def sign(p):
        return over_root(p, abs_sq(p), 0.0, 0.0) if jnp.iscomplexobj(p) else jnp.sign(p)

    return _decay("add_l1_decay", mask, lambda u, p: u + weight_decay * sign(p))
