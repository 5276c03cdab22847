"""Sharpness-aware minimization: the gradient at the worst point nearby."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Params,
    Rate,
    State,
    Updates,
    adapt,
    apply_updates,
    check_updates,
    global_norm,
    is_absent,
    map_leaves,
    transformation,
)


class SamState(NamedTuple):
    """The state of the wrapped optimizer.

    Attributes:
      inner: the state of `inner`, which sees only gradients at perturbed parameters.
    """

    inner: State


@transformation("wrapper", example={}, needs=("params", "grad_fn"), all_reduces=1)
def sam(inner: GradientTransformation, rho: Rate = 0.05) -> GradientTransformation:
    r"""Step with the gradient at the worst point nearby (Foret et al., arXiv 2010.01412, alg. 1).

    .. math::
        \hat\epsilon = \rho \, \frac{g}{\|g\|}, \quad g' = \nabla f(w + \hat\epsilon)

    with the norm over all leaves. `inner` gets `g'` in place of `g`, and the parameters `w`
    themselves, which are never perturbed in place. Where `g` is zero, so is `ε`. With `rho = 0`
    this is `inner`.

    `update` takes the keyword `grad_fn` and calls it once, as `grad_fn(params, 0)`, like
    `optax.contrib.sam(opaque_mode=True)`. It should use the same batch:
    `jax.grad(lambda params, _: loss(params, batch))`. Under data parallelism it must return the
    mean over the devices. A step costs two gradients. In bfloat16 a perturbation below the last
    digit of a parameter is lost: keep parameters in float32.

    Args:
      inner: the optimizer.
      rho: ≥ 0, the length of the perturbation.

    Raises:
      ValueError: `update` was not given `params` or `grad_fn`, or the gradients from `grad_fn` do
        not fit the parameters.

    On `w²` from 1, the gradient is taken at 1.1:

    >>> import jax, jax.numpy as jnp, optcore
    >>> grad_fn, w = jax.grad(lambda w, _: w**2), jnp.float32(1.0)
    >>> tx = sam(optcore.sgd(1.0), rho=0.1)
    >>> round(tx.update(grad_fn(w, 0), tx.init(w), params=w, grad_fn=grad_fn)[0].item(), 4)
    -2.2
    """

    def perturbation(updates: Updates, params: Params) -> Updates:
        return _of_length(rho, updates)

    return _sharpness_aware("sam", inner, perturbation)


@transformation("wrapper", example={}, needs=("params", "grad_fn"), all_reduces=1)
def asam(
    inner: GradientTransformation, rho: Rate = 0.5, eta: Rate = 0.01
) -> GradientTransformation:
    r"""`sam` in a neighbourhood that scales with the weights (Kwon et al., arXiv 2102.11600).

    .. math::
        \hat\epsilon = \rho \, \frac{T^2 g}{\|T g\|}, \quad T = |w| + \eta

    element by element (their algorithm 1), so rescaling a network without biases does not change
    the step. The authors' code uses `T = 1` for biases; this function treats all parameters alike.

    Args:
      inner: the optimizer.
      rho: ≥ 0, the length of `ε / T`; about ten times that of `sam`.
      eta: ≥ 0; a positive value lets weights near 0 be perturbed.

    Raises:
      ValueError: as for `sam`.

    A weight of 10 is perturbed ten times as far as a weight of 1 by the same gradient:

    >>> import jax.numpy as jnp, optcore
    >>> w = jnp.array([10.0, 10.0])
    >>> def grad_fn(w, _):
    ...     return w - 10.0
    >>> tx = asam(optcore.sgd(1.0), rho=0.1, eta=0.0)
    >>> tx.update(jnp.array([0.0, 3.0]), tx.init(w), params=w, grad_fn=grad_fn)[0].round(4).tolist()
    [-0.0, -1.0]
    """

    def perturbation(updates: Updates, params: Params) -> Updates:
        def scaled(g: jax.Array, p: jax.Array) -> jax.Array:
            return (jnp.abs(p) + eta) * g

        direction = _of_length(rho, map_leaves(scaled, updates, reads=(params,)))
        return map_leaves(scaled, direction, reads=(params,))

    return _sharpness_aware("asam", inner, perturbation)


def _of_length(rho: Any, updates: Updates) -> Updates:
    """Updates that together have the norm `rho`; zero where they vanish."""
    norm = global_norm(updates)
    # In two factors, because the reciprocal of a huge norm vanishes, and that of a tiny one
    # overflows.
    power = jnp.where(norm > 2.0**64, 2.0**-64, 1.0).astype(norm.dtype)
    vanishes = norm < jnp.finfo(norm.dtype).tiny
    factor = jnp.where(vanishes, 0, rho / jnp.where(vanishes, 1, power * norm))
    return map_leaves(lambda g, a, b: b * (a * g), updates, scalars=(power, factor))


def _sharpness_aware(
    name: str,
    inner: GradientTransformation,
    perturbation: Callable[[Updates, Params], Updates],
) -> GradientTransformation:
    adapted = adapt(inner)

    def init(params: Params) -> SamState:
        return SamState(adapted.init(params))

    def update(
        updates: Updates,
        state: SamState,
        params: Params | None = None,
        *,
        grad_fn: Callable[[Params, int], Updates] | None = None,
        **extra: Any,
    ) -> tuple[Updates, SamState]:
        if grad_fn is None:
            raise ValueError(f"{name} needs 'grad_fn', which was not given")
        worst = apply_updates(params, perturbation(updates, params))
        there = check_updates(f"{name}: grad_fn", grad_fn(worst, 0), params)
        # Parameters without a gradient are frozen, and stay frozen.
        there = jax.tree.map(
            lambda g, h: None if is_absent(g) else h, updates, there, is_leaf=is_absent
        )
        steps, new = adapted.update(there, state.inner, params, grad_fn=grad_fn, **extra)
        return steps, SamState(new)

    return GradientTransformation(init, update)
