"""Sharpness-aware minimization against the papers' boxes in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore

INPUTS = np.random.default_rng(0).normal(size=(8, 3))
START = {"w": np.array([0.5, -1.5, 2.0]), "b": np.array(0.3)}


def loss(params, _=0):
    z = jnp.asarray(INPUTS, params["w"].dtype) @ params["w"] + params["b"]
    return jnp.mean(jnp.log1p(jnp.exp(z)) + 0.1 * z**4)


grad_fn = jax.grad(loss)


def slope(w, b):
    """The gradient by hand, in float64."""
    z = INPUTS @ w + b
    inner = (1 / (1 + np.exp(-z)) + 0.4 * z**3) / len(z)
    return INPUTS.T @ inner, inner.sum()


def boxes(steps, rho, eta, learning_rate, weight_decay):
    """Algorithm 1 of 2010.01412 (`eta` is None) and of 2102.11600, with decoupled decay."""
    w, b = START["w"].copy(), START["b"].copy()
    for _ in range(steps):
        g_w, g_b = slope(w, b)
        t_w, t_b = (1, 1) if eta is None else (np.abs(w) + eta, np.abs(b) + eta)
        norm = np.sqrt(np.sum((t_w * g_w) ** 2) + (t_b * g_b) ** 2)
        h_w, h_b = slope(w + rho * t_w**2 * g_w / norm, b + rho * t_b**2 * g_b / norm)
        w = w - learning_rate * (h_w + weight_decay * w)
        b = b - learning_rate * (h_b + weight_decay * b)
    return {"w": w, "b": b}


def train(tx, steps):
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), START)
    state = tx.init(params)

    @jax.jit
    def step(params, state):
        grads = grad_fn(params)
        updates, state = tx.update(grads, state, params=params, grad_fn=grad_fn)
        return optcore.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = step(params, state)
    return params


def decayed(learning_rate, weight_decay):
    return optcore.chain(
        optcore.add_decayed_weights(weight_decay), optcore.scale_by_learning_rate(learning_rate)
    )


@pytest.mark.parametrize(
    ("wrapper", "rho", "eta"),
    [(optcore.sam, 0.3, None), (optcore.asam, 0.7, 0.05), (optcore.asam, 0.2, 0.0)],
)
def test_against_the_papers(wrapper, rho, eta):
    options = {"rho": rho} if eta is None else {"rho": rho, "eta": eta}
    got = train(wrapper(decayed(0.05, 0.1), **options), 6)
    expected = boxes(6, rho, eta, 0.05, 0.1)
    without = boxes(6, 0.0, eta, 0.05, 0.1)
    for name in START:
        moved = np.max(np.abs(expected[name] - START[name]))
        np.testing.assert_allclose(got[name], expected[name], atol=2e-6 * moved + 2e-7)
        assert np.max(np.abs(expected[name] - without[name])) > 0.01 * moved


@pytest.mark.parametrize("wrapper", [optcore.sam, optcore.asam])
def test_without_a_neighbourhood_it_is_the_base(wrapper):
    inner = optcore.adam(0.1)
    got, expected = train(wrapper(inner, rho=0.0), 5), train(inner, 5)
    for name in START:
        assert got[name].tolist() == expected[name].tolist()


def test_it_is_optax_in_opaque_mode():
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.1))
    theirs = optax.contrib.sam(optax.sgd(0.05, 0.9), adversary, opaque_mode=True)
    got = train(optcore.sam(optcore.sgd(0.05, 0.9), 0.1), 4)
    expected = train(theirs, 4)
    for name in START:
        np.testing.assert_allclose(got[name], expected[name], rtol=2e-6)


def test_a_rescaled_network_takes_the_same_step():
    """What ASAM is for: `u·v` is the same for `(2u, v/2)`, and so is the gradient that it finds."""

    def product(params, _=0):
        return (params["u"] * params["v"] - 1.0) ** 2

    seen = []
    for scale in (1.0, 4.0):
        params = {"u": jnp.float32(2.0 * scale), "v": jnp.float32(1.5 / scale)}
        tx = optcore.asam(optcore.sgd(1.0), rho=0.1, eta=0.0)
        grads = jax.grad(product)(params)
        updates, _ = tx.update(grads, tx.init(params), params=params, grad_fn=jax.grad(product))
        seen.append([float(updates["u"]) * scale, float(updates["v"]) / scale])
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-6)


@pytest.mark.parametrize("wrapper", [optcore.sam, optcore.asam])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e20, 3e37])
def test_gradients_of_any_size_perturb_by_rho(wrapper, size):
    params = jnp.array([1.0, 1.0])
    seen = []

    def there(worst, _):
        seen.append(worst)
        return worst

    tx = wrapper(optcore.sgd(1.0), rho=0.5)
    grads = jnp.array([0.6, 0.8], jnp.float32) * size
    tx.update(grads, tx.init(params), params=params, grad_fn=there)
    length = np.linalg.norm(np.asarray(seen[0] - params)) if size else 0.0
    scale = 1.0 if wrapper is optcore.sam else 1.01
    np.testing.assert_allclose(length, 0.5 * scale if size else 0.0, rtol=1e-5)
    assert np.all(np.isfinite(seen[0]))


def test_the_parameters_are_given_in_their_own_dtype_and_none_stays():
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2), "n": jnp.int32(3)}

    def there(worst, step):
        assert step == 0
        assert [x.dtype for x in jax.tree.leaves(worst)] == [jnp.bfloat16, jnp.float32, jnp.int32]
        assert worst["b"].tolist() == [1.0, 1.0]
        return jax.tree.map(jnp.ones_like, {"a": worst["a"], "b": worst["b"], "n": None}) | {
            "n": np.zeros((), jax.dtypes.float0)
        }

    tx = optcore.sam(optcore.sgd(1.0), rho=1.0)
    grads = {"a": jnp.array([4.0, 0.0]), "b": None, "n": None}
    updates, _ = tx.update(grads, tx.init(params), params=params, grad_fn=there)
    assert updates["a"].tolist() == [-1.0, -1.0]
    assert updates["b"] is None
    assert updates["n"] is None


def test_wrong_calls_are_named():
    tx = optcore.sam(optcore.sgd(0.1))
    params = jnp.ones(2)
    state = tx.init(params)
    with pytest.raises(ValueError, match="sam needs 'grad_fn', which was not given"):
        tx.update(params, state, params)
    with pytest.raises(ValueError, match="sam needs the parameters"):
        tx.update(params, state, grad_fn=grad_fn)
    with pytest.raises(ValueError, match=r"sam: grad_fn: the update of .* is float32.2,2"):
        tx.update(params, state, params, grad_fn=lambda p, _: jnp.stack([p, p]))
    with pytest.raises(ValueError, match="rho must lie in"):
        optcore.sam(optcore.sgd(0.1), rho=-0.1)
    with pytest.raises(ValueError, match=r"sam: grad_fn: the updates and the parameters are diff"):
        tx.update({"w": params}, tx.init({"w": params}), {"w": params}, grad_fn=lambda p, _: (1, p))
