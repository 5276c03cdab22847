"""Gradients of tables of which a batch uses few rows."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from .._core import OneLeaf, explicit_sharding, replicated, wide


@jax.tree_util.register_pytree_with_keys_class
class RowSparse(OneLeaf):
    """A gradient or update that is zero except for some rows; it represents their dense sum.

    Among updates it counts as one leaf of its shape. It can replace a dense gradient wherever the
    transformation supports it: clips by value and by norm, scales and weight decays do, and
    transformations with a state per element do inside `lazy_rows`. `apply_updates` adds it to its
    rows.

    Rows that occur several times are summed first, in at least float32, so a norm is that of the
    dense gradient.

    `jax.tree.map` and `jax.lax.psum` also reach `indices`. To scale gradients by hand, map over
    leaves with `is_leaf=lambda g: isinstance(g, RowSparse)` and use `with_values`; inside
    `shard_map`, `gathered` collects the rows of all devices.

    Args:
      indices: the rows, integers of any shape.
      values: the values of these rows, an array of shape `indices.shape + shape[1:]`.
      shape: of the dense array; its first axis counts rows.

    Attributes:
      indices: int32, with one axis. Values of `shape[0]` and above mark unused places.
      values: one row per index.
      shape: of the dense array.
      unique: whether the indices are known to be sorted and distinct.

    Raises:
      TypeError: the indices are not integers, or the values are not floating-point numbers.
      ValueError: the shapes do not fit; or a known index is outside `[0, shape[0])`. Under tracing,
        where indices are unknown, such a row is dropped.

    >>> import jax.numpy as jnp
    >>> g = RowSparse(jnp.array([3, 0, 3]), jnp.array([[1.0], [2.0], [5.0]]), shape=(4, 1))
    >>> g
    RowSparse(indices=int32[3], values=float32[3,1], shape=(4, 1))
    >>> g.todense().ravel().tolist()
    [2.0, 0.0, 0.0, 6.0]
    """

    __array_ufunc__ = None

    advice = "inside lazy_rows(...) it gets the rows as arrays"

    indices: Any
    values: Any
    unique: bool

    def __init__(self, indices: Any, values: Any, shape: tuple[int, ...]):
        self.shape = shape = tuple(int(n) for n in shape)
        if not hasattr(indices, "dtype"):
            # An empty list would become a floating-point array.
            indices = np.asarray(indices, None if np.size(indices) else np.int32)
        values = jnp.asarray(values)
        if not jnp.issubdtype(indices.dtype, jnp.integer):
            raise TypeError(f"RowSparse: indices must be integers, got {indices.dtype}")
        if not jnp.issubdtype(values.dtype, jnp.inexact):
            raise TypeError(f"RowSparse: values must be floating-point, got {values.dtype}")
        if not shape or values.shape != indices.shape + shape[1:]:
            raise ValueError(
                f"RowSparse: for indices of shape {indices.shape} and a table of shape {shape} "
                f"expected values of shape {indices.shape + shape[1:]}, got {values.shape}"
            )
        if shape[0] + indices.size >= 2**31:
            raise ValueError(f"RowSparse: {shape[0]} rows and one place per index exceed int32")
        self.indices = _in_range(indices, shape[0]).reshape(-1)
        self.values = values.reshape(-1, *shape[1:])
        self.unique = False

    def tree_flatten_with_keys(self) -> Any:
        """Indices and values by name."""
        key = jax.tree_util.GetAttrKey
        named = ((key("indices"), self.indices), (key("values"), self.values))
        return named, (self.shape, self.unique)

    def tree_flatten(self) -> Any:
        """Indices and values."""
        return (self.indices, self.values), (self.shape, self.unique)

    @classmethod
    def tree_unflatten(cls, static: Any, children: Any) -> "RowSparse":
        """Without checks, because a transformation of JAX may put anything in place of arrays."""
        self = object.__new__(cls)
        self.indices, self.values = children
        self.shape, self.unique = static
        return self

    def _with(self, indices: Any, values: Any, unique: bool) -> "RowSparse":
        return self.tree_unflatten((self.shape, unique), (indices, values))

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the values."""
        return np.dtype(self.values.dtype)

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{name}={x.dtype}[{','.join(map(str, x.shape))}]" if hasattr(x, "dtype") else repr(x)
            for name, x in (("indices", self.indices), ("values", self.values))
        )
        return f"RowSparse({parts}, shape={self.shape})"

    def __radd__(self, other: Any) -> Any:
        raise TypeError(
            f"{self!r} cannot be added to an array as if it were dense, as optax.apply_updates "
            "does: use optcore.apply_updates, which adds it to its rows"
        )

    def problem(self) -> str | None:
        """The damage by a map over its leaves, if any."""
        if jnp.issubdtype(getattr(self.indices, "dtype", object), jnp.integer):
            return None
        return (
            f"is {self!r}, whose indices must be integers: did jax.tree.map change them? Pass it "
            "is_leaf=lambda g: isinstance(g, RowSparse), and use with_values"
        )

    def with_values(self, values: Any) -> "RowSparse":
        """Replace the values by others of the same shape; unused places get zeros.

        >>> import jax.numpy as jnp
        >>> g = RowSparse(jnp.array([1]), jnp.array([[3.0]]), shape=(2, 1))
        >>> g.with_values(-g.values).todense().tolist()
        [[0.0], [-3.0]]
        """
        if np.shape(values) != np.shape(self.values):
            raise ValueError(
                f"RowSparse: expected values of shape {np.shape(self.values)}, "
                f"got {np.shape(values)}"
            )
        return self._with(self.indices, self._used(values), self.unique)

    def _used(self, values: Any) -> jax.Array:
        """The values, with zeros in unused places; selected, because a product would keep NaN."""
        used = self.indices < self.shape[0]
        return jnp.where(used.reshape(-1, *[1] * (self.ndim - 1)), values, 0)

    def astype(self, dtype: Any) -> "RowSparse":
        """The same with values of another dtype."""
        return self._with(self.indices, self.values.astype(dtype), self.unique)

    def summed(self) -> "RowSparse":
        """The same with sorted, distinct indices, in at least float32.

        The number of places does not change, so it is known under tracing; unused places hold zeros
        and have distinct indices behind the last row.

        >>> import jax.numpy as jnp
        >>> g = RowSparse(jnp.array([3, 0, 3]), jnp.array([[1.0], [2.0], [5.0]]), shape=(4, 1))
        >>> g.summed().indices.tolist(), g.summed().values.ravel().tolist()
        ([0, 3, 6], [2.0, 6.0, 0.0])
        """
        if self.unique:
            return self
        indices, values = replicated(self.indices), replicated(self.values)
        values = values.astype(wide(values.dtype))
        rows, places = self.shape[0], self.indices.shape[0]
        if not places:
            return self._with(indices, values, True)
        order = jnp.argsort(indices, stable=True)
        sorted_ = indices[order]
        used = sorted_ < rows
        first = jnp.concatenate([jnp.ones(1, bool), sorted_[1:] != sorted_[:-1]])
        place = jnp.cumsum(first, dtype=jnp.int32) - 1
        kept = self._with(indices, values, False)._used(values)[order]
        sums = jax.ops.segment_sum(kept, place, places, indices_are_sorted=True)
        left_over = rows + jnp.arange(places, dtype=jnp.int32)
        indices = left_over.at[jnp.where(used, place, places)].set(sorted_, mode="drop")
        return self._with(indices, sums, True)

    def gathered(self, axis_name: str | tuple[str, ...]) -> "RowSparse":
        """The rows of all devices along axes of the mesh of a `shard_map`, the same on each.

        It represents the sum over the devices; divide its values by their number for the mean.

        >>> import jax, jax.numpy as jnp
        >>> from jax.sharding import AxisType, PartitionSpec
        >>> count = jax.device_count()
        >>> mesh = jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,))
        >>> def summed(rows):
        ...     return RowSparse(rows, jnp.ones(1), (10,)).gathered("data").todense()
        >>> cut = {"in_specs": PartitionSpec("data"), "out_specs": PartitionSpec()}
        >>> total = jax.jit(jax.shard_map(summed, mesh=mesh, **cut))(jnp.full(count, 3))
        >>> bool(total[3] == count), bool(total[4] == 0)
        (True, True)
        """
        place, count = lax.axis_index(axis_name), lax.axis_size(axis_name)

        def gather(x: jax.Array) -> jax.Array:
            own = jnp.zeros((count, *x.shape), x.dtype).at[place].set(x)
            return lax.psum(own, axis_name).reshape(-1, *x.shape[1:])

        return self._with(gather(self.indices), gather(self.values), False)

    def todense(self) -> jax.Array:
        """The dense array that it represents.

        >>> import jax.numpy as jnp
        >>> RowSparse(jnp.array([1, 1]), jnp.array([3.0, 4.0]), shape=(3,)).todense().tolist()
        [0.0, 7.0, 0.0]
        """
        zeros = jnp.zeros(self.shape, self.dtype)
        return zeros.at[replicated(self.indices)].add(replicated(self.values), mode="drop")

    def rows_of(self, array: Any) -> jax.Array:
        """The rows of an array at its indices, with zeros for unused places."""
        array = jnp.asarray(array)
        return array.at[replicated(self.indices)].get(
            mode="fill",
            fill_value=0,
            unique_indices=self.unique,
            indices_are_sorted=self.unique,
            out_sharding=_of_rows(array),
        )

    def placed_in(self, array: jax.Array, rows: jax.Array) -> jax.Array:
        """An array with its rows replaced at these indices, which must be unique."""
        return array.at[replicated(self.indices)].set(
            _beside(array, rows),
            mode="drop",
            unique_indices=True,
            indices_are_sorted=True,
            out_sharding=explicit_sharding(array),
        )

    def norm_part(self) -> jax.Array:
        """The values of `summed`, whose norm is that of the dense array."""
        return self.summed().values

    def added_to(self, p: Any) -> jax.Array:
        """`p` with its rows added in the wider dtype, and rounded once."""
        p, u = jnp.asarray(p), self.summed()
        if p.dtype == u.dtype:
            return p.at[u.indices].add(
                _beside(p, u.values),
                mode="drop",
                unique_indices=True,
                indices_are_sorted=True,
                out_sharding=explicit_sharding(p),
            )
        rows = u.rows_of(p).astype(u.dtype) + _beside(p, u.values)
        return u.placed_in(p, rows.astype(p.dtype))

    def mapped(self, leaf: Callable[[jax.Array, Any], jax.Array], reads: Any) -> "RowSparse":
        """`leaf(values, reads)` for the summed rows, with the same rows of `reads`."""
        u = self.summed()
        cut = jax.tree.map(lambda x: u.rows_of(x) if np.shape(x) == u.shape else x, reads)
        return u.with_values(leaf(u.values, cut))


