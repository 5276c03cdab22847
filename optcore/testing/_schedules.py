"""Checks of schedules: pure functions from a step count to a float32 number."""

import jax
import jax.numpy as jnp
import numpy as np

from ._hyperparameters import (
    check_config_round_trip,
    check_each_hyperparameter_is_one_leaf,
    check_has_value_semantics,
)
from ._subject import Subject, assert_close, assert_finite

COUNTS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 100, 2**24 + 1, 2**31 - 1]


def check_gives_float32(subject: Subject) -> None:
    """A strongly typed float32 scalar for an int, an int32 array and a traced count."""
    for count in (3, np.int32(3), jnp.int32(3)):
        value = subject.tx(count)
        assert value.shape == (), f"{subject.name}: expected a scalar, got {value.shape}"
        kind = jax.typeof(value)
        assert kind.dtype == jnp.float32, f"{subject.name}: expected float32, got {kind.dtype}"
        assert not kind.weak_type, f"{subject.name}: the value is weakly typed"
    assert_close(jax.jit(subject.tx)(jnp.int32(3)), subject.tx(3), what=f"{subject.name}: traced")


def check_is_finite_everywhere(subject: Subject) -> None:
    """Values are finite at the start, boundaries, beyond the end and at the largest count."""
    assert_finite([subject.tx(count) for count in COUNTS], f"{subject.name}: value")


def check_vectorises_over_counts(subject: Subject) -> None:
    """An array of counts gives an array of values, as `vmap` does."""
    counts = jnp.asarray(COUNTS, jnp.int32)
    expected = jnp.stack([subject.tx(count) for count in COUNTS])
    assert_close(subject.tx(counts), expected, what=f"{subject.name}: array of counts")
    assert_close(jax.vmap(subject.tx)(counts), expected, what=f"{subject.name}: vmap")


def check_numbers_may_be_traced(subject: Subject) -> None:
    """A schedule as argument of a jitted function gives equal values and finite derivatives."""
    counts = jnp.asarray(COUNTS, jnp.int32)
    traced = jax.jit(lambda schedule: schedule(counts))(subject.tx)
    # A float32 power of a traced base is accurate to its exponent's rounding.
    assert_close(traced, subject.tx(counts), 1e-5, f"{subject.name}: traced numbers")
    if jax.tree.leaves(subject.tx):
        slopes = jax.jit(jax.grad(lambda schedule: jnp.sum(schedule(counts))))(subject.tx)
        assert_finite(slopes, f"{subject.name}: derivative")


CHECKS = [
    check_gives_float32,
    check_is_finite_everywhere,
    check_vectorises_over_counts,
    check_numbers_may_be_traced,
    check_has_value_semantics,
    check_each_hyperparameter_is_one_leaf,
    check_config_round_trip,
]
