"""Extreme eigenvalues of Hessians, against the dense Hessian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from optcore import diagnostics

pytestmark = pytest.mark.usefixtures("broadcasting")

KEY = jax.random.key(3)


def network():
    """A small regression with parameters in a tree."""
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((20, 3), (20,)))
    params = {
        "hidden": {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4)},
        "out": rng.normal(size=4),
        "step": np.int32(7),
    }
    params = jax.tree.map(
        lambda p: jnp.asarray(p, jnp.float32 if np.ndim(p) else jnp.int32), params
    )

    def loss(p):
        return jnp.mean((jnp.tanh(x @ p["hidden"]["w"] + p["hidden"]["b"]) @ p["out"] - y) ** 2)

    return loss, params


def dense(loss, params):
    floats = {k: v for k, v in params.items() if k != "step"}
    flat, unravel = ravel_pytree(floats)
    hessian = jax.hessian(lambda v: loss({**params, **unravel(v)}))(flat)
    return np.linalg.eigvalsh(np.asarray(hessian, np.float64))


def test_against_the_dense_hessian():
    """Exact with as many steps as parameters; with fewer inside, and it knows how far off."""
    loss, params = network()
    eigenvalues = dense(loss, params)
    assert len(eigenvalues) == 20
    assert eigenvalues[0] < 0 < eigenvalues[-1]
    scale = np.abs(eigenvalues).max()
    sizes = (2, 6, 64)
    run = jax.jit(lambda key: [diagnostics.curvature(loss, params, key, steps=n) for n in sizes])
    few, more, exact = run(KEY)
    np.testing.assert_allclose(exact.smallest, eigenvalues[0], atol=3e-6 * scale)
    np.testing.assert_allclose(exact.largest, eigenvalues[-1], atol=3e-6 * scale)
    assert exact.error == 0
    for found in (few, more):
        assert found.smallest >= eigenvalues[0] - 1e-5 * scale
        assert found.largest <= eigenvalues[-1] + 1e-5 * scale
        for end in (found.smallest, found.largest):
            assert np.abs(eigenvalues - float(end)).min() <= found.error + 1e-5 * scale
    assert more.largest - more.smallest > few.largest - few.smallest
    assert few.error > 1e-2 * scale


def ends(eigenvalues, steps, seed=0):
    """The curvature of a quadratic with these eigenvalues."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(eigenvalues),) * 2))
    hessian = jnp.asarray(basis * eigenvalues @ basis.T, jnp.float32)
    return _ends_of(hessian, steps)


@functools.partial(jax.jit, static_argnums=1)
def _ends_of(hessian, steps):
    return diagnostics.curvature(
        lambda w: 0.5 * w @ hessian @ w, jnp.ones(len(hessian)), KEY, steps=steps
    )


@pytest.mark.parametrize(
    "eigenvalues",
    [
        np.array([-3.0, *np.zeros(8), 5.0]),
        np.array([2.0] * 6 + [7.0] * 4),
        np.array([-1e-3, *np.linspace(0.5, 1, 9)]),
        np.zeros(10),
        np.full(10, -4.0),
    ],
    ids=["rank two", "two values", "a faint descent", "flat", "one value"],
)
def test_where_the_space_of_the_first_vector_is_exhausted(eigenvalues):
    """Lanczos ends early there, and restarts in the remaining space."""
    found = ends(eigenvalues, 10)
    tolerance = 3e-6 * max(np.abs(eigenvalues).max(), 1e-3)
    np.testing.assert_allclose(found.smallest, eigenvalues.min(), atol=tolerance)
    np.testing.assert_allclose(found.largest, eigenvalues.max(), atol=tolerance)


def test_the_ends_of_a_large_spectrum_are_found_in_a_few_steps():
    found = ends(np.array([-2.0, *np.linspace(0, 1, 198), 10.0]), 24)
    np.testing.assert_allclose(found.smallest, -2, rtol=1e-4)
    np.testing.assert_allclose(found.largest, 10, rtol=1e-4)
    assert found.error < 1e-2


@pytest.mark.parametrize(("point", "sign"), [((0.0, 0.0), -1), ((0.0, 1.0), 1)])
def test_the_sign_tells_a_saddle(point, sign):
    def two_wells(w):
        return w[0] ** 2 + 0.25 * (w[1] ** 2 - 1) ** 2

    assert jnp.linalg.norm(jax.grad(two_wells)(jnp.array(point))) == 0
    found = diagnostics.curvature(two_wells, jnp.array(point), KEY)
    assert np.sign(found.smallest) == sign
    assert found.largest == pytest.approx(2, rel=1e-5)


def test_narrow_parameters_are_measured_in_float32():
    def loss(w):
        return 0.5 * jnp.sum(jnp.arange(1.0, 5.0, dtype=w.dtype) * w * w)

    found = diagnostics.curvature(loss, jnp.ones(4, jnp.bfloat16), KEY)
    assert found.largest.dtype == jnp.float32
    assert found.largest == pytest.approx(4, rel=1e-5)
    assert found.smallest == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"key": 0}, TypeError, "key must be a typed random key"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"params": {"a": jnp.ones(2, jnp.complex64)}}, TypeError, "parameter 'a' is complex"),
        ({"params": {"n": jnp.int32(1)}}, ValueError, "must hold a floating-point parameter"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {"loss_fn": jnp.sum, "params": jnp.ones(2), "key": KEY, **change}
    with pytest.raises(error, match=message):
        diagnostics.curvature(**arguments)
