"""One optimizer after another, each fresh at its first step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}


def gradient(step):
    rng = np.random.default_rng(step)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), PARAMS)


def run(tx, steps, first=0, params=PARAMS):
    state, made = tx.init(params), []
    for t in range(first, first + steps):
        updates, state = tx.update(gradient(t), state, params)
        made.append(updates)
        params = optcore.apply_updates(params, updates)
    return made, state, params


RATE = optcore.linear_schedule(0.1, 0.0, 10)


def test_each_makes_its_own_steps_from_its_own_start():
    first, second, third = optcore.adam(RATE), optcore.sgd(RATE, momentum=0.9), optcore.lion(0.01)
    made, state, params = run(optcore.switch([first, second, third], [3, 5]), 8)
    expected, params_3 = [], PARAMS
    for tx, start, steps in ((first, 0, 3), (second, 3, 2), (third, 5, 3)):
        more, _, params_3 = run(tx, steps, start, params_3)
        expected += more
    chex.assert_trees_all_close(made, expected, rtol=1e-6)
    chex.assert_trees_all_close(params, params_3, rtol=1e-6)
    assert int(state.count) == 8
    assert int(state.inner[0].count) == 3
    assert int(state.inner[1].count) == 2


def test_a_later_one_starts_from_the_parameters_of_its_first_step():
    anchored = optcore.chain(
        optcore.transforms.add_decay_to_init(1.0), optcore.scale_by_learning_rate(1.0)
    )
    tx = optcore.switch([optcore.sgd(1.0), anchored], [1])
    zero, state = jnp.float32(0.0), tx.init(jnp.float32(3.0))
    _, state = tx.update(jnp.float32(1.0), state, jnp.float32(3.0))
    update, state = tx.update(zero, state, jnp.float32(2.0))
    assert update == 0.0
    update, state = tx.update(zero, state, jnp.float32(2.5))
    assert update == -0.5


def test_each_starts_from_the_parameters_of_its_own_first_step():
    anchored = optcore.chain(
        optcore.transforms.add_decay_to_init(1.0), optcore.scale_by_learning_rate(1.0)
    )
    tx = optcore.switch([anchored] * 4, [1, 3, 4])
    state, made = tx.init(jnp.float32(1.0)), []
    for p in (2.0, 4.0, 7.0, 11.0, 16.0, 22.0):
        update, state = tx.update(jnp.float32(0.0), state, jnp.float32(p))
        made.append(update.item())
    assert made == [-1.0, 0.0, -3.0, 0.0, 0.0, -6.0]
    assert [inner[0].anchor.item() for inner in state.inner] == [1.0, 4.0, 11.0, 16.0]


def test_without_parameters_it_starts_from_those_of_init():
    tx = optcore.switch([optcore.sgd(1.0), optcore.sgd(1.0, momentum=0.5)], [1])
    state, made = tx.init(jnp.float32(3.0)), []
    for _ in range(3):
        update, state = tx.update(jnp.float32(1.0), state)
        made.append(float(update))
    assert made == [-1.0, -1.0, -1.5]


def test_only_the_one_whose_turn_it_is_runs():
    tx = optcore.switch([optcore.sgd(0.1), optcore.adam(0.1)], [2])
    state = tx.init(PARAMS)
    jaxpr = jax.make_jaxpr(tx.update)(gradient(0), state, PARAMS)
    assert "cond[" in str(jaxpr)
    outside = [e.primitive.name for e in jaxpr.eqns if e.primitive.name != "cond"]
    assert not {"sqrt", "div"} & set(outside)


def test_nothing_is_traced_again_at_a_boundary():
    tx = optcore.switch([optcore.sgd(0.1), optcore.adam(0.1)], [2])
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(lambda g, s: tx.update(g, s, PARAMS), n=1))
    state = tx.init(PARAMS)
    for t in range(4):
        _, state = step(gradient(t), state)


def test_under_vmap_each_has_its_own_count():
    tx = optcore.switch([optcore.sgd(1.0), optcore.sgd(0.25)], [2])
    states = jax.vmap(tx.init)(jnp.zeros((3,)))
    states = states._replace(count=jnp.array([0, 1, 2], jnp.int32))
    assert jax.vmap(tx.update)(jnp.ones(3), states)[0].tolist() == [-1.0, -1.0, -0.25]


def test_optimizers_of_other_libraries_and_functions_among_the_extras():
    tx = optcore.switch([optax.sgd(0.5), optcore.sam(optcore.sgd(0.25), rho=0.0)], [1])
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    state = tx.init(params)

    def grad_fn(params, _):
        return jax.tree.map(lambda p: 4 * p, params)

    for expected in (-0.5, -1.0):
        grads = jax.tree.map(jnp.ones_like, params)
        updates, state = tx.update(grads, state, params, grad_fn=grad_fn)
        assert updates["w"].dtype == jnp.float32
        assert updates["w"].tolist() == [expected] * 2


def test_rates_are_read_by_path():
    tx = optcore.switch([optcore.sgd(RATE), optcore.adam(RATE)], [2])
    _, state, _ = run(tx, 4)
    for path in ("inner.0.learning_rate", "inner.1.learning_rate"):
        np.testing.assert_allclose(optcore.read(tx, state, path), RATE(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("boundaries", "pattern"),
    [
        ([], "one fewer than the optimizers: expected 1 for 2 optimizers, got 0"),
        ([3, 5], "expected 1 for 2 optimizers, got 2"),
        ([0], r"boundaries must lie in \[1, 2147483648\), got 0"),
    ],
)
def test_boundaries_that_do_not_fit(boundaries, pattern):
    with pytest.raises(ValueError, match=pattern):
        optcore.switch([optcore.sgd(0.1), optcore.adam(0.1)], boundaries)


def test_arguments_that_make_no_sense():
    with pytest.raises(ValueError, match="boundaries must increase, got"):
        optcore.switch([optcore.sgd(0.1)] * 3, [4, 4])
    with pytest.raises(TypeError, match="hold gradient transformations"):
        optcore.switch([optcore.sgd], [])
    with pytest.raises(TypeError, match=r"inner must be a sequence, got the transformation sgd\("):
        optcore.switch(optcore.sgd(0.1), [])
    with pytest.raises(TypeError, match="boundaries must be a sequence of ints, got 3"):
        optcore.switch([optcore.sgd(0.1)] * 2, 3)
