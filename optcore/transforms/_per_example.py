"""Clipping each example of a batch by itself, for differential privacy."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .._core import (
    Params,
    Updates,
    agreeing_over,
    example_axes,
    global_norm,
    is_inexact,
    over_parts,
    shrink,
    wide,
    zero_count,
)
from .._core._paths import named_leaves, what_it_is


def _floating(name: str, grads: Updates) -> Any:
    """Gradients in at least float32, after checking that all have one leading axis."""
    sizes: dict[int, str] = {}
    for path, g in named_leaves(grads):
        if g is None:
            continue
        if jnp.ndim(g) == 0:
            raise ValueError(
                f"{name}: {path!r} is {what_it_is(g)}, expected the gradients of several examples "
                "along the first axis; they come from jax.vmap(jax.grad(loss), (None, 0))"
            )
        sizes.setdefault(jnp.shape(g)[0], path)
    if len(sizes) > 1:
        (size, path), (other, there), *_ = sizes.items()
        raise ValueError(
            f"{name}: {path!r} holds {size} examples along its first axis, {there!r} {other}: "
            "expected the same number in every leaf"
        )
    return jax.tree.map(
        lambda g: jnp.asarray(g, wide(g.dtype) if is_inexact(g) else jnp.result_type(float)), grads
    )


def _check_limit(where: str, limit: ArrayLike) -> None:
    if isinstance(limit, (int, float)) and not limit >= 0:
        raise ValueError(f"{where} must be at least 0, got {limit}")


def _clipped_sum(
    grads: Updates, limit: ArrayLike, params: Params | None = None
) -> tuple[Updates, jax.Array]:
    if not jax.tree.leaves(grads):
        return grads, zero_count()
    examples, cut = example_axes(grads, params)
    with agreeing_over(cut):
        norms = jax.vmap(global_norm)(grads)
    factors = shrink(norms, limit)

    def summed(g):
        a, b = (f.astype(g.dtype).reshape((-1,) + (1,) * (g.ndim - 1)) for f in factors)
        # Products of matrices would be rounded to fewer bits on accelerators.
        return over_parts(jnp.sum(b * (a * g), 0), examples)

    clipped = over_parts(jnp.sum(norms > limit, dtype=jnp.int32), examples)
    return jax.tree.map(summed, grads), clipped


def clipped_total(
    name: str, grads: Updates, l2_norm_clip: ArrayLike, params: Params | None
) -> Updates:
    """See `per_example_global_norm_clip`; with parameters, sums the examples of all devices."""
    return _clipped_sum(_floating(name, grads), l2_norm_clip, params)[0]


def per_example_global_norm_clip(
    grads: Updates, l2_norm_clip: ArrayLike
) -> tuple[Updates, jax.Array]:
    """The sum of the gradients of all examples, each scaled to a norm of at most `l2_norm_clip`.

    The norm of an example is taken over all leaves (Abadi et al., arXiv 1607.00133, algorithm 1),
    safe against overflow. One example changes the sum by at most `l2_norm_clip`.

    Args:
      grads: a tree of arrays with one gradient per example along the first axis.
      l2_norm_clip: ≥ 0; infinity means no clipping.

    Returns:
      The sum, without the first axis and in at least float32, and how many examples were clipped.

    Raises:
      ValueError: a leaf has no first axis, or another number of examples; the limit is negative;
        inside `shard_map`, devices hold different gradients, which may be parts or belong to other
        examples (`differentially_private_aggregate` takes params and can tell).

    >>> import jax.numpy as jnp
    >>> grads = {"w": jnp.array([[3.0, 4.0], [0.0, 0.5], [-8.0, 6.0]])}
    >>> total, clipped = per_example_global_norm_clip(grads, 1.0)
    >>> [round(x, 4) for x in total["w"].tolist()], int(clipped)
    ([-0.2, 1.9], 2)
    """
    _check_limit("per_example_global_norm_clip: l2_norm_clip", l2_norm_clip)
    return _clipped_sum(_floating("per_example_global_norm_clip", grads), l2_norm_clip)


def per_example_layer_norm_clip(
    grads: Updates, global_l2_norm_clip: ArrayLike, uniform: bool = True
) -> tuple[Updates, Updates]:
    """The sum of the gradients of all examples, with each leaf clipped by itself.

    The limits of the leaves ensure that one example still changes the whole sum by at most
    `global_l2_norm_clip` (McMahan et al., arXiv 1710.06963, section 3): `C / √K` for each of `K`
    leaves, or `C · √(D_i / D)` for a leaf that holds `D_i` of `D` numbers.

    Args:
      grads: a tree of arrays with one gradient per example along the first axis.
      global_l2_norm_clip: `C`, ≥ 0; infinity means no clipping.
      uniform: use the same limit for every leaf; otherwise limits follow the sizes of the leaves.

    Returns:
      The sum, without the first axis and in at least float32, and for each leaf how many examples
      were clipped.

    Raises:
      ValueError: a leaf has no first axis, or another number of examples; the limit is negative.

    >>> import jax.numpy as jnp
    >>> grads = {"a": jnp.array([[8.0, 0.0, 0.0]]), "b": jnp.array([[8.0]])}
    >>> total, _ = per_example_layer_norm_clip(grads, 2.0, uniform=False)
    >>> {name: [round(x, 4) for x in g.tolist()] for name, g in total.items()}
    {'a': [1.7321, 0.0, 0.0], 'b': [1.0]}
    """
    _check_limit("per_example_layer_norm_clip: global_l2_norm_clip", global_l2_norm_clip)
    grads = _floating("per_example_layer_norm_clip", grads)
    leaves, treedef = jax.tree.flatten(grads)
    sizes = [g[0].size if g.shape[0] else 0 for g in leaves]
    total = max(sum(sizes), 1)
    shares = [1 / len(leaves) if uniform else size / total for size in sizes]
    clipped = [
        _clipped_sum(g, global_l2_norm_clip * share**0.5)
        for g, share in zip(leaves, shares, strict=True)
    ]
    sums, counts = zip(*clipped, strict=True) if clipped else ((), ())
    return treedef.unflatten(sums), treedef.unflatten(counts)
