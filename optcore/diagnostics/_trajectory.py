"""Recording the path of an optimizer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    DeclaredTransformation,
    GradientTransformation,
    Params,
    apply_updates,
    global_norm,
    is_transformation,
)
from ..compose import chain


class Trajectory(NamedTuple):
    """The path of an optimizer.

    Attributes:
      points: the parameters before each step and after the last, with a leading axis of
        `steps + 1`.
      losses: float32, `(steps + 1,)`: the losses at the points.
      gradient_norms: float32, `(steps + 1,)`: the gradient norms at the points.
    """

    points: Any
    losses: jax.Array
    gradient_norms: jax.Array


def trajectory(
    loss_fn: Callable[[Params], jax.Array],
    start: Params,
    tx: GradientTransformation,
    steps: int,
    **extra: Any,
) -> Trajectory:
    """Run an optimizer on a loss in one compiled scan, and record every point.

    `update` gets the parameters, the loss (`value`), the loss function (`value_fn` and `obj_fn`),
    the gradients (`grad`) and the gradient function (`grad_fn`), so any optimizer can run.

    Args:
      loss_fn: from parameters to a scalar, such as `diagnostics.saddle`.
      start: parameters; for `plot_trajectories` an array of shape (2,).
      tx: an optimizer, which may be from another library.
      steps: ≥ 0.
      **extra: further arguments of `update`, such as a `key`; the same at every step.

    Raises:
      TypeError: `tx` is not a transformation, or `start` has a leaf that cannot be trained.
      ValueError: `steps` is negative, or `loss_fn` does not return a scalar.

    Gradient descent leaves the saddle by the factor `1 + 2 · rate` a step:

    >>> import optcore
    >>> from optcore.diagnostics import saddle
    >>> path = trajectory(saddle, jnp.array([1.0, -0.001]), optcore.sgd(0.02), steps=180)
    >>> path.points.shape, round(float(path.points[-1, 1] / path.points[-2, 1]), 4)
    ((181, 2), 1.04)
    """
    if not is_transformation(tx):
        raise TypeError(f"trajectory: tx must be an optimizer, got {tx!r}")
    if steps < 0:
        raise ValueError(f"trajectory: steps must be at least 0, got {steps}")
    start = jax.tree.map(_trainable, start)
    shape = jax.eval_shape(loss_fn, start).shape
    if shape:
        raise ValueError(f"trajectory: loss_fn must return a scalar, got shape {shape}")
    # A transformation that must be outermost cannot be in a chain.
    own: Any = tx if isinstance(tx, DeclaredTransformation) else chain(tx)
    gradients = jax.grad(loss_fn)
    functions = {"value_fn": loss_fn, "obj_fn": loss_fn, "grad_fn": lambda p, _: gradients(p)}
    takes = {"value", "grad", "value_fn"} | own.declaration.structure.contents.takes
    given = {name: f for name, f in functions.items() if name in takes} | extra

    def record(params: Params) -> tuple[Any, Trajectory]:
        loss, grads = jax.value_and_grad(loss_fn)(params)
        seen = Trajectory(params, *(x.astype(jnp.float32) for x in (loss, global_norm(grads))))
        return (loss, grads), seen

    def body(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], Trajectory]:
        params, state = carry
        (loss, grads), seen = record(params)
        updates, state = own.update(grads, state, params, value=loss, grad=grads, **given)
        return (apply_updates(params, updates), state), seen

    @jax.jit
    def run(params: Params) -> Trajectory:
        (last, _), seen = jax.lax.scan(body, (params, own.init(params)), length=steps)
        _, end = record(last)
        return jax.tree.map(lambda path, x: jnp.concatenate([path, x[None]]), seen, end)

    return run(start)


def _trainable(x: Any) -> jax.Array:
    array = jnp.asarray(x)
    if not jnp.issubdtype(array.dtype, np.floating):
        raise TypeError(
            f"trajectory: start must hold floating-point numbers, got an array of {array.dtype}; "
            "write 1.0 for 1"
        )
    return array
