"""One transformation after another, ours and others'."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def test_links_apply_in_order():
    clip_then_scale = optcore.chain(optcore.clip(1.0), optcore.scale(3.0))
    scale_then_clip = optcore.chain(optcore.scale(3.0), optcore.clip(1.0))
    g = jnp.array([-2.0, 0.25])
    for tx, expected in ((clip_then_scale, [-3.0, 0.75]), (scale_then_clip, [-1.0, 0.75])):
        u, _ = tx.update(g, tx.init(g))
        np.testing.assert_array_equal(u, expected)


def test_every_link_keeps_its_own_state():
    tx = optcore.chain(optcore.trace(0.5), optcore.scale(2.0), optcore.trace(0.25))

    def two_sums(w, grads, a=0.0, b=0.0):
        for g in grads:
            a = 0.5 * a + g
            b = 0.25 * b + 2 * a
            w = w + b
            yield w

    oracles.agrees(tx, two_sums)
    state = tx.init(jnp.zeros(2))
    kinds = [optcore.transforms.TraceState, optcore.EmptyState, optcore.transforms.TraceState]
    assert list(map(type, state)) == kinds
    _, state = tx.update(jnp.ones(2), state)
    assert list(map(type, state)) == kinds
    np.testing.assert_array_equal(state[0].trace, [1, 1])
    np.testing.assert_array_equal(state[2].trace, [2, 2])


def test_the_empty_chain_is_the_identity():
    g = oracles.start()
    u, state = optcore.chain().update(g, optcore.chain().init(g))
    assert state == ()
    for name in g:
        np.testing.assert_array_equal(u[name], g[name])


def test_nesting_changes_the_state_and_not_the_steps():
    a, b, c = optcore.clip_by_global_norm(1.0), optcore.trace(0.9), optcore.scale(-0.1)
    params, grads = oracles.start(), oracles.gradients(5)
    *_, flat = oracles.run(optcore.chain(a, b, c), params, grads)
    for nested in (optcore.chain(a, optcore.chain(b, c)), optcore.chain(optcore.chain(a, b), c)):
        *_, end = oracles.run(nested, params, grads)
        oracles.close(end, flat, params)


def noting(seen, *names):
    """A pair that writes down the extra arguments it is given."""

    def update(updates, state, params=None, **extra):
        seen.append((params, extra))
        return updates, state

    return optcore.GradientTransformation(lambda params: (), update)


def test_parameters_and_extras_reach_every_link():
    seen = []
    tx = optcore.chain(noting(seen), optcore.scale(2.0), optcore.chain(noting(seen)))
    p = jnp.float32(3)
    tx.update(jnp.float32(1), tx.init(p), p, value=jnp.float32(7), tag=1)
    assert [(float(params), sorted(extra)) for params, extra in seen] == [
        (3.0, ["tag", "value"]),
        (3.0, ["tag", "value"]),
    ]


def test_a_foreign_link_gets_the_extras_it_has_room_for():
    seen = {}

    def update(updates, state, params=None, *, value):
        seen.update(value=value)
        return updates, state

    plain = optax.GradientTransformation(lambda params: (), lambda u, s, p=None: (-u, s))
    needs_value = optax.GradientTransformation(lambda params: (), update)
    tx = optcore.chain(plain, needs_value, optax.scale(2.0))
    u, _ = tx.update(jnp.float32(1), tx.init(jnp.float32(0)), None, value=5, other=6)
    assert u == -2
    assert seen == {"value": 5}


def test_a_foreign_state_keeps_its_dtype():
    def update(updates, state, params=None):
        return updates, jax.tree.map(lambda s, u: s.astype(jnp.float32) + u, state, updates)

    foreign = optax.GradientTransformation(
        lambda params: jax.tree.map(lambda p: jnp.zeros_like(p, jnp.bfloat16), params), update
    )
    tx = optcore.chain(foreign)
    g = jnp.array([1.001, 2.0])
    _, state = tx.update(g, tx.init(g))
    assert state[0].dtype == jnp.bfloat16
    np.testing.assert_array_equal(state[0], jnp.array([1, 2], jnp.bfloat16))


def test_optax_inside_and_outside_gives_the_same_steps():
    params, grads = oracles.start(), oracles.gradients(5)
    ours = optcore.chain(optcore.trace(0.9), optcore.scale(-0.1))
    *_, expected = oracles.run(ours, params, grads)
    for mixed in (
        optcore.chain(optcore.trace(0.9), optax.scale(-0.1)),
        optcore.chain(optax.trace(0.9), optcore.scale(-0.1)),
        optax.chain(optcore.trace(0.9), optcore.scale(-0.1)),
    ):
        *_, end = oracles.run(mixed, params, grads)
        oracles.close(end, expected, params)


@pytest.mark.parametrize("thing", [optcore.adam, 0.1, None, (optcore.identity(),)])
def test_something_else_is_refused(thing):
    with pytest.raises(TypeError, match="gradient transformation"):
        optcore.chain(optcore.identity(), thing)


def test_named_chain():
    tx = optcore.named_chain(("sum", optcore.trace(0.5)), ("step", optcore.scale(-0.1)))
    state = tx.init(jnp.zeros(2))
    assert list(state) == ["sum", "step"]
    u, state = tx.update(jnp.ones(2), state)
    u, state = tx.update(jnp.ones(2), state)
    np.testing.assert_allclose(u, [-0.15, -0.15], rtol=1e-6)
    np.testing.assert_array_equal(state["sum"].trace, [1.5, 1.5])
    assert state["step"] == optcore.EmptyState()


def test_named_chain_looks_states_up_by_name():
    """A jitted step gives a dict back with its keys sorted."""
    tx = optcore.named_chain(("b", optcore.trace(0.5)), ("a", optcore.trace(0.25)))
    step = jax.jit(lambda g, state: tx.update(g, state))
    state = tx.init(jnp.zeros(1))
    for _ in range(2):
        _, state = step(jnp.ones(1), state)
    np.testing.assert_array_equal(state["b"].trace, [1.5])
    np.testing.assert_array_equal(state["a"].trace, [0.25 + 1.5])


def test_named_chain_refuses_a_name_that_stands_twice():
    with pytest.raises(ValueError, match="each name must occur once, got 'a' twice"):
        optcore.named_chain(("a", optcore.identity()), ("a", optcore.clip(1.0)))


def test_the_example_of_a_wrapper_wraps_momentum_unless_it_says_what():
    found = optcore.registry("wrapper")
    rate = optcore.linear_schedule(0.1, 0.05, 8)
    momentum = optcore.chain(optcore.trace(0.5), optcore.scale_by_learning_rate(rate))
    assert found["guard"].example() == optcore.guard(momentum)
    sgd = optcore.scale_by_learning_rate(0.1)
    assert found["graft"].example() == optcore.graft(sgd, momentum)
    route = found["route"].example().arguments["rules"]
    assert route[0][1] == momentum
