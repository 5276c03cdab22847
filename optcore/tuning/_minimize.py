"""A training loop for scripts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core import Params, State, is_key, whole
from ._batches import Batches, source
from ._progress import progress_bar
from ._step import Loss, adapted, copied, step


class History(NamedTuple):
    """The loss and gradient norm of each step, before its update; float32 NumPy arrays.

    Attributes:
      loss: `(steps,)`.
      gradient_norm: `(steps,)`, the norm over all leaves.
    """

    loss: np.ndarray[Any, Any]
    gradient_norm: np.ndarray[Any, Any]


def minimize(
    loss_fn: Loss,
    params: Params,
    tx: Any,
    steps: int,
    *,
    batches: Batches = None,
    key: jax.Array | None = None,
    state: State | None = None,
    chunk: int = 100,
    progress: bool = True,
) -> tuple[Params, State, History]:
    """Train: `steps` updates of `params`, compiled, in scans of `chunk` steps.

    An optimizer that takes them gets the loss as `value`, the loss function as `value_fn` and
    `obj_fn`, the gradients as `grad`, the gradient function as `grad_fn`, and, if `key` is given, a
    new `key` at each step. The loss comes to the host and the progress bar moves only between two
    chunks.

    Args:
      loss_fn: `(params, batch)`, or `(params)` without batches, to a real scalar.
      params: the initial parameters; neither changed nor donated. With `LookaheadParams`, gradients
        are taken at the fast ones.
      tx: an optimizer from optcore or another library.
      steps: ≥ 0.
      batches: a tree of arrays whose first axis counts batches, or a list of batches, both repeated
        as needed; an iterator over batches; or a function of a random key, which is traced.
      key: shuffles stacked batches in every pass; required for a function of a key, and for
        optimizers that draw at random (Sophia).
      state: the state to continue from, by default that of `tx.init`; neither changed nor donated.
      chunk: ≥ 1; the last chunk may be shorter, and is then compiled by itself.
      progress: a bar on stderr, if tqdm is installed and stderr is a terminal.

    Returns:
      The parameters, the optimizer's state, and a `History`.

    Raises:
      TypeError: `loss_fn` is not a function, or `tx` is not a transformation.
      ValueError: `loss_fn` does not return a real scalar; batches differ in structure or shape, or
        run out.

    >>> import jax.numpy as jnp, optcore
    >>> params, _, history = minimize(lambda w: (w - 3.0) ** 2, jnp.float32(0.0),
    ...     optcore.sgd(0.25), steps=20)
    >>> round(params.item(), 4), history.loss[:3].tolist()
    (3.0, [9.0, 2.25, 0.5625])
    """
    if not callable(loss_fn):
        raise TypeError(f"minimize: loss_fn must be a function, got {type(loss_fn).__name__}")
    steps, chunk = _at_least("steps", steps, 0), _at_least("chunk", chunk, 1)
    adapted_tx = adapted(tx)
    drawn = source("minimize", batches, key)
    # Different from the key of the batches and from all keys folded from it.
    own_key = None if key is None else jax.random.split(key)[1]

    def run(carry: Any, data: Any, xs: Any, length: int) -> Any:
        def body(carry: Any, inputs: Any) -> Any:
            n, x = inputs
            extra = {} if own_key is None else {"key": jax.random.fold_in(own_key, n)}
            return step("minimize", loss_fn, adapted_tx, carry, drawn.pick(data, x), **extra)

        return jax.lax.scan(body, carry, xs, length=length)

    compiled = jax.jit(run, donate_argnums=0, static_argnums=3)
    params = copied(params)
    # A state of optax may hold the parameters themselves, and a buffer cannot be donated twice.
    carry = params, _copied_state(adapted_tx.init(params) if state is None else state)
    history = [(np.zeros(0, np.float32),) * 2]
    with progress_bar(steps, "step", progress) as advance:
        for start in range(0, steps, chunk):
            number = min(chunk, steps - start)
            counts = np.arange(start, start + number, dtype=np.int32)
            xs = counts, drawn.draw(start, number)
            carry, seen = compiled(carry, drawn.data, xs, number)
            history.append(jax.device_get(seen))
            advance(number)
    return *carry, History(*(np.concatenate(parts) for parts in zip(*history, strict=True)))


def _at_least(name: str, number: int, low: int) -> int:
    found = whole(number)
    if found is None or found < low:
        raise ValueError(f"minimize: {name} must be an int of at least {low}, got {number!r}")
    return found


def _copied_state(state: State) -> State:
    def copy(x: Any) -> Any:
        if is_key(x):
            data = jnp.array(jax.random.key_data(x), copy=True)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))
        return copied(x)

    return jax.tree.map(copy, state)
