"""NAdam against torch and Dozat's equations, and its two forms against each other."""

import functools

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def nadam_dozat(w, grads, lr, b1, b2, eps, psi, eps_root=0.0, decay=0.0):
    """With the momentum of torch and Keras; the average itself decays by b1."""
    m, v, product = np.zeros_like(w), np.zeros(w.shape), 1.0
    for t, g in enumerate(grads, start=1):
        mu, mu_next = (b1 * (1 - 0.5 * 0.96 ** (psi * i)) for i in (t, t + 1))
        product *= mu
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        m_hat = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        root = np.sqrt(v / (1 - b2**t) + eps_root)
        w = w - lr * (m_hat / (root + eps) + decay * w)
        yield w


UNUSUAL = {
    "slow": {"b1": 0.8, "b2": 0.95, "eps": 0.1, "psi": 0.01},
    "warming": {"b1": 0.7, "b2": 0.9, "eps": 0.1, "psi": 3.0, "eps_root": 0.3},
    "constant": {"b1": 0.6, "b2": 0.6, "eps": 1e-3, "psi": 0.0},
    "no_first_moment": {"b1": 0.0, "b2": 0.5, "eps": 0.2, "psi": 0.1},
    "long": {"b1": 0.9999, "b2": 0.9999, "eps": 1e-8, "psi": 200.0},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


def ours(options):
    options = dict(options)
    return {"momentum_decay": options.pop("psi"), **options}


@unusual
def test_nadam(options):
    oracle = functools.partial(nadam_dozat, lr=0.03, **options)
    oracles.agrees(optcore.nadam(0.03, **ours(options)), oracle)


def test_nadamw():
    options = UNUSUAL["warming"]
    oracle = functools.partial(nadam_dozat, lr=0.03, decay=0.7, **options)
    oracles.agrees(optcore.nadamw(0.03, weight_decay=0.7, **ours(options)), oracle)


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["warming"]
    oracle = functools.partial(nadam_dozat, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_nadam(**ours(options)), oracle)


@pytest.mark.parametrize(
    ("key", "tx"),
    [
        ("torch.optim/NAdam(lr=.01)", optcore.nadam(0.01, momentum_decay=4e-3)),
        ("heavyball-3.2.1/NAdam{'lr': 0.01}", optcore.nadam(0.01, momentum_decay=4e-3)),
        (
            "torch.optim/NAdam(lr=.01,wd=.1,decoupled)",
            optcore.nadamw(0.01, weight_decay=0.1, momentum_decay=4e-3),
        ),
    ],
)
def test_golden(key, tx):
    # The stored float32 positions round to 1.3e-5 of their first steps (torch in float64: 2.5e-7).
    oracles.matches_golden(tx, key, tolerance=2e-5)


def test_the_simple_form_is_adam_with_nesterov():
    options = (0.8, 0.95, 0.1, 0.2, jnp.bfloat16)
    simple, looked_ahead = (
        optcore.nadam(0.03, *options),
        optcore.adam(0.03, *options, nesterov=True),
    )
    params, grads = oracles.start(), oracles.gradients(4)
    for a, b in zip(
        oracles.run(simple, params, grads), oracles.run(looked_ahead, params, grads), strict=True
    ):
        oracles.close(a, b, params, 0)
    decayed = optcore.nadamw(0.03, *options, 0.7, {"w": True, "z": False})
    expected = optcore.adamw(0.03, *options, 0.7, {"w": True, "z": False}, nesterov=True)
    *_, a = oracles.run(decayed, params, grads)
    *_, b = oracles.run(expected, params, grads)
    oracles.close(a, b, params, 0)


def test_a_momentum_that_is_warm_at_once_is_the_simple_form():
    params, grads = oracles.start(), oracles.gradients(6)
    warm = optcore.nadam(0.03, 0.8, 0.95, 0.1, momentum_decay=1e4)
    *_, a = oracles.run(warm, params, grads)
    *_, b = oracles.run(optcore.nadam(0.03, 0.8, 0.95, 0.1), params, grads)
    oracles.close(a, b, params)


def test_state():
    tx = optcore.optimizers.scale_by_nadam(0.8, 0.5, mu_dtype=jnp.bfloat16, momentum_decay=0.0)
    g = jnp.array([2.0])
    state = tx.init(g)
    assert state.mu.dtype == jnp.bfloat16
    assert (state.count, state.correction) == (0, 0.0)
    for _ in range(3):
        _, state = tx.update(g, state)
    assert state.count == 3
    np.testing.assert_allclose(state.correction, 1 - 0.4**3, rtol=1e-6)
    np.testing.assert_allclose(state.nu, 4 * (1 - 0.5**3), rtol=1e-6)


@pytest.mark.parametrize("name", ["nadam", "nadamw"])
def test_defaults(name):
    # optax's partial still shows the flag that makes an Adam of it.
    ours, theirs = (oracles.defaults(getattr(library, name)) for library in (optcore, optax))
    assert theirs.pop("nesterov") is True
    assert {k: ours[k] for k in theirs} == theirs
    assert ours["momentum_decay"] is None
