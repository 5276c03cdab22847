"""A program that swapped the import, as its author's type checker sees it."""

import jax

import optcore.optax as optax
from optcore.optax import contrib


def train(params: optax.Params, grads: optax.Updates) -> tuple[optax.Params, optax.OptState]:
    """One step of a chain, with a part of `contrib`."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        contrib.ademamix(optax.warmup_cosine_decay_schedule(0.0, 1e-3, 10, 100)),
    )
    state = optimizer.init(params)
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """A loss of optax's."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
