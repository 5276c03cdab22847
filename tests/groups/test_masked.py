"""A transformation of some parameters, which lets the others pass."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore import masked

PARAMS = {"a": jnp.ones(3), "b": {"c": jnp.ones((2, 2)), "d": jnp.ones(2)}}
GRADS = jax.tree.map(lambda p: 3 * p, PARAMS)


def matrices(tree):
    return jax.tree.map(lambda x: x.ndim > 1, tree)


@pytest.mark.parametrize(
    "mask", [{"a": False, "b": {"c": True, "d": False}}, matrices], ids=["tree", "function"]
)
@pytest.mark.parametrize("name", ["trace", "add_decayed_weights", "scale", "ema"])
def test_like_optax(mask, name):
    ours, theirs = (masked_by(lib, mask, name) for lib in (optcore, optax))
    state, their_state = ours.init(PARAMS), theirs.init(PARAMS)
    for _ in range(3):
        updates, state = jax.jit(ours.update)(GRADS, state, PARAMS)
        with jax.numpy_dtype_promotion("standard"):
            expected, their_state = theirs.update(GRADS, their_state, PARAMS)
        for got, want in zip(jax.tree.leaves(updates), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_array_equal(updates["a"], GRADS["a"])
    assert not np.array_equal(updates["b"]["c"], GRADS["b"]["c"])


def masked_by(lib, mask, name):
    return lib.masked(getattr(lib, name)(0.5), mask)


def test_what_passes_costs_no_state():
    state = masked(optcore.trace(0.5), {"a": True, "b": False}).init(PARAMS)
    assert type(state) is optcore.MaskedState
    assert [x.shape for x in jax.tree.leaves(state)] == [(3,)]
    assert state.inner_state.trace["b"] == {"c": None, "d": None}


@pytest.mark.parametrize(
    "inner",
    [
        optcore.adam(0.1),
        optcore.chain(optcore.clip(1.0), optcore.sgd(0.1)),
        optcore.chain(optcore.scale_by_adam(), optcore.scale_by_learning_rate(0.1)),
        optcore.named_chain(("a", optcore.trace(0.5)), ("b", optcore.scale_by_learning_rate(0.1))),
        optcore.cautious(optcore.adam(0.1)),
        optcore.skip_on_spike(optcore.chain(optcore.adam(0.1), optcore.scale(0.5))),
    ],
)
def test_an_optimizer_is_refused(inner):
    """Trap 2 of optax: where the mask is False the raw gradient was added, which ascends."""
    with pytest.raises(ValueError, match=r"raw gradient would pass.*ascent.*\(pattern, FREEZE\)"):
        masked(inner, True)


def test_optax_ascends_where_ours_refuses():
    tx = optax.masked(optax.adam(0.1), {"a": True, "b": False})
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(updates["b"]["d"], GRADS["b"]["d"])
    frozen = optcore.route(("a", optcore.adam(0.1)), ("*", optcore.FREEZE))
    updates, _ = frozen.update(GRADS, frozen.init(PARAMS), PARAMS)
    assert not np.any(updates["b"]["d"])


@pytest.mark.parametrize("params", [PARAMS, None])
def test_none_among_the_gradients(params):
    tx = masked(optcore.trace(0.5), matrices)
    state = tx.init(PARAMS)
    grads = {"a": None, "b": {"c": None, "d": GRADS["b"]["d"]}}
    updates, after = tx.update(grads, state, params)
    assert updates["a"] is updates["b"]["c"] is None
    np.testing.assert_array_equal(updates["b"]["d"], GRADS["b"]["d"])
    jax.tree.map(np.testing.assert_array_equal, after, state)


def test_a_mask_made_of_parameters_with_holes():
    """`None` among the parameters is `None` in the mask."""
    params = {"a": jnp.ones((2, 2)), "hole": None}
    for tx in (masked(optcore.scale(2.0), matrices), optcore.add_decayed_weights(1.0, matrices)):
        updates, _ = tx.update(params, tx.init(params), params)
        assert updates["hole"] is None
        np.testing.assert_array_equal(updates["a"], [[2, 2], [2, 2]])


def test_extra_arguments_like_the_parameters():
    seen = []

    def update(updates, state, params=None, **extra):
        seen.append(extra)
        return updates, state

    inner = optcore.GradientTransformation(lambda params: (), update)
    for option in (True, False):
        tx = masked(inner, {"a": True, "b": False}, mask_compatible_extra_args=option)
        tx.update(GRADS, tx.init(PARAMS), PARAMS, tags=PARAMS, value=1.0)
    assert seen[0]["tags"]["b"] == {"c": None, "d": None}
    assert seen[0]["tags"]["a"] is PARAMS["a"]
    assert seen[1]["tags"] is PARAMS
    assert [extra["value"] for extra in seen] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ({"a": True}, ValueError, "masked: the mask must be a tree of booleans with the structure"),
        ({"a": 1, "b": 0}, TypeError, "must say True or False"),
        ({"a": None, "b": True}, ValueError, "structure of the parameters"),
    ],
)
def test_masks_that_do_not_fit(mask, error, message):
    with pytest.raises(error, match=message):
        masked(optcore.scale(1.0), mask).init(PARAMS)
