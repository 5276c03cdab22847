"""Snapshots of the parameters: a store for the last few, and an ensemble of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from .._core import Params, increment, is_none, named_leaves, slot_of, zero_count


class Snapshots(NamedTuple):
    """The last snapshots; it can be a carry of `lax.scan`, like any state.

    Attributes:
      count: int32, snapshots taken so far.
      params: like the parameters, with a first axis for the places. Snapshot number `n` (from 0) is
        in place `n % size`; unused places are zero.
    """

    count: jax.Array  # type: ignore[assignment]
    params: Params


def init_snapshots(params: Params, size: int) -> Snapshots:
    """An empty store for `size` snapshots.

    Args:
      params: a tree of arrays or `jax.ShapeDtypeStruct`s.
      size: ≥ 1; further snapshots replace the oldest.

    Raises:
      ValueError: `size` is not a positive int, or `params` holds no array.

    >>> init_snapshots({"w": jnp.ones(2)}, 3).params["w"].shape
    (3, 2)
    """
    if not isinstance(size, (int, np.integer)) or size < 1:
        raise ValueError(f"init_snapshots: size must be an int and at least 1, got {size}")
    if not jax.tree.leaves(params):
        raise ValueError(f"init_snapshots: params must hold an array, got {params!r}")

    def places(p: Any) -> jax.Array:
        # From zeros like the parameter, which inherit its sharding.
        return slot_of(p, jnp.stack([jnp.zeros_like(p)] * size), (None, *range(jnp.ndim(p))))

    return Snapshots(zero_count(), jax.tree.map(places, params))


def take_snapshot(snapshots: Snapshots, params: Params, when: ArrayLike = True) -> Snapshots:
    """Store a copy of the parameters, replacing the oldest if the store is full.

    Under `jit` the store is updated in place, and only one place is written. For a copy at the end
    of each cycle, call it after the `n`-th update with `when=jnp.isin(n,
    jnp.array(cycle_ends(schedule, total_steps)))`.

    Args:
      snapshots: the store.
      params: the parameters to store.
      when: a boolean, which may be traced; if it is False, nothing is stored.

    Raises:
      ValueError: the parameters do not fit the store.

    >>> store = init_snapshots(jnp.float32(0.0), 2)
    >>> for step in range(1, 10):
    ...     store = take_snapshot(store, jnp.float32(step), when=step % 3 == 0)
    >>> [w.item() for w in snapshot_members(store)]
    [6.0, 9.0]
    """
    when = jnp.asarray(when)
    if jax.tree.structure(params) != jax.tree.structure(snapshots.params):
        raise ValueError(
            "take_snapshot: the store is for other parameters: expected "
            f"{jax.tree.structure(snapshots.params)}, got {jax.tree.structure(params)}"
        )
    for (path, p), places in zip(
        named_leaves(params), jax.tree.leaves(snapshots.params, is_leaf=is_none), strict=True
    ):
        if p is not None and jnp.shape(p) != places.shape[1:]:
            raise ValueError(
                f"take_snapshot: the store is for a parameter {path!r} of shape "
                f"{places.shape[1:]}, got {jnp.shape(p)}"
            )

    def put(places: jax.Array, p: Any) -> jax.Array:
        i = snapshots.count % places.shape[0]
        kept = jnp.where(when, jnp.asarray(p, places.dtype), places[i])
        return places.at[i].set(kept)

    count = jnp.where(when, increment(snapshots.count), snapshots.count)
    return Snapshots(count, jax.tree.map(put, snapshots.params, params))


def snapshot_members(snapshots: Snapshots) -> list[Params]:
    """The parameters in the store, oldest first; not under `jit`, because the count must be known.

    >>> store = take_snapshot(init_snapshots({"w": jnp.zeros(2)}, 3), {"w": jnp.ones(2)})
    >>> [w["w"].tolist() for w in snapshot_members(store)]
    [[1.0, 1.0]]
    """
    count, size = int(snapshots.count), _size(snapshots)
    places = [n % size for n in range(max(count - size, 0), count)]
    return [jax.tree.map(lambda x, i=i: x[i], snapshots.params) for i in places]


def ensemble_probabilities(
    predict_fn: Callable[..., jax.Array],
    snapshots: Snapshots,
    *inputs: Any,
    last: int | None = None,
) -> jax.Array:
    """The mean of the members' softmax outputs (Huang et al., arXiv 1704.00109, section 3.2).

    By Jensen's inequality its cross-entropy is at most the mean cross-entropy of the members.

    Args:
      predict_fn: `(params, *inputs)` to logits, with the classes along the last axis.
      snapshots: a store with at least one snapshot.
      inputs: passed to `predict_fn`.
      last: the number of newest members to use; by default all. If there are fewer, all of them.

    Returns:
      Probabilities, shaped like the logits.

    Raises:
      ValueError: there is no snapshot (a traced count is not checked: the result is NaN), or `last`
        is not within the size of the store.

    >>> store = init_snapshots(jnp.zeros(2), 2)
    >>> for logits in ([100.0, 0.0], [0.0, 100.0]):
    ...     store = take_snapshot(store, jnp.array(logits))
    >>> ensemble_probabilities(lambda params: params, store).tolist()
    [0.5, 0.5]
    """
    size = _size(snapshots)
    last = size if last is None else last
    if not 1 <= last <= size:
        raise ValueError(f"ensemble_probabilities: last must lie in [1, {size}], got {last}")
    if not isinstance(snapshots.count, jax.core.Tracer) and int(snapshots.count) == 0:
        raise ValueError("ensemble_probabilities: no snapshot was taken yet; is `when` ever True?")
    logits = jax.vmap(lambda p: predict_fn(p, *inputs))(snapshots.params)
    chosen = chosen_places(snapshots, last)
    chosen = chosen.reshape(size, *[1] * (logits.ndim - 1))
    probabilities = jnp.where(chosen, jax.nn.softmax(logits, axis=-1), 0)
    return jnp.sum(probabilities, axis=0) / jnp.sum(chosen).astype(probabilities.dtype)


def chosen_places(snapshots: Snapshots, last: int) -> jax.Array:
    """Booleans of shape `(size,)`: which places hold one of the last snapshots."""
    size = _size(snapshots)
    age = (snapshots.count - 1 - jnp.arange(size, dtype=jnp.int32)) % size
    return age < jnp.minimum(snapshots.count, last)


def _size(snapshots: Snapshots) -> int:
    return jax.tree.leaves(snapshots.params)[0].shape[0]
