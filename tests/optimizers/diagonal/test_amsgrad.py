"""AMSGrad's three algorithms: torch's, that of arXiv 1904.09237, and optax's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def amsgrad_1904_09237(
    w, grads, lr, b1, b2, eps, eps_root=0.0, correct_m=True, correct_v=True, corrected_max=False
):
    """Algorithm 2, with the corrections of torch and optax."""
    m, v, v_max = np.zeros_like(w), np.zeros(w.shape), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        c1, c2 = 1 - b1**t, 1 - b2**t
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        v_max = np.maximum(v_max, v / c2 if corrected_max else v)
        v_hat = v_max / c2 if correct_v and not corrected_max else v_max
        w = w - lr * (m / c1 if correct_m else m) / (np.sqrt(v_hat + eps_root) + eps)
        yield w


ALGORITHMS = {
    "torch": ({}, {}),
    "paper": (
        {"bias_correction_mu": False, "bias_correction_nu": False},
        {"correct_m": False, "correct_v": False},
    ),
    "optax": ({"max_of": "corrected"}, {"corrected_max": True}),
    "first_alone": ({"bias_correction_nu": False}, {"correct_v": False}),
    "second_alone": ({"bias_correction_mu": False}, {"correct_m": False}),
}
algorithms = pytest.mark.parametrize(("ours", "box"), ALGORITHMS.values(), ids=ALGORITHMS.keys())

UNUSUAL = {
    "outside": {"b1": 0.8, "b2": 0.7, "eps": 0.1},
    "both": {"b1": 0.6, "b2": 0.3, "eps": 0.1, "eps_root": 0.3},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@algorithms
@unusual
def test_amsgrad(options, ours, box):
    oracle = functools.partial(amsgrad_1904_09237, lr=0.03, **options, **box)
    oracles.agrees(optcore.amsgrad(0.03, **options, **ours), oracle)


@algorithms
def test_the_direction_has_neither_rate_nor_sign(ours, box):
    options = UNUSUAL["both"]
    oracle = functools.partial(amsgrad_1904_09237, lr=-1, **options, **box)
    oracles.agrees(optcore.optimizers.scale_by_amsgrad(**options, **ours), oracle)


def test_golden():
    oracles.matches_golden(optcore.amsgrad(0.01), "torch.optim/Adam(lr=.01,amsgrad)")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"max_of": "corrected"}, {}),
        ({"bias_correction_nu": False}, {"bias_correction_nu": False}),
        (
            {"bias_correction_mu": False, "bias_correction_nu": False},
            {"bias_correction_mu": False, "bias_correction_nu": False},
        ),
    ],
    ids=["default", "nu", "neither"],
)
def test_optax(ours, theirs):
    params = {"w": oracles.start()["w"]}
    grads = [{"w": g["w"]} for g in oracles.gradients(6)]
    options = UNUSUAL["both"]
    with jax.numpy_dtype_promotion("standard"):
        *_, expected = oracles.run(optax.amsgrad(0.03, **options, **theirs), params, grads)
    *_, got = oracles.run(optcore.amsgrad(0.03, **options, **ours), params, grads)
    oracles.close(got, expected, params)


def test_the_paper_never_lengthens_the_rate():
    """The proof of convergence rests on it: √v̂_t does not decrease, where Adam's does."""
    tx = optcore.optimizers.scale_by_amsgrad(0.0, 0.5, bias_correction_nu=False)
    grads = jnp.asarray(np.random.default_rng(3).normal(size=(30, 8)))
    state = tx.init(grads[0])
    rates = []
    for g in grads:
        u, state = tx.update(g, state)
        rates.append(u / g)
    assert (np.diff(rates, axis=0) <= 1e-6).all()


def test_contradicting_arguments():
    with pytest.raises(ValueError, match="bias_correction_nu"):
        optcore.amsgrad(0.1, bias_correction_nu=False, max_of="corrected")


def test_state():
    tx = optcore.optimizers.scale_by_amsgrad(0.75, 0.5, mu_dtype=jnp.bfloat16)
    g = {"w": jnp.array([2.0]), "z": jnp.array([3 + 4j])}
    state = tx.init(g)
    assert state.mu["w"].dtype == jnp.bfloat16
    assert state.nu_max["z"].dtype == jnp.float32
    _, state = tx.update(g, state)
    _, state = tx.update(jax.tree.map(jnp.zeros_like, g), state)
    assert state.count == 2
    np.testing.assert_array_equal(state.nu["z"], [6.25])
    np.testing.assert_array_equal(state.nu_max["z"], [12.5])
    np.testing.assert_array_equal(state.nu_max["w"], [2.0])


@pytest.mark.parametrize("name", ["amsgrad", "scale_by_amsgrad"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))
