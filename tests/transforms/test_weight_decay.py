"""The family of weight decays, and their masks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles

PARAMS = {"a": {"w": jnp.array([2.0, -4.0]), "b": jnp.array([6.0])}, "c": jnp.array([8.0])}
GRADS = {"a": {"w": jnp.array([1.0, 1.0]), "b": jnp.array([1.0])}, "c": jnp.array([1.0])}


@pytest.mark.parametrize(
    ("mask", "decayed"),
    [
        (None, "wbc"),
        ({"a": {"w": True, "b": False}, "c": True}, "wc"),
        ({"a": True, "c": False}, "wb"),
        ({"a": False, "c": True}, "c"),
        (False, ""),
        (lambda params: {"a": {k: v.size > 1 for k, v in params["a"].items()}, "c": False}, "w"),
    ],
    ids=["all", "tree", "prefix_kept", "prefix_left", "none", "function"],
)
def test_adds_a_part_of_the_parameters_that_the_mask_chooses(mask, decayed):
    tx = optcore.add_decayed_weights(0.25, mask)
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(u["a"]["w"], [1.5, 0.0] if "w" in decayed else [1.0, 1.0])
    np.testing.assert_array_equal(u["a"]["b"], [2.5] if "b" in decayed else [1.0])
    np.testing.assert_array_equal(u["c"], [3.0] if "c" in decayed else [1.0])


def test_complex_and_narrow_parameters():
    params = {"z": jnp.array([2 + 4j]), "h": jnp.array([4.0], jnp.bfloat16)}
    grads = {"z": jnp.array([1 - 1j]), "h": jnp.array([1.0], jnp.bfloat16)}
    tx = optcore.add_decayed_weights(0.3)
    u, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_allclose(u["z"], [1.6 + 0.2j], rtol=1e-6)
    np.testing.assert_allclose(u["h"], [2.2], rtol=1e-6)


def test_a_frozen_parameter_does_not_decay():
    tx = optcore.add_decayed_weights(0.25)
    u, _ = tx.update({**GRADS, "c": None}, tx.init(PARAMS), PARAMS)
    assert u["c"] is None
    np.testing.assert_array_equal(u["a"]["b"], [2.5])


def test_in_front_of_the_direction_it_is_the_gradient_of_the_penalty():
    """Decay in front of momentum is momentum on the gradient of loss + ½·decay·‖w‖²."""

    def penalised(w, grads, decay=0.4, rate=0.1, m=0.0):
        for g in grads:
            m = 0.9 * m + g + decay * w
            w = w - rate * m
            yield w

    tx = optcore.chain(optcore.add_decayed_weights(0.4), optcore.sgd(0.1, 0.9))
    oracles.agrees(tx, penalised)


def test_a_mask_of_another_tree_is_refused():
    tx = optcore.add_decayed_weights(0.1, mask={"a": True})
    with pytest.raises(ValueError, match="the mask must be a tree of booleans"):
        tx.update(GRADS, tx.init(PARAMS), PARAMS)


def test_it_needs_the_parameters():
    tx = optcore.add_decayed_weights(0.1)
    with pytest.raises(ValueError, match="add_decayed_weights needs the parameters"):
        tx.update(GRADS, tx.init(PARAMS))


def test_defaults():
    oracles.same_defaults(optcore.add_decayed_weights, optax.add_decayed_weights)


FAMILY = {
    "add_decayed_weights": optcore.add_decayed_weights(0.25, {"w": True, "z": False}),
    "independent": optcore.transforms.add_independent_decayed_weights(
        0.25, {"w": True, "z": False}
    ),
    "corrected": optcore.transforms.add_corrected_decayed_weights(
        0.25, 0.1, 0.3, {"w": True, "z": False}
    ),
    "cautious": optcore.transforms.add_cautious_decayed_weights(0.25, {"w": True, "z": False}),
    "to_init": optcore.transforms.add_decay_to_init(0.25, {"w": True, "z": False}),
    "l1": optcore.transforms.add_l1_decay(0.25, {"w": True, "z": False}),
}


@pytest.mark.parametrize("tx", FAMILY.values(), ids=FAMILY.keys())
def test_the_mask_says_what_decays(tx):
    params, moved = oracles.start(1), oracles.start(3)
    u, _ = tx.update(oracles.start(2), tx.init(params), moved)
    np.testing.assert_array_equal(u["z"], oracles.start(2)["z"])
    assert not np.allclose(u["w"], oracles.start(2)["w"])


def test_independent_decay_does_not_know_the_rate():
    """`w ← (1 - decay) · w - rate · g`."""

    def shrinking(w, grads):
        for t, g in enumerate(grads):
            w = w - 0.5**t * g - 0.3 * w
            yield w

    rate = optcore.exponential_decay(1.0, 1, 0.5)
    tx = optcore.chain(optcore.sgd(rate), optcore.transforms.add_independent_decayed_weights(0.3))
    oracles.agrees(tx, shrinking)


def test_corrected_decay_is_quadratic_in_the_rate():
    """`w ← w - γ · g - decay · γ² / γ_max · w` (2506.02285)."""

    def adamc(w, grads):
        for t, g in enumerate(grads):
            rate = 0.4 * 0.8**t
            w = w - rate * g - 0.7 * rate**2 / 0.5 * w
            yield w

    rate = optcore.exponential_decay(0.4, 1, 0.8)
    corrected = optcore.transforms.add_corrected_decayed_weights(0.7, rate, 0.5)
    oracles.agrees(optcore.chain(corrected, optcore.scale_by_learning_rate(rate)), adamc)


def test_the_peak_must_be_positive():
    with pytest.raises(ValueError, match="peak_learning_rate"):
        optcore.transforms.add_corrected_decayed_weights(0.1, 0.1, 0.0)


def test_corrected_decay_keeps_a_normalised_layer_in_balance():
    """The squared norm settles at `γ_max / (2 · decay)` times ‖g‖², whatever the rate.

    The gradient of a normalised layer is orthogonal to it, of norm 1 / ‖w‖: balance means
    `‖g‖ / ‖w‖ = √(2 · decay / γ_max)` (2506.02285, equation 10). Plain decay has the current
    rate in place of the largest.
    """
    for rate in (0.02, 0.01):
        tx = optcore.chain(
            optcore.transforms.add_corrected_decayed_weights(0.5, rate, 0.02),
            optcore.scale_by_learning_rate(rate),
        )
        w = jnp.array([0.5, 0.0])
        state = tx.init(w)

        def step(w, _, tx=tx, state=state):
            g = jnp.array([-w[1], w[0]]) / jnp.sum(w**2)
            return w + tx.update(g, state, w)[0], None

        w, _ = jax.lax.scan(step, w, length=20_000)
        ratio = 1 / float(jnp.sum(w**2))
        assert ratio == pytest.approx(np.sqrt(2 * 0.5 / 0.02), rel=0.01)


def test_cautious_decay_where_signs_agree_and_at_ties():
    p = np.float32([2, 2, -2, -2, 0, 4, -4, -1e-30, 1e-30])
    u = np.float32([1, -1, 1, -1, 1, 0, 0, 1e-30, 1e-30])
    tx = optcore.transforms.add_cautious_decayed_weights(0.5)
    got, _ = tx.update(u, tx.init(p), p)
    agree = [1, 0, 0, 1, 1, 1, 1, 0, 1]
    np.testing.assert_allclose(got, u + 0.5 * p * agree, rtol=1e-6)


def test_cautious_decay_of_complex_parameters():
    p = np.complex64([1 + 1j, 1 + 1j, 1 + 1j])
    u = np.complex64([2 - 1j, -2 + 1j, -1 + 2j])
    tx = optcore.transforms.add_cautious_decayed_weights(0.5)
    got, _ = tx.update(u, tx.init(p), p)
    np.testing.assert_allclose(got, u + 0.5 * p * [1, 0, 1], rtol=1e-6)


def test_cautious_decay_does_not_move_a_minimum():
    """On (w - 1)² / 2 decoupled decay settles at 1 / (1 + decay), cautious decay at 1."""
    for decay, end in (
        (optcore.add_decayed_weights, 1 / 1.5),
        (optcore.transforms.add_cautious_decayed_weights, 1.0),
    ):
        tx = optcore.chain(decay(0.5), optcore.scale_by_learning_rate(0.1))
        w = jnp.float32(0.0)
        state = tx.init(w)
        for _ in range(100):
            w = w + tx.update(w - 1, state, w)[0]
        assert float(w) == pytest.approx(end, abs=1e-3)


def test_decay_to_the_initial_parameters():
    def l2_sp(w, grads):
        w0 = w
        for g in grads:
            w = w - 0.1 * (g + 0.7 * (w - w0))
            yield w

    tx = optcore.chain(
        optcore.transforms.add_decay_to_init(0.7), optcore.scale_by_learning_rate(0.1)
    )
    oracles.agrees(tx, l2_sp)


def test_the_anchor_is_a_copy_of_what_decays():
    params = {"h": jnp.array([4.0], jnp.bfloat16), "m": jnp.ones(2), "n": jnp.int32(3)}
    tx = optcore.transforms.add_decay_to_init(0.5, {"h": True, "m": False, "n": True})
    anchor = tx.init(params).anchor
    assert anchor["m"] is None
    assert anchor["n"] is None
    assert anchor["h"].dtype == jnp.bfloat16
    assert anchor["h"].unsafe_buffer_pointer() != params["h"].unsafe_buffer_pointer()
    grads = {"h": jnp.zeros(1, jnp.bfloat16), "m": jnp.zeros(2), "n": None}
    moved = {**params, "h": jnp.array([5.0], jnp.bfloat16)}
    u, state = tx.update(grads, tx.init(params), moved)
    np.testing.assert_array_equal(u["h"], [0.5])
    np.testing.assert_array_equal(state.anchor["h"], [4.0])


def test_l1_decay():
    p = {"w": np.float32([3.0, -0.5, 0.0]), "z": np.complex64([3 - 4j, 0])}
    u = {"w": np.float32([1.0, 1.0, 1.0]), "z": np.complex64([1j, 1j])}
    tx = optcore.transforms.add_l1_decay(0.5)
    got, _ = tx.update(u, tx.init(p), p)
    np.testing.assert_allclose(got["w"], [1.5, 0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(got["z"], [0.3 + 0.6j, 1j], rtol=1e-6)


def test_l1_decay_is_a_soft_threshold_away_from_zero():
    """Decoupled, a weight loses `rate · decay` per step until it is within one step of zero."""
    tx = optcore.chain(optcore.transforms.add_l1_decay(0.5), optcore.scale_by_learning_rate(0.1))
    w = jnp.float32(1.01)
    state = tx.init(w)
    for _ in range(20):
        w = w + tx.update(jnp.float32(0), state, w)[0]
    assert float(w) == pytest.approx(0.01, abs=1e-6)
    for _ in range(3):
        w = w + tx.update(jnp.float32(0), state, w)[0]
        assert abs(float(w)) < 0.05


def test_takes_row_sparse_updates():
    oracles.takes_rows(optcore.add_decayed_weights(0.1))
