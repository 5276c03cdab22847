"""One training step with any optimizer, shared by the tools of this chapter."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .._core import (
    DeclaredTransformation,
    GradientTransformation,
    Params,
    State,
    apply_updates,
    global_norm,
    is_absent,
    trained,
)
from ..compose import chain

Loss = Callable[..., jax.Array]
"""`(params, batch)` to a real scalar; `(params)` where there are no batches."""


def adapted(tx: Any) -> GradientTransformation:
    """The transformation itself if it is ours, or one with the same state that takes extras."""
    if isinstance(tx, DeclaredTransformation):
        return tx
    link: Any = chain(tx)

    def init(params: Params) -> State:
        return link.init(params)[0]

    def update(updates: Any, state: State, params: Params | None = None, **extra: Any) -> Any:
        extra = _asked_for(link, extra)
        updates, (state,) = link.update(updates, (state,), params, **extra)
        return updates, state

    return GradientTransformation(init, update)


def step(
    owner: str,
    loss_fn: Loss,
    tx: GradientTransformation,
    carry: tuple[Params, State],
    batch: Any,
    **extra: Any,
) -> tuple[tuple[Params, State], tuple[jax.Array, jax.Array]]:
    """Parameters and state after one update, and before it the loss and the gradient's norm.

    `extra` holds the arguments of `update` besides the loss, its gradients, and functions for both.
    """
    params, state = carry

    def objective(params: Params) -> jax.Array:
        loss = jnp.asarray(loss_fn(params) if batch is None else loss_fn(params, batch))
        if loss.ndim or not jnp.issubdtype(loss.dtype, jnp.floating):
            raise ValueError(
                f"{owner}: loss_fn must return a real scalar, got {loss.dtype}{list(loss.shape)}; "
                "did you forget the mean over the batch?"
            )
        return loss

    def loss_and_gradients(params: Params) -> tuple[jax.Array, Params]:
        loss, grads = jax.value_and_grad(objective, allow_int=True)(params)
        # For complex parameters JAX gives the conjugate of the direction of steepest ascent.
        return loss, jax.tree.map(lambda g: None if is_absent(g) else jnp.conj(g), grads)

    loss, grads = loss_and_gradients(trained(params))
    given = {"value_fn": objective, "obj_fn": objective, **extra}
    given["grad_fn"] = lambda params, _: loss_and_gradients(params)[1]
    given |= {"value": loss, "grad": grads}
    if isinstance(tx, DeclaredTransformation):
        given = _asked_for(tx, given)
    updates, state = tx.update(grads, state, params=params, **given)
    norm = global_norm(grads).astype(jnp.float32)
    return (apply_updates(params, updates), state), (loss.astype(jnp.float32), norm)


def _asked_for(tx: DeclaredTransformation, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that some part of `tx` names; optax's line searches refuse unknown ones."""
    takes = {"value", "grad", "value_fn"} | tx.declaration.structure.contents.takes
    return {name: value for name, value in given.items() if name in takes}


def copied(tree: Any) -> Any:
    """Copies of the arrays, which may be donated."""

    def copy(x: Any) -> Any:
        return jnp.array(x, jnp.result_type(x))

    return jax.tree.map(copy, tree)
