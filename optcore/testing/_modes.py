"""Checks under JAX's settings: 64 bits, NaNs and leaks as errors, other key types."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import is_inexact
from ._subject import Subject, assert_close, assert_finite, assert_same_types, gradients


@contextlib.contextmanager
def _setting(name: str, value: Any) -> Iterator[None]:
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def check_wide_numbers_leave_float32(subject: Subject) -> None:
    """With 64 bits enabled, float32 parameters have the same states, and float32 updates."""
    made, state = jax.jit(lambda: subject.run())()
    with _setting("jax_enable_x64", True):
        wide, wide_state = jax.jit(lambda: subject.run())()
        assert_same_types(wide_state, state, f"{subject.name}: state with 64 bits")
        assert_same_types(wide, made, f"{subject.name}: updates with 64 bits")
    # Scalars of the step may be computed in double precision.
    assert_close(wide, made, 1e-4, f"{subject.name}: updates with 64 bits")


def check_makes_no_nan(subject: Subject) -> None:
    """No step computes a NaN, not even an unused one, with zero and other gradients."""
    zeros = jax.tree.map(jnp.zeros_like, gradients(subject.params, 0))
    with jax.debug_nans(True):
        for grads in (None, zeros):
            subject.run(grads=grads)


def check_leaks_no_tracer(subject: Subject) -> None:
    """No traced value is kept beyond its trace."""
    with jax.checking_leaks():
        jax.jit(lambda: subject.run())()


def check_works_with_other_keys(subject: Subject) -> None:
    """Keys of every implementation give finite, repeatable numbers."""
    own = _keys(subject.tx)
    if not own and "key" not in subject.extra:
        return
    for name in ("rbg", "unsafe_rbg", "threefry2x32"):
        key = jax.random.key(5, impl=name)
        tx = subject.tx.replace(**dict.fromkeys(own, key)) if own else subject.tx
        extra = {n: key if n == "key" else x for n, x in subject.extra.items()}
        given = dataclasses.replace(subject, tx=tx, extra=extra)
        with jax.default_prng_impl(name):
            made, state = jax.jit(lambda given=given: given.run())()
            assert_close(given.run()[0], made, what=f"{subject.name}: with {name} keys, eager")
        numbers = [x for x in jax.tree.leaves(state) if is_inexact(x)]
        assert_finite((made, numbers), f"{subject.name}: with {name} keys")
        assert any(np.any(x) for x in jax.tree.leaves(made)), f"{subject.name}: {name} gave zeros"


def _keys(tx: Any) -> list[str]:
    """The arguments that are keys."""
    if not hasattr(tx, "declaration"):
        return []
    roles = tx.declaration.factory.roles.values()
    return [r.name for r in roles if r.kind == "key" and tx.arguments[r.name] is not None]


CHECKS = [
    check_wide_numbers_leave_float32,
    check_makes_no_nan,
    check_leaks_no_tracer,
    check_works_with_other_keys,
]
