"""Hyper-parameters in the state: float32 whatever the parameters are, and in use from there."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([0.1, 0.2])}
GRADS = {"w": jnp.array([[0.3, 0.1], [-2.0, 1.0]]), "b": jnp.array([1.0, -0.5])}


def run(tx, steps=4, params=PARAMS, grads=GRADS):
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
    return updates, state


def arrays(tx):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tx)


@pytest.mark.parametrize(
    "tx",
    [
        optcore.adamw(0.1, b1=0.6, b2=0.7, weight_decay=0.05),
        optcore.chain(optcore.clip_by_global_norm(0.5), optcore.sgd(0.1, momentum=0.5)),
        optcore.named_chain(("z", optcore.scale(0.5)), ("a", optcore.adam(0.1, b2=0.8))),
        optcore.aggmo(0.1, (0.0, 0.5, 0.75)),
        optcore.skip_on_spike(optcore.adam(optcore.linear_schedule(0.1, 0.0, 9)), 4),
    ],
    ids=str,
)
def test_injected_is_the_same_as_swept(tx):
    expected, _ = run(arrays(tx))
    got, state = run(optcore.inject(tx))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, expected)
    assert {x.dtype for x in jax.tree.leaves(state.hyperparams)} == {jnp.dtype("float32")}


def test_own_schedules_are_those_of_the_optimizer():
    rate = optcore.linear_schedule(0.1, 0.02, 5)
    tx = optcore.adam(rate, b1=optcore.linear_schedule(0.5, 0.9, 5))
    expected, before = run(tx)
    got, state = run(optcore.inject(tx))
    # The other decay is float32 now.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), got, expected)
    for held in (state, before):
        # A compiled schedule may round its last bit in another way.
        np.testing.assert_allclose(held.hyperparams["learning_rate"], rate(3), rtol=2e-7)
    assert jax.tree.leaves(state.hyperparams_states) == [4, 4]
    assert int(state.count) == 4


def test_what_the_state_holds_is_used():
    tx = optcore.inject(optcore.sgd(0.5))
    state = tx.init(PARAMS)
    for value in (0.25, np.float64(0.25), np.float32(0.25), jnp.float32(0.25)):
        state.hyperparams["learning_rate"] = value
        for update in (tx.update, jax.jit(tx.update)):
            updates, after = update(GRADS, state, PARAMS)
            assert updates["b"].tolist() == [-0.25, 0.125]
            assert after.hyperparams["learning_rate"].dtype == jnp.float32
            assert not after.hyperparams["learning_rate"].weak_type


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_narrow_parameters_do_not_round_them(dtype):
    params, grads = (jax.tree.map(lambda x: x.astype(dtype), t) for t in (PARAMS, GRADS))
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.inject_hyperparams(optax.adamw)(1e-3)
        assert theirs.init(params).hyperparams["b2"] in (1.0, np.float16(0.999))
    tx = optcore.inject(optcore.adamw(1e-3))
    updates, state = run(tx, params=params, grads=grads)
    assert state.hyperparams["b2"] == np.float32(0.999)
    assert all(bool(jnp.isfinite(u).all()) for u in jax.tree.leaves(updates))
    exact, _ = run(optcore.adamw(1e-3), params=params, grads=grads)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), updates, exact)


def test_names_are_short_where_they_are_unique():
    scaled = optcore.chain(optcore.scale(1.0), optcore.sgd(0.1), optcore.scale(2.0))
    tx = optcore.inject(optcore.chain(optcore.clip(1.0), scaled))
    assert sorted(tx.init(PARAMS).hyperparams) == [
        "learning_rate",
        "max_delta",
        "transforms.1.transforms.0.step_size",
        "transforms.1.transforms.2.step_size",
    ]


def test_static_args_stay_exact_constants():
    tx = optcore.inject(optcore.adam(0.1), static_args=("b2",))
    assert "b2" not in tx.init(PARAMS).hyperparams
    got, _ = run(optcore.inject(optcore.adam(0.1), ("b1", "b2", "eps")))
    expected, _ = run(optcore.adam(0.1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-7), got, expected)
    assert optcore.read(tx, tx.init(PARAMS), "b2") == np.float32(0.999)
    one = optcore.inject(optcore.adam(0.1), "b2")
    assert "b2" not in one.init(PARAMS).hyperparams


def test_the_first_values_come_from_the_arguments_alone():
    """A swept optimizer takes the values of its sweep into its state, and uses them from there."""

    def losses(tx):
        return run(tx)[0]["b"][0]

    sweep = optcore.stack([optcore.inject(optcore.sgd(rate)) for rate in (0.5, 0.25)])
    assert jax.vmap(losses)(sweep).tolist() == [-0.5, -0.25]
    slope = jax.grad(losses)(optcore.inject(optcore.sgd(0.5)))
    assert jax.tree.leaves(slope) == [-1.0]


def test_masks_groups_and_static_arguments_stay():
    mask = {"w": True, "b": False}
    tx = optcore.inject(optcore.adamw(0.1, weight_decay=0.5, mask=mask, nesterov=True))
    zero = jax.tree.map(jnp.zeros_like, GRADS)
    updates, _ = run(tx, 1, grads=zero)
    np.testing.assert_allclose(updates["w"], -0.05 * PARAMS["w"], rtol=1e-6)
    assert updates["b"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "error", "pattern"),
    [
        (lambda: optcore.inject(optax.adam(0.1)), TypeError, "declares no hyper-parameters; inj"),
        (lambda: optcore.inject(optcore.adam(0.1), ("b3",)), ValueError, "names 'b3', which is no"),
        (
            lambda: optcore.inject(optcore.adam(0.1), hyperparam_dtype=jnp.bfloat16),
            ValueError,
            "float32 or wider, got bfloat16, in which 0.999 is 1",
        ),
        (
            lambda: optcore.inject(optcore.chain(optcore.inject(optcore.sgd(0.1)))),
            ValueError,
            "already injected",
        ),
    ],
)
def test_what_is_refused(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


def test_schedules_out_of_range_are_named():
    tx = optcore.inject(optcore.sgd(lambda count: jnp.float32(-1.0)))
    with pytest.raises(ValueError, match=r"sgd: learning_rate must lie in .* got -1"):
        tx.init(PARAMS)
