"""Moments of rows that come back, against those of dense gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests.storage.rows import dense, sparse, table, touched
from tests.storage.test_lazy_rows import trained

STEPS = 6


def made(places=4):
    return [{"t": sparse(i, places=places), "w": jnp.array([0.5, 3.0 - i])} for i in range(STEPS)]


PARAMS = {"t": table(), "w": jnp.array([1.0, -2.0])}


@pytest.mark.parametrize(
    "inner",
    [
        optcore.rmsprop(0.1, decay=0.6, eps=1e-3, initial_scale=0.5),
        optcore.rmsprop(0.1, decay=0.0, eps=1e-3),
        optcore.adam(0.1, b1=0.0, b2=0.7),
    ],
    ids=str,
)
def test_what_does_not_move_without_a_gradient_equals_dense(inner):
    decay = inner.arguments.get("b2", inner.arguments.get("decay"))
    decays = {"nu": decay} | ({"mu": 0.0} if "b2" in inner.arguments else {})
    got, _ = trained(optcore.lazy_rows(inner, decays), made(), PARAMS)
    expected, _ = trained(inner, map(dense, made()), PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6), got, expected)
    lazy, _ = trained(optcore.lazy_rows(inner), made(), PARAMS)
    if decay:
        assert np.max(np.abs(lazy["t"] - expected["t"])) > 1e-3, "the test cannot tell"


def test_adams_moments_are_the_dense_ones_where_they_are_used():
    b1, b2 = 0.6, 0.8
    inner = optcore.scale_by_adam(b1, b2)
    tx = optcore.lazy_rows(inner, {"mu": b1, "nu": b2})
    state, whole = tx.init(PARAMS), inner.init(PARAMS)
    for g in made():
        updates, state = tx.update(g, state, params=PARAMS)
        expected, whole = inner.update(dense(g), whole, params=PARAMS)
        rows = touched(g["t"])
        for slot in ("mu", "nu"):
            mine, theirs = (getattr(s, slot)["t"] for s in (state.inner.inner, whole))
            np.testing.assert_allclose(mine[rows], theirs[rows], rtol=1e-6)
        np.testing.assert_allclose(updates["t"].todense()[rows], expected["t"][rows], rtol=2e-6)
    seen = np.asarray(state.inner.last_seen["t"])
    last = [
        max((i + 1 for i, g in enumerate(made()) if touched(g["t"])[r]), default=0)
        for r in range(7)
    ]
    assert seen.tolist() == last
    assert state.inner.last_seen["w"].tolist() == [STEPS] * 2


def test_time_stands_still_for_a_frozen_parameter():
    tx = optcore.lazy_rows(optcore.trace(0.5), {"trace": 0.5})
    w = {"w": jnp.zeros(2)}
    g = {"w": jnp.ones(2)}
    _, state = tx.update(g, tx.init(w), params=w)
    for _ in range(3):
        _, state = tx.update({"w": None}, state, params=w)
    updates, _ = tx.update(g, state, params=w)
    assert updates["w"].tolist() == [1.5, 1.5]


@pytest.mark.slow
def test_slots_keep_their_dtype_and_decays_may_be_traced():
    inner = optcore.scale_by_adam(0.5, 0.5, mu_dtype=jnp.bfloat16)

    @jax.jit
    def run(tx):
        return trained(tx, made(), PARAMS)

    _, state = run(optcore.lazy_rows(inner, {"mu": 0.5, "nu": 0.5}))
    assert state.inner.inner.mu["t"].dtype == jnp.bfloat16
    constant = trained(optcore.lazy_rows(inner, {"mu": 0.5, "nu": 0.5}), made(), PARAMS)
    np.testing.assert_allclose(
        state.inner.inner.nu["t"], constant[1].inner.inner.nu["t"], rtol=1e-6
    )


def test_a_name_that_is_no_slot():
    with pytest.raises(
        ValueError, match=r"decays names 'm', which is not a slot of inner: it has .*mu"
    ):
        optcore.lazy_rows(optcore.adam(0.1), {"m": 0.9, "nu": 0.999}).init(PARAMS)
    with pytest.raises(ValueError, match=r"lazy_rows: decays must lie in \[0, 1\]"):
        optcore.lazy_rows(optcore.adam(0.1), {"mu": 1.5})
