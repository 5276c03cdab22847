"""Polyak's step against its formula and optax, and at the ends of the range."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def once(tx, g, value, params=None):
    params = g if params is None else params
    return tx.update(g, tx.init(params), params, value=value)[0]


def polyak_2002_10542(g, value, f_min=0.0, largest=1.0, eps=0.0, positive=False):
    """The step for all leaves together, in float64."""
    squares = sum((np.abs(x) ** 2).sum() for x in oracles.double(g).values())
    gap = max(value - f_min, 0.0) if positive else value - f_min
    return min(gap / (squares + eps), largest)


@pytest.mark.parametrize("value", [40.0, 3.0, 0.5, -2.0])
@pytest.mark.parametrize("variant", ["sps", "sps+"])
@pytest.mark.parametrize("options", [{}, {"f_min": 0.7, "max_learning_rate": 0.1, "eps": 20.0}])
def test_scale_by_polyak(value, variant, options):
    g = oracles.start()
    ours = once(optcore.optimizers.scale_by_polyak(variant=variant, **options), g, value)
    largest = options.get("max_learning_rate", 1.0)
    few = {k: v for k, v in options.items() if k != "max_learning_rate"}
    step = polyak_2002_10542(g, value, largest=largest, positive=variant == "sps+", **few)
    with jax.numpy_dtype_promotion("standard"):
        theirs = once(optax.scale_by_polyak(variant=variant, **options), g, value)
    for name in g:
        np.testing.assert_allclose(ours[name], step * g[name], rtol=2e-6)
        np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-6)


def test_scaling_multiplies_the_step():
    """optax takes the norm behind the scaling, and so divides by it."""
    g, options = {"w": jnp.array([3.0, 4.0])}, {"f_min": 1.0}
    expected = -0.5 * (6.0 - 1.0) / 25.0 * np.array([3.0, 4.0])
    u = once(optcore.polyak_sgd(1.0, 0.5, **options), g, 6.0)
    np.testing.assert_allclose(u["w"], expected, rtol=1e-6)
    with jax.numpy_dtype_promotion("standard"):
        theirs = once(optax.polyak_sgd(1.0, 0.5, **options), g, 6.0)
    np.testing.assert_allclose(theirs["w"], 4 * expected, rtol=1e-6)


def test_the_bound_is_scaled_too():
    u = once(optcore.polyak_sgd(0.1, 0.5), jnp.array([3.0, -4.0]), 1e6)
    np.testing.assert_allclose(u, [-0.15, 0.2], rtol=1e-6)


def test_polyaks_theorem():
    """The distance to the minimum falls by at least (f - f*)² / ‖g‖² in every step."""
    a = np.float32([[3.0, 1.0], [1.0, 2.0]])

    def f(w):
        return 0.5 * w @ a @ w + 2.0

    tx = optcore.polyak_sgd(float("inf"), f_min=2.0)
    w = jnp.array([1.0, -2.0])
    state = tx.init(w)
    for _ in range(5):
        value, g = jax.value_and_grad(f)(w)
        u, state = tx.update(g, state, w, value=value)
        gained = jnp.sum(w**2) - jnp.sum((w + u) ** 2)
        assert gained >= (value - 2.0) ** 2 / jnp.sum(g**2) * (1 - 1e-5)
        w = w + u


def test_gradients_at_the_ends_of_the_range():
    tx = optcore.optimizers.scale_by_polyak(max_learning_rate=float("inf"))
    # The square overflows; the step and the update do not.
    np.testing.assert_allclose(once(tx, jnp.array([3e24, 4e24]), 5e24), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(once(tx, jnp.zeros(2), 1.0), jnp.zeros(2))
    # A norm below 2⁻⁶⁰ counts as 0, and not one above.
    for norm, update in ((1.5 * 2.0**-61, 0.0), (1.5 * 2.0**-60, 2.0**60 / 1.5)):
        u = once(tx, jnp.array([norm, 0.0]), 1.0)
        np.testing.assert_allclose(u, [update, 0.0], rtol=1e-6)
    small = once(tx, jnp.array([3e-10, 4e-10]), 1e-12)
    np.testing.assert_allclose(small, [1.2e-3, 1.6e-3], rtol=1e-5)


def test_it_needs_the_value():
    tx = optcore.polyak_sgd()
    with pytest.raises(ValueError, match="polyak_sgd needs 'value'"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    for wrong in (jnp.ones(1), jnp.complex64(1j)):
        with pytest.raises(ValueError, match="scale_by_polyak: value must be a real scalar"):
            once(tx, jnp.ones(2), wrong)


@pytest.mark.parametrize("name", ["polyak_sgd", "scale_by_polyak"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
