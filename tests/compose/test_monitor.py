"""The monitor: what it measures, by group or in all, and that it changes nothing."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles

PARAMS = {
    "encoder": {"w": jnp.array([[3.0, 0.0], [0.0, 4.0]]), "b": jnp.zeros(2)},
    "head": jnp.array([12.0]),
}
GROUPS = {"encoder": "body", "head": "top"}


def like(params, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)


def vector(tree):
    return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


def cosine(a, b):
    a, b = vector(a), vector(b)
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def test_every_measurement_is_the_formula():
    tx = optcore.monitor(optcore.adam(0.1), cosine=True)
    state, params, previous = tx.init(PARAMS), PARAMS, None
    for seed in range(3):
        grads = like(params, seed)
        updates, state = tx.update(grads, state, params)
        norms = [np.linalg.norm(vector(tree)) for tree in (grads, updates, params)]
        expected = dict(zip(("gradient_norm", "update_norm", "parameter_norm"), norms, strict=True))
        expected["update_to_weight"] = norms[1] / norms[2]
        expected["gradient_cosine"] = 0.0 if previous is None else cosine(grads, previous)
        assert state.measurements.keys() == expected.keys()
        for name, value in expected.items():
            assert state.measurements[name] == pytest.approx(value, rel=1e-6, abs=1e-7), name
        params, previous = optcore.apply_updates(params, updates), grads
    assert state.count == 3


@pytest.mark.parametrize("groups", [GROUPS, lambda params: GROUPS])
def test_groups_have_their_own_and_share_the_whole(groups):
    plain = optcore.monitor(optcore.sgd(0.1, momentum=0.9), cosine=True)
    tx = optcore.monitor(optcore.sgd(0.1, momentum=0.9), cosine=True, groups=groups)
    whole, state = plain.init(PARAMS), tx.init(PARAMS)
    for seed in range(2):
        grads = like(PARAMS, seed)
        _, whole = plain.update(grads, whole, PARAMS)
        updates, state = tx.update(grads, state, PARAMS)
    found = state.measurements
    for name, value in whole.measurements.items():
        assert found[name] == pytest.approx(float(value), rel=1e-6)
    assert set(found) == {
        f"{name}{part}" for name in whole.measurements for part in ("", "/body", "/top")
    }
    assert found["parameter_norm/body"] == pytest.approx(5)
    assert found["parameter_norm/top"] == pytest.approx(12)
    assert found["parameter_norm"] == pytest.approx(13)
    body = np.linalg.norm(vector(updates["encoder"]))
    assert found["update_norm/body"] == pytest.approx(body, rel=1e-6)
    assert found["update_to_weight/body"] == pytest.approx(body / 5, rel=1e-6)
    expected = cosine(like(PARAMS, 1)["encoder"], like(PARAMS, 0)["encoder"])
    assert found["gradient_cosine/body"] == pytest.approx(expected, rel=1e-5)


def test_a_monitored_run_is_bitwise_the_run():
    inner = optcore.chain(
        optcore.clip_by_global_norm(0.5), optcore.adamw(optcore.linear_schedule(0.1, 0.0, 9))
    )
    tx = optcore.monitor(inner, cosine=True, max_norm=0.5, groups=GROUPS)
    state, bare = tx.init(PARAMS), inner.init(PARAMS)
    for seed in range(3):
        grads = like(PARAMS, seed)
        u, state = tx.update(grads, state, PARAMS)
        v, bare = inner.update(grads, bare, PARAMS)
        chex.assert_trees_all_equal((u, state.inner), (v, bare))
    assert optcore.read(tx, state, "learning_rate") == optcore.read(inner, bare, "learning_rate")


def test_clip_fraction_counts_the_steps_above_the_threshold():
    tx = optcore.monitor(optcore.sgd(0.1), max_norm=2.0)
    state, shares = tx.init(jnp.zeros(())), []
    for norm in (1.0, 3.0, 2.0, -5.0, 2.1):
        _, state = tx.update(jnp.float32(norm), state, jnp.zeros(()))
        shares.append(float(state.measurements["clip_fraction"]))
    np.testing.assert_allclose(shares, [0, 1 / 2, 1 / 3, 1 / 2, 3 / 5], rtol=1e-6)


@pytest.mark.parametrize(
    ("grads", "expected"),
    [
        ([[1.0, 0.0], [-2.0, 0.0]], -1),
        ([[1.0, 0.0], [1.0, 0.0]], 1),
        ([[1.0, 0.0], [0.0, 3.0]], 0),
        ([[3e30, 4e30], [3e-30, 4e-30]], 1),
        ([[3e38, 0.0], [3e38, 0.0]], 1),
        ([[1e-37, 0.0], [-1e-37, 0.0]], -1),
        ([[0.0, 0.0], [1.0, 0.0]], 0),
        ([[1.0, 0.0], [0.0, 0.0]], 0),
    ],
)
def test_cosine_of_any_length(grads, expected):
    tx = optcore.monitor(optcore.sgd(0.0), cosine=True)
    state = tx.init(jnp.ones(2))
    for g in grads:
        _, state = tx.update(jnp.array(g, jnp.float32), state, jnp.ones(2))
    assert state.measurements["gradient_cosine"] == pytest.approx(expected, abs=1e-6)


def test_cosine_of_complex_gradients_is_that_of_their_parts():
    tx = optcore.monitor(optcore.sgd(0.1), cosine=True)
    params = jnp.zeros(1, jnp.complex64)
    state = tx.init(params)
    cosines = []
    for g in (1 + 1j, 1 - 1j, 2 - 2j):
        _, state = tx.update(jnp.array([g], jnp.complex64), state, params)
        cosines.append(float(state.measurements["gradient_cosine"]))
    np.testing.assert_allclose(cosines, [0, 0, 1], atol=1e-6)


def test_a_missing_gradient_leaves_its_copy_and_is_not_compared():
    tx = optcore.monitor(optcore.sgd(0.1), cosine=True)
    params = {"a": jnp.ones(()), "b": jnp.ones(())}
    state = tx.init(params)
    for g in ({"a": 3.0, "b": 4.0}, {"a": -3.0, "b": None}, {"a": None, "b": 4.0}):
        grads = {k: None if x is None else jnp.float32(x) for k, x in g.items()}
        _, state = tx.update(grads, state, params)
        last = float(state.measurements["gradient_cosine"])
        assert last == pytest.approx({-3.0: -1.0}.get(g["a"], 0.0 if g["a"] else 1.0))
    chex.assert_trees_all_close(state.previous_gradient, {"a": -3.0, "b": 4.0})


def test_ratio_at_zero_parameters():
    tx = optcore.monitor(optcore.sgd(0.1))
    for grad, expected in ((1.0, np.inf), (0.0, 0.0)):
        _, state = tx.update(jnp.float32(grad), tx.init(jnp.zeros(())), jnp.zeros(()))
        assert state.measurements["update_to_weight"] == expected


def test_nan_is_shown():
    tx = optcore.monitor(optcore.sgd(0.1), cosine=True)
    _, state = tx.update(jnp.float32(np.nan), tx.init(jnp.ones(())), jnp.ones(()))
    assert np.isnan(state.measurements["gradient_norm"])
    assert np.isnan(state.measurements["gradient_cosine"])


def test_without_the_cosine_nothing_is_kept_of_the_gradients():
    state = optcore.monitor(optcore.sgd(0.1)).init(PARAMS)
    assert all(x.ndim == 0 for x in jax.tree.leaves(state))


def test_inside_a_chain_it_measures_what_goes_through_there():
    tx = optcore.chain(
        optcore.clip_by_global_norm(1.0),
        optcore.monitor(optcore.scale(-0.1)),
    )
    _, state = tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.ones(2)), jnp.ones(2))
    assert state[1].measurements["gradient_norm"] == pytest.approx(1)
    assert state[1].measurements["update_norm"] == pytest.approx(0.1)


def test_history_from_a_scan():
    tx = optcore.monitor(optcore.sgd(0.5), cosine=True)

    def body(carry, _):
        w, state = carry
        u, state = tx.update(w, state, w)
        return (optcore.apply_updates(w, u), state), state.measurements

    w = jnp.array([2.0])
    _, history = jax.lax.scan(body, (w, tx.init(w)), length=3)
    np.testing.assert_allclose(history["gradient_norm"], [2, 1, 0.5])
    np.testing.assert_allclose(history["gradient_cosine"], [0, 1, 1])


def test_in_double_precision_measurements_stay_single():
    with oracles.double_precision():
        params = {"a": jnp.ones(3, jnp.float64), "b": jnp.ones(2, jnp.float32)}
        tx = optcore.monitor(optcore.sgd(0.1), cosine=True, groups={"a": "a", "b": "b"})
        state = tx.init(params)
        for _ in range(2):
            _, state = tx.update(params, state, params)
    assert {x.dtype for x in state.measurements.values()} == {np.dtype(np.float32)}
    assert state.measurements["gradient_cosine"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ({"encoder": 1, "head": "top"}, TypeError, "got 1 at 'encoder'"),
        ({"encoder": None, "head": "top"}, TypeError, "got None at 'encoder'"),
        ({"encoder": "", "head": "top"}, ValueError, "must have a name, got '' at 'encoder'"),
        ({"tail": "top"}, ValueError, "groups must be a tree of strings"),
    ],
)
def test_groups_that_do_not_fit(groups, error, message):
    with pytest.raises(error, match=message):
        optcore.monitor(optcore.sgd(0.1), groups=groups).init(PARAMS)


def test_parameters_are_needed():
    tx = optcore.monitor(optcore.sgd(0.1))
    with pytest.raises(ValueError, match="monitor needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_groups_of_parameters_that_may_be_none():
    params = {"w": jnp.array([3.0, 4.0]), "none": None}
    tx = optcore.monitor(
        optcore.sgd(1.0), groups=lambda params: jax.tree.map(lambda _: "all", params)
    )
    _, state = tx.update(params, tx.init(params), params)
    assert state.measurements["gradient_norm/all"] == 5
    with pytest.raises(TypeError, match="got None at 'w'"):
        optcore.monitor(optcore.sgd(1.0), groups={"w": None, "none": None}).init(params)
