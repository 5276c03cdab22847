"""Checks of structure, shapes and dtypes."""

import io
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from .._core import apply_updates, wide
from ._subject import (
    STEPS,
    Subject,
    assert_close,
    assert_finite,
    assert_same_types,
    assert_updates_fit,
    gradients,
    sample,
    traced_once,
)


def _mixed_params(subject: Subject) -> Any:
    """Leaves of every dtype, with an integer, a `None`, and empty, scalar and zero-size leaves."""
    params = {
        "f32": sample((2, 3), 1),
        "bf16": {"w": sample((3, 2), 2, jnp.bfloat16), "scalar": sample((), 3, jnp.bfloat16)},
        "f16": [sample((3,), 4, jnp.float16), None, {}],
        "size0": jnp.zeros((0, 2)),
        "int": jnp.arange(3),
    }
    if subject.complex:
        params["c64"] = sample((2,), 5, jnp.complex64)
    return params


def check_updates_look_like_params(subject: Subject) -> None:
    """Updates have their parameter's shape, in at least float32; parameters keep their type."""
    params = _mixed_params(subject)
    grads = gradients(params, 0)

    @jax.jit
    def step(params: Any, grads: Any) -> Any:
        updates, state = subject.update(grads, subject.tx.init(params), params)
        return updates, state, apply_updates(params, updates)

    updates, state, new_params = step(params, grads)
    assert_updates_fit(updates, grads, params, f"{subject.name}: updates")
    assert_same_types(new_params, params, f"{subject.name}: parameters")
    assert_finite((updates, state, new_params), f"{subject.name}: after one step")
    chex.assert_trees_all_equal(new_params["int"], params["int"])


def check_state_keeps_its_type(subject: Subject) -> None:
    """For any dtype of the gradients there is one trace, and the state keeps `init`'s avals."""
    params = _mixed_params(subject)
    widened = jax.tree.map(lambda g: g.astype(wide(g.dtype)), gradients(params, 0))
    narrowed = jax.tree.map(
        lambda g: g.astype(jnp.bfloat16) if g.dtype == jnp.float32 else g, gradients(params, 1)
    )
    state = subject.tx.init(params)
    for grads in (widened, narrowed):
        step = traced_once(subject.update)
        current = state
        for _ in range(2):
            updates, current = step(grads, current, params)
        assert_same_types(current, state, f"{subject.name}: state")
        assert_updates_fit(updates, grads, params, f"{subject.name}: updates")


def check_init_is_abstract(subject: Subject) -> None:
    """`init` works on shapes alone, under `eval_shape` and on `ShapeDtypeStruct`s."""
    state = subject.tx.init(subject.params)
    assert_same_types(jax.eval_shape(subject.tx.init, subject.params), state, subject.name)
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), subject.params)
    assert_same_types(subject.tx.init(shapes), state, f"{subject.name}: init of shapes")


def check_none_gradients_freeze(subject: Subject) -> None:
    """Where the gradient is `None` the update is `None` and the state's type stays."""
    grads = gradients(subject.params, 0)
    leaves, treedef = jax.tree.flatten(grads)
    frozen = treedef.unflatten([None, *leaves[1:]])
    state = subject.tx.init(subject.params)
    updates, new_state = subject.update(frozen, state, subject.params)
    assert_updates_fit(updates, frozen, subject.params, subject.name)
    assert_same_types(new_state, state, f"{subject.name}: state")
    moved = apply_updates(subject.params, updates)
    first = jax.tree.leaves(subject.params)[0]
    chex.assert_trees_all_equal(jax.tree.leaves(moved)[0], first)


def check_state_survives_the_disk(subject: Subject) -> None:
    """A state holds only arrays: saved, restored and continued, it gives the same bits."""
    _, state = subject.run()
    leaves, treedef = jax.tree.flatten(state)
    file = io.BytesIO()
    np.savez(file, *map(_as_bits, leaves))
    file.seek(0)
    with np.load(file) as stored:
        loaded = [jnp.asarray(stored[f"arr_{i}"]).view(x.dtype) for i, x in enumerate(leaves)]
    grads = gradients(subject.params, STEPS)
    expected, _ = subject.update(grads, state, subject.params)
    got, _ = subject.update(grads, treedef.unflatten(loaded), subject.params)
    assert_close(got, expected, 0.0, f"{subject.name}: after the disk")


def _as_bits(x: jax.Array) -> np.ndarray:
    """The array in a form that a file can hold: NumPy has no bfloat16."""
    array = np.asarray(x)
    return array.view(f"u{array.itemsize}") if array.dtype.kind == "V" else array


CHECKS = [
    check_updates_look_like_params,
    check_state_keeps_its_type,
    check_init_is_abstract,
    check_none_gradients_freeze,
    check_state_survives_the_disk,
]
