"""AdamC against the box of arXiv 2506.02285, and as AdamW at the peak."""

import functools

import numpy as np
import pytest

import optcore
from tests import oracles


def adamc_2506_02285(w, grads, rate, peak, b1, b2, eps, eps_root, decay):
    """Algorithm 1: the decay of a normalised layer is `rate² / peak`."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        u = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        lr = rate(t - 1)
        w = w - lr * u - lr**2 / peak * decay * w
        yield w


UNUSUAL = {"b1": 0.7, "b2": 0.9, "eps": 0.1, "eps_root": 0.3}


def test_adamc():
    rate = optcore.exponential_decay(0.2, 1, 0.8)
    oracle = functools.partial(
        adamc_2506_02285, rate=lambda t: 0.2 * 0.8**t, peak=0.3, decay=0.9, **UNUSUAL
    )
    oracles.agrees(optcore.adamc(rate, 0.3, weight_decay=0.9, **UNUSUAL), oracle)


@pytest.mark.parametrize(
    ("key", "b2"),
    [
        # Both hold the rate at its peak; pytorch_optimizer corrects only a group that requests it.
        ("pytorch_optimizer-4.1.0/AdamC{'lr': 0.01, 'weight_decay': 0.1}", 0.999),
        ("heavyball-3.2.1/AdamC{'lr': 0.01, 'weight_decay': 0.1}", 0.99),
    ],
)
def test_golden(key, b2):
    oracles.matches_golden(optcore.adamc(0.01, 0.01, b2=b2, weight_decay=0.1), key)


def test_at_a_constant_rate_it_is_adamw_with_a_scaled_decay():
    params, grads = oracles.start(), oracles.gradients(5)
    ours = optcore.adamc(0.05, 0.2, weight_decay=0.8, mask={"w": True, "z": False})
    plain = optcore.adamw(0.05, weight_decay=0.2, mask={"w": True, "z": False})
    for a, b in zip(
        oracles.run(ours, params, grads), oracles.run(plain, params, grads), strict=True
    ):
        oracles.close(a, b, params, 1e-6)


def test_its_defaults_are_those_of_adamw():
    ours = oracles.defaults(optcore.adamc)
    assert ours == {name: oracles.defaults(optcore.adamw)[name] for name in ours}


def test_the_peak_must_be_positive():
    with pytest.raises(ValueError, match="adamc: peak_learning_rate"):
        optcore.adamc(0.1, 0.0)
