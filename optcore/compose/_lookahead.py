"""Lookahead: slow parameters follow fast ones, which restart from them periodically."""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    GradientTransformation,
    Hyperparameter,
    Length,
    LookaheadParams,
    Params,
    Range,
    State,
    Updates,
    adapt,
    aggregates,
    apply_updates,
    begin,
    copies,
    map_leaves,
    transformation,
    zero_count,
)

SlowStep = Annotated[Hyperparameter, Range(0, 1, closed=True)]


class LookaheadState(NamedTuple):
    """The state of the fast optimizer, and where it is in the period.

    Attributes:
      fast_state: of the fast optimizer.
      steps_since_sync: int32, fast steps since the last synchronisation.
      anchor: the slow parameters, at least float32, like the parameters; `None` if they are in
        `LookaheadParams`.
    """

    fast_state: State
    steps_since_sync: jax.Array
    anchor: Params | None

    def evaluated(self, params: Params) -> Params | None:
        """The slow parameters, if the state holds them: what `eval_params` reads."""
        return self.anchor


@transformation(
    "wrapper",
    example={"sync_period": 2, "slow_step_size": 0.5},
    needs=("params",),
    per_example="results",
)
def lookahead(
    fast_optimizer: GradientTransformation,
    sync_period: Length,
    slow_step_size: SlowStep,
    reset_state: bool = False,
) -> GradientTransformation:
    r"""`k` steps forward, one step back (Zhang et al., arXiv 1907.08610, algorithm 1).

    After every `k` steps of the fast optimizer, which lead to `θ`, the slow parameters move part of
    the way, and the fast ones restart from there:

    .. math::
        \phi \leftarrow \phi + \alpha (\theta - \phi), \quad \theta \leftarrow \phi

    Evaluate `eval_params(state, params)`, the slow parameters. The state holds them, unless `init`
    and `update` are given `LookaheadParams(fast, slow)`, as in optax. Then the gradients must be
    those at `params.fast`, and the updates are a `LookaheadParams` too. In that form, a
    transformation in front of it in a chain would see pairs; put it inside.

    Args:
      fast_optimizer: a whole optimizer.
      sync_period: `k`, ≥ 1.
      slow_step_size: `α` in [0, 1].
      reset_state: reset the state of the fast optimizer, counts included, after every period.

    Raises:
      ValueError: `update` was not given `params`; or `reset_state` would repeat the noise of a
        private optimizer.

    Two steps of length 1 forward, one back:

    >>> import jax.numpy as jnp, optcore
    >>> tx = lookahead(optcore.sgd(1.0), sync_period=2, slow_step_size=0.5)
    >>> w = jnp.float32(0.0)
    >>> state = tx.init(w)
    >>> for _ in range(4):
    ...     step, state = tx.update(jnp.float32(-1.0), state, params=w)
    ...     w = optcore.apply_updates(w, step)
    ...     print(w.item(), optcore.eval_params(state, w).item())
    1.0 0.0
    1.0 1.0
    2.0 1.0
    2.0 2.0
    """
    if reset_state and aggregates(fast_optimizer):
        raise ValueError(
            "lookahead: reset_state would repeat the noise in every period, and noise that two "
            f"steps share can be subtracted; fast_optimizer is {fast_optimizer!r}"
        )
    inner = adapt(fast_optimizer)

    def init(params: Params) -> LookaheadState:
        pair = isinstance(params, LookaheadParams)
        return LookaheadState(
            fast_state=inner.init(params.fast if pair else params),
            steps_since_sync=zero_count(),
            anchor=None if pair else copies(params, widened=True),
        )

    def target(u: jax.Array, phi: jax.Array, theta: jax.Array) -> jax.Array:
        return phi + slow_step_size * (theta + u - phi)

    def fast_and_anchor(
        u: jax.Array, phi: jax.Array, theta: jax.Array, sync: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        new = target(u, phi, theta)
        return jnp.where(sync, new - theta, u), jnp.where(sync, new, phi)

    def fast_leaf(u: jax.Array, phi: jax.Array, theta: jax.Array, sync: jax.Array) -> jax.Array:
        return jnp.where(sync, target(u, phi, theta) - theta, u)

    def slow_leaf(u: jax.Array, phi: jax.Array, theta: jax.Array, sync: jax.Array) -> jax.Array:
        return jnp.where(sync, slow_step_size * (theta + u - phi), 0)

    def update(
        updates: Updates, state: LookaheadState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, LookaheadState]:
        fast = params.fast if isinstance(params, LookaheadParams) else params
        sync = state.steps_since_sync == sync_period - 1
        # The reset selects between two trees, so no update in them may still wait on a tape.
        updates = updates if reset_state else begin(updates)
        steps, fast_state = inner.update(updates, state.fast_state, fast, **extra)
        if isinstance(params, LookaheadParams):
            reads, anchor = (params.slow, fast), None
            slow = map_leaves(slow_leaf, steps, reads=reads, scalars=(sync,))
            steps = map_leaves(fast_leaf, steps, reads=reads, scalars=(sync,))
            new = LookaheadParams(fast=steps, slow=slow)
        else:
            new, anchor = map_leaves(
                fast_and_anchor, steps, (state.anchor,), (fast,), scalars=(sync,)
            )
        if reset_state:
            start = inner.init(apply_updates(fast, steps if anchor is None else new))
            fast_state = jax.tree.map(lambda s, f: jnp.where(sync, s, f), start, fast_state)
        since = (state.steps_since_sync + 1) % sync_period
        return new, LookaheadState(fast_state, since, anchor)

    return GradientTransformation(init, update)
