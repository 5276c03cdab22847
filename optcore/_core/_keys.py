"""Random keys: one per leaf, from the user's key, the step and the leaf's path."""

import functools
import zlib
from typing import Any

import jax
import numpy as np

from ._agreement import shard_index
from ._errors import ExplainedError
from ._paths import path_name


def is_key(x: Any) -> bool:
    """Whether an object is an array of typed random keys, as `jax.random.key` makes them."""
    return hasattr(x, "dtype") and jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key)


def key_data(key: jax.Array) -> jax.Array:
    """The words of a typed key, uint32, as states hold them: any serialiser can write them.

    They are in a buffer of their own, so that the state may be donated.
    """
    return jax.numpy.array(jax.random.key_data(key), copy=True)


def typed_key(data: jax.Array, like: jax.Array) -> jax.Array:
    """The typed key of the data in a state, with the implementation of the user's key.

    A typed key is returned unchanged, because older states held one instead of words.

    >>> key = jax.random.key(3)
    >>> bool(typed_key(key_data(key), key) == key)
    True
    """
    if is_key(data):
        return data
    words, expected = np.shape(data), jax.eval_shape(jax.random.key_data, like).shape
    if words != expected:
        raise ExplainedError(
            f"the state's key consists of words of shape {words}, but a "
            f"{jax.random.key_impl(like)} key has {expected}: was the state made with a key of "
            "another implementation?"
        )
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(like))


def leaf_keys(key: jax.Array, count: jax.Array, tree: Any) -> Any:
    """A tree like `tree` with one key per leaf, which depends only on its arguments.

    A leaf's key comes from its path, so adding or removing other leaves does not change it. Inside
    `shard_map` each part of a leaf has its own key; replicated leaves have the same key on all
    devices.

    Args:
      key: a typed key.
      count: the step, an integer scalar.
      tree: its leaves get keys.

    >>> import jax.numpy as jnp
    >>> tree = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    >>> keys = leaf_keys(jax.random.key(0), jnp.int32(1), tree)
    >>> bool(keys["a"] == keys["b"]), bool(
    ...     keys["a"] == leaf_keys(jax.random.key(0), jnp.int32(1), {"a": jnp.zeros(2)})["a"]
    ... )
    (False, True)
    """
    step_key = jax.random.fold_in(key, count)

    def leaf_key(path: Any, x: Any) -> jax.Array:
        own = jax.random.fold_in(step_key, np.uint32(zlib.crc32(path_name(path).encode())))
        return functools.reduce(jax.random.fold_in, shard_index(x), own)

    return jax.tree_util.tree_map_with_path(leaf_key, tree)


def key_words(key: jax.Array) -> list[int]:
    """The numbers of a concrete key, also during a trace."""
    with jax.ensure_compile_time_eval():
        return [int(word) for word in np.asarray(jax.random.key_data(key))]
