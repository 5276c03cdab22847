"""Checks under JAX's transformations: jit, vmap, scan, donation, sharding."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .._core import apply_updates
from ._subject import (
    STEPS,
    Subject,
    assert_close,
    assert_same_types,
    gradients,
    sample,
    traced_once,
    training_step,
)


def check_jit_changes_nothing(subject: Subject) -> None:
    """Compiled steps equal steps that run operation by operation."""
    with jax.disable_jit():
        expected, expected_state = subject.run()
    got, state = jax.jit(lambda: subject.run())()
    assert_close(got, expected, what=f"{subject.name}: updates under jit")
    assert_close(state, expected_state, what=f"{subject.name}: state under jit")


def check_compiles_once(subject: Subject) -> None:
    """A training step is traced once, also when its state comes from the step itself."""
    step = traced_once(training_step(subject))
    params, state = subject.params, subject.tx.init(subject.params)
    for i in range(STEPS):
        params, state = step(gradients(subject.params, i), state, params)


def check_scans(subject: Subject) -> None:
    """A state is a carry of `lax.scan`, and scanning equals stepping."""
    grads = [gradients(subject.params, i) for i in range(STEPS)]
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *grads)

    def body(state: Any, g: Any) -> tuple[Any, Any]:
        updates, state = subject.update(g, state, subject.params)
        return state, updates

    start = subject.tx.init(subject.params)
    state, scanned = jax.jit(lambda state: jax.lax.scan(body, state, stacked))(start)
    expected, expected_state = subject.run()
    stepped = jax.tree.map(lambda *u: jnp.stack(u), *expected)
    assert_close((scanned, state), (stepped, expected_state), what=f"{subject.name}: scanned")


def check_vmap_is_a_loop(subject: Subject) -> None:
    """`vmap` over a batch of parameters and gradients equals a loop."""
    size = 3
    batches = [jax.tree.map(lambda p, i=i: p * (i + 1), subject.params) for i in range(size)]
    grads = [gradients(subject.params, i) for i in range(size)]

    def two_steps(params: Any, g: Any) -> Any:
        updates, state = subject.update(g, subject.tx.init(params), params)
        return subject.update(g, state, apply_updates(params, updates))

    def stacked(trees: list[Any]) -> Any:
        return jax.tree.map(lambda *x: jnp.stack(x), *trees)

    mapped = jax.jit(jax.vmap(two_steps))(stacked(batches), stacked(grads))
    compiled = jax.jit(two_steps)
    looped = [compiled(p, g) for p, g in zip(batches, grads, strict=True)]
    assert_close(mapped, stacked(looped), what=f"{subject.name}: under vmap")


def check_state_may_be_donated(subject: Subject) -> None:
    """No state leaf shares a buffer with a parameter or another leaf."""
    params = jax.tree.map(jnp.copy, subject.params)
    state = subject.tx.init(params)
    step = jax.jit(training_step(subject), donate_argnums=(1, 2))
    for i in range(2):
        params, state = step(gradients(params, i), state, params)
    expected_params, expected_state = subject.params, subject.tx.init(subject.params)
    for i in range(2):
        grads = gradients(subject.params, i)
        expected_params, expected_state = training_step(subject)(
            grads, expected_state, expected_params
        )
    assert_close(params, expected_params, what=f"{subject.name}: after donation")


def check_sharded_equals_single(subject: Subject) -> None:
    """Sharding parameters, gradients and state over all devices does not change the numbers."""
    devices = jax.devices()
    mesh = Mesh(np.array(devices), ("d",))
    params = {"w": sample((2 * len(devices), 3), 1), "b": sample((3,), 2)}
    grads = gradients(params, 0)
    expected, expected_state = _twice(subject)(grads, subject.tx.init(params), params)

    def place(tree: Any) -> Any:
        def one(x: Any) -> Any:
            spread = x.shape[:1] == (2 * len(devices),)
            return jax.device_put(x, NamedSharding(mesh, PartitionSpec("d" if spread else None)))

        return jax.tree.map(lambda x: one(x) if x.ndim else x, tree)

    params, grads = place(params), place(grads)
    state = subject.tx.init(params)
    got, got_state = _twice(subject)(grads, state, params)
    # Sums are taken in another order.
    assert_close(got, expected, 1e-5, f"{subject.name}: sharded")
    assert_same_types(got_state, expected_state, f"{subject.name}: sharded state")


def _twice(subject: Subject) -> Any:
    def twice(grads: Any, state: Any, params: Any) -> Any:
        _, state = subject.update(grads, state, params)
        return subject.update(grads, state, params)

    return jax.jit(twice)


CHECKS = [
    check_jit_changes_nothing,
    check_compiles_once,
    check_scans,
    check_vmap_is_a_loop,
    check_state_may_be_donated,
    check_sharded_equals_single,
]
