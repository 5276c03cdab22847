"""Sophia against the box of arXiv 2305.14342, and Hutchinson's estimator against the Hessian."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


@optcore.transformation("transform", example={})
def signed_squares() -> optcore.GradientTransformation:
    """An estimate that is known without a Hessian, of both signs."""

    def leaf(g):
        return g * abs(g)

    def update(updates, state, params=None, **extra):
        return optcore.map_leaves(leaf, updates), state

    return optcore.GradientTransformation(lambda params: optcore.EmptyState(), update)


def sophia_2305_14342(w, grads, lr, b1, b2, eps, gamma, clip, k, decay=0.0):
    """Algorithm 3 with `signed_squares` for the estimates."""
    m, h = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        if k == 1 or t % k == 1:
            h = b2 * h + (1 - b2) * g * np.abs(g)
        w = w - lr * decay * w
        w = w - lr * np.clip(m / np.maximum(gamma * h, eps), -clip, clip)
        yield w


UNUSUAL = {
    "often": {"b1": 0.8, "b2": 0.6, "eps": 0.1, "gamma": 1.5, "clip": 0.7, "k": 1},
    "seldom": {"b1": 0.3, "b2": 0.9, "eps": 0.3, "gamma": 5.0, "clip": 2.0, "k": 3},
    "unclipped": {"b1": 0.5, "b2": 0.0, "eps": 0.4, "gamma": 1.0, "clip": np.inf, "k": 4},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


def ours(options):
    """The arguments under our names."""
    clip, k = options["clip"], options["k"]
    rest = {name: value for name, value in options.items() if name not in ("clip", "k")}
    return {
        **rest,
        "clip_threshold": None if np.isinf(clip) else clip,
        "update_interval": k,
        "hessian_diagonal_fn": signed_squares(),
    }


def real():
    """Parameters and gradients without complex numbers."""
    return {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients()]


@unusual
def test_sophia(options):
    params, grads = real()
    oracle = functools.partial(sophia_2305_14342, lr=0.03, decay=0.7, **options)
    tx = optcore.sophia(0.03, weight_decay=0.7, **ours(options))
    oracles.agrees(tx, oracle, params=params, grads=grads)


def test_the_direction_has_neither_rate_nor_sign():
    params, grads = real()
    oracle = functools.partial(sophia_2305_14342, lr=-1, **UNUSUAL["seldom"])
    tx = optcore.optimizers.scale_by_sophia(**ours(UNUSUAL["seldom"]))
    oracles.agrees(tx, oracle, params=params, grads=grads)


CURVATURE = np.float32([[2, 0.5, 0], [0.5, -1, 0.3], [0, 0.3, 4]])


def quadratic(params):
    """A loss whose Hessian is `CURVATURE` in both leaves, without a part between them."""
    return sum(0.5 * w @ CURVATURE @ w for w in (params["a"], params["b"]))


def estimates(number):
    """Estimates with one key."""
    params = {"a": jnp.ones(3), "b": jnp.zeros(3), "n": jnp.int32(1)}
    tx = optcore.optimizers.hutchinson_estimator_diag_hessian()
    grads = {"a": jnp.ones(3), "b": jnp.ones(3), "n": None}

    def step(state, _):
        h, state = tx.update(grads, state, params, obj_fn=quadratic, key=jax.random.key(3))
        return state, h

    state, found = jax.jit(lambda s: jax.lax.scan(step, s, length=number))(tx.init(params))
    assert state.count == number
    return found


def test_the_estimate_has_the_diagonal_for_its_mean():
    found = estimates(4000)
    assert found["n"] is None
    for name in ("a", "b"):
        # The deviation of a mean of 4000 is at most 0.6 / √4000.
        np.testing.assert_allclose(found[name].mean(0), np.diag(CURVATURE), atol=0.04)


def test_signs_are_new_for_every_estimate_and_leaf():
    found = estimates(20)
    assert len({tuple(h.tolist()) for h in np.asarray(found["a"])}) > 2
    assert not np.array_equal(found["a"], found["b"])


def test_the_hessian_is_asked_for_at_every_kth_step():
    tx = optcore.optimizers.scale_by_sophia(update_interval=3)
    w, extra = jnp.ones(2), {"obj_fn": lambda w: jnp.sum(w**2), "key": jax.random.key(0)}

    def step(state, _):
        state = tx.update(w, state, w, **extra)[1]
        return state, state.inner.count

    _, counts = jax.jit(lambda state: jax.lax.scan(step, state, length=7))(tx.init(w))
    assert counts.tolist() == [1, 1, 1, 2, 2, 2, 3]


@pytest.mark.parametrize("missing", ["obj_fn", "key"])
def test_what_the_estimator_needs(missing):
    extra = {"obj_fn": lambda w: jnp.sum(w**2), "key": jax.random.key(0)}
    del extra[missing]
    tx = optcore.sophia(0.1)
    with pytest.raises(ValueError, match=f"hutchinson_estimator_diag_hessian needs '{missing}'"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2), **extra)


def test_it_decays_what_the_mask_says():
    w = {"a": jnp.ones(2), "b": jnp.ones(2)}
    g = jax.tree.map(jnp.zeros_like, w)
    estimator = signed_squares()
    tx = optcore.sophia(
        0.5, weight_decay=0.5, weight_decay_mask={"a": True, "b": False},
        hessian_diagonal_fn=estimator,
    )  # fmt: skip
    steps, _ = tx.update(g, tx.init(w), w)
    np.testing.assert_array_equal(steps["a"], np.full(2, -0.25))
    np.testing.assert_array_equal(steps["b"], np.zeros(2))


@pytest.mark.parametrize("name", ["sophia", "scale_by_sophia"])
def test_defaults(name):
    mine = oracles.defaults(named(name))
    theirs = oracles.defaults(optax.contrib.sophia)
    ignored = {"hessian_diagonal_fn", "verbose", "print_win_rate_every_n_steps"}
    if name == "scale_by_sophia":
        ignored |= {"weight_decay", "weight_decay_mask"}
    assert {k: mine[k] for k in theirs if k not in ignored} == {
        k: v for k, v in theirs.items() if k not in ignored
    }
    assert mine["hessian_diagonal_fn"] == optcore.optimizers.hutchinson_estimator_diag_hessian()
    assert (mine["b1"], mine["b2"], mine["update_interval"]) == (0.965, 0.99, 10)


def test_mu_dtype():
    state = optcore.sophia(0.1, mu_dtype=jnp.bfloat16).init(jnp.ones(2))[0]
    assert (state.mu.dtype, state.hessian.dtype) == (jnp.bfloat16, jnp.float32)


@pytest.mark.parametrize("key", [0, jax.random.PRNGKey(0), jax.random.split(jax.random.key(0))])
def test_the_key_is_typed_and_one(key):
    tx = optcore.optimizers.hutchinson_estimator_diag_hessian()
    w = jnp.ones(2)
    with pytest.raises(TypeError, match="hutchinson_estimator_diag_hessian: key must be one typed"):
        tx.update(w, tx.init(w), w, obj_fn=lambda w: jnp.sum(w**2), key=key)


@pytest.mark.parametrize("eps", [0.0, 1e-46])
def test_an_epsilon_that_float32_takes_for_zero_is_refused(eps):
    for factory in (
        optcore.optimizers.scale_by_sophia,
        lambda **options: optcore.sophia(0.1, **options),
    ):
        with pytest.raises(ValueError, match="eps must lie in"):
            factory(eps=eps)
