"""AdaGrad against torch and figure 1 of Duchi et al. (2011)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def adagrad_duchi(w, grads, lr, initial, eps, inside):
    """The diagonal form, with epsilon inside or outside the root."""
    s = np.full(w.shape, initial)
    for g in grads:
        s = s + np.abs(g) ** 2
        w = w - lr * g / (np.sqrt(s + eps) if inside else np.sqrt(s) + eps)
        yield w


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize(("initial", "eps"), [(0.0, 0.2), (0.4, 0.3), (0.5, 0.0)])
def test_adagrad(initial, eps, inside):
    oracle = functools.partial(adagrad_duchi, initial=initial, eps=eps, inside=inside)
    tx = optcore.adagrad(0.3, initial, eps, eps_in_sqrt=inside)
    oracles.agrees(tx, functools.partial(oracle, lr=0.3))
    direction = optcore.optimizers.scale_by_rss(initial, eps, eps_in_sqrt=inside)
    oracles.agrees(direction, functools.partial(oracle, lr=-1.0))


def test_golden():
    tx = optcore.adagrad(0.1, 0.0, 1e-10, eps_in_sqrt=False)
    oracles.matches_golden(tx, "torch.optim/Adagrad(lr=.1)")


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_what_has_never_had_a_gradient_stays(inside):
    tx = optcore.adagrad(0.1, 0.0, 0.0, eps_in_sqrt=inside)
    g = jnp.array([0.0, 2.0])
    steps, _ = tx.update(g, tx.init(g))
    np.testing.assert_allclose(steps, [0.0, -0.1], rtol=1e-6)
    jacobian = jax.jacobian(lambda g: tx.update(g, tx.init(g))[0])(g)
    assert np.isfinite(jacobian).all()


def test_the_regret_bound():
    """Sum of g²/√(Σg²) is at most 2·√(Σg²) (Duchi et al., lemma 4)."""
    tx = optcore.optimizers.scale_by_rss(0.0, 0.0)
    g = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    state, total = tx.init(g[0]), np.zeros(7)
    for g_t in g:
        u, state = tx.update(g_t, state)
        total += np.asarray(u) * g_t
    bound = 2 * np.sqrt((g.astype(np.float64) ** 2).sum(0))
    assert (total <= bound).all()
    assert (total > 0.8 * bound).all()


def test_state():
    params = {"w": jnp.ones(2, jnp.bfloat16), "z": jnp.ones(1, jnp.complex64)}
    tx = optcore.optimizers.scale_by_rss(0.5)
    state = tx.init(params)
    assert {k: v.dtype for k, v in state.nu.items()} == {"w": jnp.float32, "z": jnp.float32}
    np.testing.assert_array_equal(state.nu["w"], [0.5, 0.5])
    _, state = tx.update({"w": jnp.array([1.0, 2.0]), "z": jnp.array([3 + 4j])}, state)
    np.testing.assert_array_equal(state.nu["w"], [1.5, 4.5])
    np.testing.assert_array_equal(state.nu["z"], [25.5])


def test_defaults():
    oracles.same_defaults(optcore.adagrad, optax.adagrad)
    oracles.same_defaults(optcore.optimizers.scale_by_rss, optax.scale_by_rss)
    assert oracles.defaults(optcore.adagrad)["eps_in_sqrt"] is True
    assert oracles.defaults(optcore.optimizers.scale_by_rss)["eps_in_sqrt"] is True
