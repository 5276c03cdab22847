"""Comparing a schedule with its formula, written for one count in float64."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.named import named

LAST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Curve:
    """A schedule, its formula, and the arguments that both take.

    Attributes:
      label: of the test.
      factory: ours.
      formula: `formula(t, **arguments)`.
      arguments: by name.
      steps: where something happens.
      theirs: optax's factory, if it has one.
      relative: whether small values keep their digits too: nothing cancels.
    """

    label: str
    factory: Callable[..., Any]
    formula: Callable[..., float]
    arguments: dict[str, Any]
    steps: tuple[int, ...]
    theirs: Callable[..., Any] | None = None
    relative: bool = False

    def schedule(self):
        """Ours."""
        return self.factory(**self.arguments)

    def counts(self):
        """Every count near the steps, and the last ones."""
        near = [n + d for n in (0, *self.steps) for d in (-2, -1, 0, 1, 2, 5)]
        return sorted({n for n in near if n >= 0} | {LAST - 1, LAST})

    def values(self, **changed):
        """The formula at every count."""
        return np.array([self.formula(t, **{**self.arguments, **changed}) for t in self.counts()])

    def tolerance(self):
        """The rounding of float32 at the largest value."""
        return 1e-6 * np.abs(self.values()).max()


def check_values(curve):
    """Every kind of count gives the value of the formula."""
    schedule, counts, expected = curve.schedule(), curve.counts(), curve.values()
    few = np.array([0, *curve.steps, LAST])
    at = [counts.index(t) for t in few]
    for kind in (int, np.int32, jnp.int32):
        got = np.array([schedule(kind(t)) for t in few])
        assert got.dtype == jnp.float32
        assert got.shape == few.shape
        np.testing.assert_allclose(got, expected[at], rtol=0, atol=curve.tolerance())
    got = jax.jit(schedule)(jnp.array(counts, jnp.int32)[:, None])
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected[:, None], rtol=0, atol=curve.tolerance())
    if curve.relative:
        np.testing.assert_allclose(got, expected[:, None], rtol=1e-5, atol=1e-36)


def check_optax(curve):
    """The same arguments give the same values in optax."""
    assert curve.theirs is not None
    theirs = curve.theirs(**curve.arguments)
    # optax turns counts into float32, which cannot tell the last ones apart.
    counts = jnp.array([t for t in curve.counts() if t < 2**24], jnp.int32)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.jit(jax.vmap(lambda t: jnp.asarray(theirs(t), jnp.float32)))(counts)
    got = jax.jit(curve.schedule())(counts)
    np.testing.assert_allclose(got, expected, rtol=0, atol=curve.tolerance())


def check_derivatives(curve):
    """The derivative in every hyper-parameter is that of the formula."""
    counts = jnp.array(curve.counts(), jnp.int32)
    slopes = jax.jit(jax.jacfwd(lambda schedule: schedule(counts)))(curve.schedule())
    assert jax.tree.leaves(slopes)
    for name, slope in slopes.arguments.items():
        value = curve.arguments.get(name)
        if isinstance(value, float) and isinstance(slope, jax.Array):
            h = 1e-5
            above, below = (curve.values(**{name: value + d}) for d in (h, -h))
            expected = (above - below) / (2 * h)
            scale = max(1.0, np.abs(expected).max())
            np.testing.assert_allclose(slope, expected, rtol=0, atol=2e-5 * scale, err_msg=name)


def check_tracing(curve):
    """Hyper-parameters that are traced give what constants give."""
    counts = jnp.array(curve.counts(), jnp.int32)
    traced = jax.jit(lambda schedule: schedule(counts))(curve.schedule())
    np.testing.assert_allclose(traced, curve.values(), rtol=0, atol=2 * curve.tolerance())


CHECKS = [check_values, check_derivatives, check_tracing]


def cases(curves):
    """Every curve with every check that applies to it, for `pytest.mark.parametrize`."""
    return [
        pytest.param(curve, check, id=f"{curve.label}-{check.__name__.removeprefix('check_')}")
        for curve in curves
        for check in [*CHECKS, *([check_optax] if curve.theirs else [])]
    ]


def curve(label, name, formula, steps=(), **arguments):
    """Our schedule of this name, and optax's."""
    theirs = getattr(optax, name, None)
    return Curve(label, named(name), formula, arguments, steps, theirs)