def _of_rows(array: jax.Array) -> NamedSharding | None:
    """The sharding of rows of an array on an explicit mesh: rows are cut like the array."""
    sharding = explicit_sharding(array)
    if sharding is None:
        return None
    return NamedSharding(sharding.mesh, PartitionSpec(None, *sharding.spec[1:]))


def _beside(array: jax.Array, rows: jax.Array) -> jax.Array:
    sharding = _of_rows(array)
    return rows if sharding is None else jax.sharding.reshard(rows, sharding)


def _in_range(indices: Any, rows: int) -> jax.Array:
    """The indices as int32; those outside are an error if known, and otherwise become `rows`."""
    if isinstance(indices, jax.core.Tracer):
        return or_none(indices, rows)
    known = np.asarray(indices)
    outside = np.flatnonzero((known < 0) | (known >= rows))
    if outside.size:
        raise ValueError(
            f"RowSparse: {outside.size} of {known.size} indices are outside [0, {rows}), the "
            f"first is {known.flat[outside[0]]} at place {outside[0]}; under jit their rows "
            "would be dropped"
        )
    return jnp.asarray(known.astype(np.int32))


def or_none(indices: jax.Array, rows: int) -> jax.Array:
    """The indices as int32, with those outside replaced by `rows`, which is not a row."""
    if indices.dtype.itemsize < 4:  # too narrow for a number of rows
        indices = indices.astype(jnp.int32)
    return jnp.where((indices >= 0) & (indices < rows), indices, rows).astype(jnp.int32)
