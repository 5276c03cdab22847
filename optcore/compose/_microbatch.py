"""Accumulation inside one step: a scan over the parts of a batch."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .._core import is_inexact, map_leaves, named_leaves, slots, what_it_is
from ._accumulate import as_weight, shares


def microbatch(
    value_and_grad_fn: Callable[..., tuple[Any, Any]],
    k: int,
    *,
    batch_argnums: int | Sequence[int] = 1,
    has_aux: bool = False,
    weight: Callable[..., Any] | None = None,
) -> Callable[..., tuple[Any, Any]]:
    """A value and gradient of a batch as the mean over `k` parts of it, one after another.

    It takes the memory of one part and needs no state. The result is that of the whole batch, if
    the loss of a batch is the mean over its examples.

    Args:
      value_and_grad_fn: `f(*args, **kwargs) -> (value, grads)`, as `jax.value_and_grad` or
        `scaled_value_and_grad` makes it.
      k: number of parts, ≥ 1; the length of the first axis of every array of the batch is a
        multiple of it. The i-th part has the examples i, i + k, …, so a batch that is sharded over
        devices stays in place.
      batch_argnums: which arguments are the batch, or trees of it; every part gets all others
        unchanged. A random key among those is the same for every part: for different keys, put an
        array of keys in the batch.
      has_aux: whether `value_and_grad_fn` returns `((value, aux), grads)`. Every array of `aux`
        comes back with a first axis of length `k`: those of the parts, in order.
      weight: `weight(*args, **kwargs)`, called like `value_and_grad_fn` with each part, gives the
        weight of the part, a scalar ≥ 0, such as the number of its tokens if the loss is the mean
        over them. By default all parts have equal weights.

    Returns:
      A function of the same arguments. Values and gradients are accumulated and returned in at
      least float32. One non-finite part makes the mean non-finite: `guard` then skips the step.

    Raises:
      ValueError: `k` is less than 1, or does not divide the first axis of an array of the
        batch; the message names its path.
      TypeError: `value_and_grad_fn` does not return such a pair, or its value is not a
        floating-point number.

    The gradient of four examples in two parts:

    >>> import jax, jax.numpy as jnp
    >>> def loss(w, x):
    ...     return jnp.mean((w * x - 1.0) ** 2)
    >>> x = jnp.array([1.0, 2.0, 3.0, 4.0])
    >>> value, grad = microbatch(jax.value_and_grad(loss), 2)(1.0, x)
    >>> value.item() == loss(1.0, x).item(), grad.item() == jax.grad(loss)(1.0, x).item()
    (True, True)
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"microbatch: k must be an int of at least 1, got {k!r}")
    argnums = (batch_argnums,) if isinstance(batch_argnums, int) else tuple(batch_argnums)

    def mean(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        for i in argnums:
            if not -len(args) <= i < len(args):
                raise ValueError(
                    f"microbatch: argument {i} is the batch, got {len(args)} by position"
                )
        parts = tuple(_split(args[i], k) for i in argnums)

        # Under jit it is traced once, for its types and for the scan.
        @jax.jit
        def one(part: Any) -> tuple[Any, Any, jax.Array]:
            full = list(args)
            for i, value in zip(argnums, part, strict=True):
                full[i] = value
            out, grads = _pair("(value, grads)", value_and_grad_fn(*full, **kwargs))
            value, aux = _pair("((value, aux), grads)", out) if has_aux else (out, None)
            _check_value(value)
            share = None if weight is None else weight(*full, **kwargs)
            return (value, grads), aux, as_weight("microbatch", share)

        def leaf(x: jax.Array, m: jax.Array, keep: jax.Array, add: jax.Array) -> Any:
            m = keep * m + add * x
            return m, m

        def body(carry: Any, part: Any) -> tuple[Any, Any]:
            total, means = carry
            out, aux, share = one(part)
            total, keep, add = shares(total, share)
            _, means = map_leaves(leaf, out, (means,), scalars=(keep, add))
            return (total, means), aux

        result, _, share = jax.eval_shape(lambda parts: one(jax.tree.map(_first, parts)), parts)
        start = jnp.zeros_like(share), slots(result)
        (_, (value, grads)), aux = lax.scan(body, start, parts)
        return ((value, aux) if has_aux else value), grads

    return mean


def _pair(expected: str, result: Any) -> tuple[Any, Any]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(
            f"microbatch: value_and_grad_fn must return {expected}, as jax.value_and_grad makes "
            f"it, got {what_it_is(result)} where a pair was expected"
        )
    first, second = result
    return first, second


def _check_value(value: Any) -> None:
    for path, x in named_leaves(value):
        if x is not None and not is_inexact(x):
            raise TypeError(
                f"microbatch: the value must be floating-point, since its mean is taken, got "
                f"{what_it_is(x)} at {path!r}; to return a value for each part use aux, with "
                "has_aux=True"
            )


def _split(batch: Any, k: int) -> Any:
    """Every array with a new first axis of length `k`."""
    for path, x in named_leaves(batch):
        if x is not None and (not np.ndim(x) or np.shape(x)[0] % k):
            raise ValueError(
                f"microbatch: the first axis of {path!r} in the batch must be a multiple of {k}, "
                f"got the shape {np.shape(x)}"
            )
    return jax.tree.map(lambda x: _strided(jnp.asarray(x), k), batch)


def _first(x: jax.Array) -> jax.Array:
    return x[0]


def _strided(x: jax.Array, k: int) -> jax.Array:
    return jnp.swapaxes(x.reshape(x.shape[0] // k, k, *x.shape[1:]), 0, 1)
