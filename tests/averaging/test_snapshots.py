"""The store of snapshots, and the ensemble that they make."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import averaging

PARAMS = {"w": jnp.zeros((2, 3)), "half": jnp.zeros(2, jnp.bfloat16), "n": jnp.int32(0)}


def params_at(step):
    return jax.tree.map(lambda p: p + jnp.asarray(step).astype(p.dtype), PARAMS)


def steps_of(store):
    return [int(m["n"]) for m in averaging.snapshot_members(store)]


def test_keeps_the_last_in_their_order_and_dtypes():
    store = averaging.init_snapshots(PARAMS, 3)
    assert averaging.snapshot_members(store) == []
    for step in range(1, 6):
        store = averaging.take_snapshot(store, params_at(step))
        expected = list(range(max(step - 2, 1), step + 1))
        assert steps_of(store) == expected
        chex.assert_trees_all_equal(
            averaging.snapshot_members(store), [params_at(s) for s in expected]
        )
    chex.assert_trees_all_equal_dtypes(averaging.snapshot_members(store)[0], PARAMS)


@pytest.mark.parametrize(
    "schedule",
    [
        optcore.cosine_restarts_schedule(0.1, 3, cycle_multiplier=2.0),
        optcore.cyclic_schedule(0.01, 0.1, 2, 1),
    ],
    ids=repr,
)
def test_scans_over_the_ends_of_cycles(schedule):
    """At the ends of the cycles: of restarts, and of short triangles (fast geometric ensembles)."""
    ends = optcore.schedules.cycle_ends(schedule, 21)

    @jax.jit
    def run(store):
        def body(store, n):
            when = jnp.isin(n, jnp.array(ends))
            return averaging.take_snapshot(store, params_at(n), when), None

        return jax.lax.scan(body, store, jnp.arange(1, 22))[0]

    empty = averaging.init_snapshots(PARAMS, 2)
    store = run(empty)
    assert steps_of(store) == list(ends[-2:])
    assert store.count == len(ends)
    chex.assert_trees_all_equal_shapes_and_dtypes(store, empty)


def test_one_place_is_written_and_the_store_is_not_copied():
    store = averaging.init_snapshots(jnp.zeros(1000), 50)
    take = jax.jit(averaging.take_snapshot, donate_argnums=0)
    compiled = take.lower(store, jnp.zeros(1000), True).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 50 * 1000


def test_works_on_shapes_and_under_vmap():
    shapes = jax.eval_shape(lambda: PARAMS)
    assert averaging.init_snapshots(shapes, 2).params["w"].shape == (2, 2, 3)
    mapped = jax.vmap(lambda w: averaging.take_snapshot(averaging.init_snapshots(w, 2), w))
    assert mapped(jnp.ones((4, 3))).params.shape == (4, 2, 3)


def logits(params, x):
    return x @ params


def test_probabilities_by_hand():
    x = jnp.ones((1, 1))
    members = [jnp.log(jnp.array([[p, 1 - p]])) for p in (0.9, 0.6, 0.2)]
    store = averaging.init_snapshots(members[0], 4)
    for m in members:
        store = averaging.take_snapshot(store, m)

    def first(last):
        return averaging.ensemble_probabilities(logits, store, x, last=last)[0, 0].item()

    assert [first(n) for n in (1, 2, 3, 4, None)] == pytest.approx(
        [0.2, 0.4, 17 / 30, 17 / 30, 17 / 30], rel=1e-6
    )


@pytest.mark.parametrize("seed", range(5))
def test_jensen(seed):
    """Its cross-entropy is at most the mean of the members', and less if they differ."""
    keys = jax.random.split(jax.random.key(seed), 3)
    x = jax.random.normal(keys[0], (50, 4))
    y = jax.random.randint(keys[1], (50,), 0, 6)
    members = 3 * jax.random.normal(keys[2], (5, 4, 6))
    store = averaging.init_snapshots(members[0], 5)
    for m in members:
        store = averaging.take_snapshot(store, m)
    probabilities = jax.jit(lambda s: averaging.ensemble_probabilities(logits, s, x))(store)
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-6)

    def cross_entropy(log_p):
        return -log_p[jnp.arange(50), y].mean().item()

    mean = np.mean([cross_entropy(jax.nn.log_softmax(x @ m)) for m in members])
    assert cross_entropy(jnp.log(probabilities)) < mean


def test_refuses():
    with pytest.raises(ValueError, match="size must be an int and at least 1, got 0"):
        averaging.init_snapshots(PARAMS, 0)
    with pytest.raises(ValueError, match="size must be an int"):
        averaging.init_snapshots(PARAMS, 2.5)
    with pytest.raises(ValueError, match="params must hold an array"):
        averaging.init_snapshots({}, 2)
    store = averaging.init_snapshots({"w": jnp.zeros(2), "b": None}, 2)
    with pytest.raises(ValueError, match=r"a parameter 'w' of shape \(2,\), got \(\)"):
        averaging.take_snapshot(store, {"w": jnp.zeros(()), "b": None})
    with pytest.raises(ValueError, match="the store is for other parameters"):
        averaging.take_snapshot(store, {"w": jnp.zeros(2)})
    store = averaging.init_snapshots(jnp.zeros((1, 2)), 3)
    with pytest.raises(ValueError, match="no snapshot was taken yet"):
        averaging.ensemble_probabilities(logits, store, jnp.ones((1, 1)))
    with pytest.raises(ValueError, match=r"last must lie in \[1, 3\], got 4"):
        averaging.ensemble_probabilities(logits, store, jnp.ones((1, 1)), last=4)
