"""Parameters that keep the norms they start with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def norms(p, axes=None):
    """Norms in float64."""
    return np.sqrt((np.abs(oracles.double(p)) ** 2).sum(axes))


def steps(tx, params, grads):
    """The parameters after as many steps in float32."""

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (optcore.apply_updates(params, updates), state), None

    (params, _), _ = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), grads))(params)
    return params


def noise(params, count, size):
    """Random updates, one after another."""
    rng = np.random.default_rng(5)

    def like(p):
        real, imag = size * rng.normal(size=(2, count, *p.shape))
        return (real + 1j * imag if np.iscomplexobj(p) else real).astype(p.dtype)

    return jax.tree.map(like, params)


def test_the_norm_is_constant_over_a_thousand_steps():
    params = {**oracles.start(), "s": np.float32(-0.7)}
    end = steps(optcore.transforms.keep_params_norm(), params, noise(params, 1000, 0.1))
    for name, p in params.items():
        assert norms(end[name]) == pytest.approx(norms(p), rel=1e-6)
        assert name == "s" or not np.allclose(end[name], p, atol=0.1)


def test_each_slice_keeps_its_own_norm():
    params = {"stack": np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)}
    params["stack"] *= np.float32([1, 10, 100]).reshape(3, 1, 1)
    grads = noise(params, 1000, 0.1)
    end = steps(optcore.transforms.keep_params_norm(axes=(-2, -1)), params, grads)["stack"]
    np.testing.assert_allclose(norms(end, (1, 2)), norms(params["stack"], (1, 2)), rtol=1e-6)
    whole = steps(optcore.transforms.keep_params_norm(), params, grads)["stack"]
    assert norms(whole) == pytest.approx(norms(params["stack"]), rel=1e-6)
    assert abs(norms(whole[0]) / norms(params["stack"][0]) - 1) > 0.01


def test_it_is_the_projection_of_the_step():
    def projected(w, grads):
        radius = norms(w)
        for g in grads:
            w = w + g
            w = w * (radius / norms(w))
            yield w

    oracles.agrees(optcore.transforms.keep_params_norm(), projected)


def test_the_angle_of_a_step():
    """A tangential step of relative length ρ turns a parameter by atan(ρ)."""
    tx = optcore.chain(
        optcore.transforms.scale_to_param_norm(),
        optcore.scale(0.3),
        optcore.transforms.keep_params_norm(),
    )
    p = jnp.array([3.0, 4.0])
    u, _ = tx.update(jnp.array([-40.0, 30.0]), tx.init(p), p)
    end = np.asarray(p + u, np.float64)
    assert np.arctan2(end[1], end[0]) - np.arctan2(4, 3) == pytest.approx(np.arctan(0.3), rel=1e-6)


def test_a_step_to_zero_is_not_made():
    p = jnp.array([3.0, 4.0])
    tx = optcore.transforms.keep_params_norm()
    u, _ = tx.update(-p, tx.init(p), p)
    np.testing.assert_array_equal(u, 0)


def test_the_mask_says_whose_norm_is_kept():
    params = {"w": jnp.array([3.0, 4.0]), "b": jnp.zeros(2), "n": jnp.int32(1)}
    tx = optcore.transforms.keep_params_norm({"w": True, "b": False, "n": True})
    state = tx.init(params)
    np.testing.assert_array_equal(state.radius["w"], [5.0])
    assert state.radius["b"] is None
    assert state.radius["n"] is None
    u, _ = tx.update({"w": jnp.ones(2), "b": jnp.ones(2), "n": None}, state, params)
    np.testing.assert_array_equal(u["b"], 1)
    assert norms(params["w"] + u["w"]) == pytest.approx(5, rel=1e-6)


def test_zero_parameters_are_refused():
    tx = optcore.transforms.keep_params_norm()
    with pytest.raises(ValueError, match=r"keep_params_norm: .* 'w' has 1 of 1 norms equal to 0"):
        tx.init({"w": jnp.zeros((2, 2)), "v": jnp.ones(2)})
    stacked = optcore.transforms.keep_params_norm(axes=(-2, -1))
    with pytest.raises(ValueError, match=r"at 'w' has 1 of 2 norms"):
        stacked.init({"w": jnp.stack([jnp.zeros((2, 2)), jnp.ones((2, 2))])})
    tx.init({"w": jnp.zeros((0, 2))})


def test_zero_parameters_stay_zero_where_no_value_is_known():
    p = jnp.zeros(2)
    tx = optcore.transforms.keep_params_norm()
    u, _ = tx.update(jnp.ones(2), jax.jit(tx.init)(p), p)
    np.testing.assert_array_equal(u, 0)
