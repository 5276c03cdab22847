"""Clipping of norms that stand out from those before (2504.02507)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

inf, nan = float("inf"), float("nan")


def zclip_2504_02507(norms, threshold, decay, eps, warmup):
    """Algorithm 1 on a list of norms: the norms after clipping, and the statistics."""
    seen = []
    mu = var = 0.0
    for norm in norms:
        if len(seen) < warmup:
            seen.append(norm)
            mu, var = np.mean(seen), np.var(seen)
        else:
            z = (norm - mu) / (np.sqrt(var) + eps)
            if z > threshold:
                norm = mu + threshold * np.sqrt(var) / (z / threshold)
            mu = decay * mu + (1 - decay) * norm
            var = decay * var + (1 - decay) * (norm - mu) ** 2
        yield norm, mu, var


def run(tx, norms):
    """The norms after clipping, and the states, for gradients of these norms."""
    unit = {"w": np.float32([[0.6, 0.0]]), "z": np.complex64(0.8j)}

    def step(state, norm):
        grads = {"w": norm * unit["w"], "z": jax.lax.complex(0 * norm, 0.8 * norm)}
        u, state = tx.update(grads, state)
        return state, (optcore.global_norm(u), state)

    _, (clipped, states) = jax.lax.scan(step, tx.init(unit), jnp.asarray(norms, jnp.float32))
    return np.asarray(clipped), states


@pytest.mark.parametrize(
    ("threshold", "decay", "eps", "warmup"),
    [(2.5, 0.97, 1e-6, 25), (1.0, 0.5, 0.3, 3), (0.2, 0.8, 0.1, 1), (0.7, 0.0, 1e-3, 5)],
)
def test_zclip(threshold, decay, eps, warmup):
    norms = np.random.default_rng(3).lognormal(size=60)
    norms[[30, 31, 50]] *= 100
    expected = list(zclip_2504_02507(norms, threshold, decay, eps, warmup))
    assert sum(e[0] != n for e, n in zip(expected, norms, strict=True)) >= 3
    tx = optcore.zclip(threshold, decay, eps, warmup)
    got, states = run(tx, norms)
    want, mu, nu = np.transpose(expected)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(states.mu, mu, rtol=1e-5)
    np.testing.assert_allclose(states.nu, nu, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(states.count, np.arange(1, 61))


def test_one_spike_in_closed_form():
    """Norms 1 and 3 by turns have mean 2 and deviation 1; 102 is an outlier by z = 100."""
    tx = optcore.zclip(2.5, 0.9, 0.0, 4)
    norms, states = run(tx, [1, 3, 1, 3, 102])
    clipped = 2 + 2.5**2 / 100
    np.testing.assert_allclose(norms, [1, 3, 1, 3, clipped], rtol=1e-6)
    # What was cut off is not learnt.
    mu = 0.9 * 2 + 0.1 * clipped
    assert float(states.mu[-1]) == pytest.approx(mu, rel=1e-6)
    assert float(states.nu[-1]) == pytest.approx(0.9 + 0.1 * (clipped - mu) ** 2, rel=1e-6)


@pytest.mark.parametrize("norm", [1.0, 0.1, 3e12, 7e-12])
def test_equal_norms_pass_exactly(norm):
    g = np.float32([0.3, -0.4]) * np.float32(norm)
    tx = optcore.zclip(warmup_steps=3, eps=0.0)

    def step(state, _):
        u, state = tx.update(g, state)
        return state, u

    state, u = jax.lax.scan(step, tx.init(g), length=200)
    np.testing.assert_array_equal(u, np.broadcast_to(g, u.shape))
    assert state.nu == 0


@pytest.mark.parametrize("bad", [nan, inf])
@pytest.mark.parametrize("when", [1, 6])
def test_what_is_not_finite_is_not_learnt(bad, when):
    norms = [1, 3, 1, 3, 2, 2.5, 1.5]
    tx = optcore.zclip(2.5, 0.9, 1e-6, 4)
    _, without = run(tx, norms)
    g = jnp.array([bad, 1.0])
    state = tx.init(g)
    for t, norm in enumerate(norms):
        if t == when:
            u, state = tx.update(g, state)
            assert not np.isfinite(u[0])
        _, state = tx.update(jnp.array([norm, 0.0]), state)
    np.testing.assert_allclose(state.mu, without.mu[-1], rtol=1e-6)
    np.testing.assert_allclose(state.nu, without.nu[-1], rtol=1e-6)
    assert state.count == len(norms)


def test_small_norms_are_no_outliers():
    tx = optcore.zclip(1.0, 0.9, 0.0, 4)
    norms, _ = run(tx, [1, 3, 1, 3, 0.01])
    assert norms[-1] == pytest.approx(0.01, rel=1e-6)
