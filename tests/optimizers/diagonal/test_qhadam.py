"""QHAdam against the equations of arXiv 1810.06801, pytorch_optimizer, and what it contains."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles
from tests.named import named


def qhadam_1810_06801(w, grads, lr, b1, b2, nu1, nu2, eps, eps_root=0.0):
    """Section 4.3."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        above = (1 - nu1) * g + nu1 * m_hat
        below = np.sqrt((1 - nu2) * np.abs(g) ** 2 + nu2 * v_hat + eps_root) + eps
        w = w - lr * above / below
        yield w


UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.95, "nu1": 0.3, "nu2": 0.6, "eps": 0.1},
    "both": {"b1": 0.7, "b2": 0.9, "nu1": 0.9, "nu2": 0.2, "eps": 0.1, "eps_root": 0.3},
    "no_memory": {"b1": 0.0, "b2": 0.0, "nu1": 0.5, "nu2": 0.5, "eps": 0.2},
    "no_first": {"b1": 0.9, "b2": 0.6, "nu1": 0.0, "nu2": 1.0, "eps": 0.2},
    "defaults": {"b1": 0.995, "b2": 0.999, "nu1": 0.7, "nu2": 1.0, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_qhadam(options):
    oracle = functools.partial(qhadam_1810_06801, lr=0.03, **options)
    oracles.agrees(optcore.qhadam(0.03, **options), oracle)


@pytest.mark.parametrize("name", ["qhadam", "scale_by_qhadam"])
def test_the_defaults_are_the_paper_s(name):
    defaults = oracles.defaults(named(name))
    expected = {**UNUSUAL["defaults"], "eps_root": 0.0, "mu_dtype": None}
    assert defaults == expected


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["both"]
    oracle = functools.partial(qhadam_1810_06801, lr=-1, **options)
    oracles.agrees(optcore.optimizers.scale_by_qhadam(**options), oracle)


def test_golden():
    tx = optcore.qhadam(0.01, b1=0.9, nu1=1.0)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/QHAdam{'lr': 0.01}")


OTHERS = {
    "adam": (optcore.scale_by_adam(0.7, 0.9, 0.1, 0.3), {"nu1": 1.0, "nu2": 1.0}),
    "rmsprop": (
        optcore.scale_by_adam(0.0, 0.9, 0.1, 0.3),
        {"nu1": 0.0, "nu2": 1.0},
    ),
}


@pytest.mark.parametrize(("other", "shares"), OTHERS.values(), ids=OTHERS.keys())
def test_it_contains(other, shares):
    params, grads = oracles.start(), oracles.gradients(5)
    ours = oracles.run(
        optcore.optimizers.scale_by_qhadam(0.7, 0.9, eps=0.1, eps_root=0.3, **shares), params, grads
    )
    for got, want in zip(ours, oracles.run(other, params, grads), strict=True):
        oracles.close(got, want, params)


@pytest.mark.parametrize("name", ["nu1", "nu2"])
def test_a_share_is_a_part(name):
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match="must lie in"):
            optcore.qhadam(0.1, **{name: share})


def test_mu_dtype():
    state = optcore.qhadam(0.1, mu_dtype=jnp.bfloat16).init(jnp.ones(2))[0]
    assert (state.mu.dtype, state.nu.dtype) == (jnp.bfloat16, jnp.float32)
