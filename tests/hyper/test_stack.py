"""Several optimizers of one make, trained at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def member(rate, decay):
    return optcore.chain(
        optcore.clip_by_global_norm(2.0 + rate),
        optcore.adamw(rate, b1=decay, weight_decay=10 * rate),
    )


def last(tx, grads):
    """Parameters after all gradients, as a traced computation."""

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (optcore.apply_updates(params, updates), state), None

    params = jax.tree.map(jnp.asarray, oracles.start())
    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), grads)
    return params


def test_a_stack_under_vmap_is_a_loop():
    members = [member(rate, decay) for rate, decay in ((0.01, 0.9), (0.03, 0.5), (0.1, 0.0))]
    grads = jax.tree.map(lambda *g: jnp.stack(g), *oracles.gradients(5))
    together = jax.vmap(last, in_axes=(0, None))(optcore.stack(members), grads)
    for i, tx in enumerate(members):
        got = {name: np.asarray(x[i]) for name, x in together.items()}
        # A traced decay of 0.9 leaves seven digits of 1 - 0.9.
        alone = oracles.double(jax.jit(last)(tx, grads))
        oracles.close(oracles.double(got), alone, oracles.start(), 2e-6)
    apart = [oracles.double(together["w"][i]) for i in range(3)]
    assert min(np.abs(apart[0] - apart[1]).max(), np.abs(apart[1] - apart[2]).max()) > 0.01


def test_the_numbers_are_float32_arrays_and_the_rest_is_shared():
    sweep = optcore.stack([optcore.sgd(0.1, 0.9, True), optcore.sgd(0.2, 0.5, True)])
    assert sweep.arguments["nesterov"] is True
    np.testing.assert_array_equal(sweep.arguments["learning_rate"], np.float32([0.1, 0.2]))
    np.testing.assert_array_equal(sweep.arguments["momentum"], np.float32([0.9, 0.5]))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves(sweep))


def test_one_member_has_an_axis_too():
    sweep = optcore.stack([optcore.sgd(0.1)])
    assert [x.shape for x in jax.tree.leaves(sweep)] == [(1,)]


def test_schedules_stack():
    sweep = optcore.stack([optcore.linear_schedule(0.0, end, 4) for end in (1.0, 2.0)])
    values = jax.vmap(lambda schedule: schedule(2))(sweep)
    np.testing.assert_array_equal(values, [0.5, 1.0])


def test_a_stack_without_vmap_is_refused():
    tx = optcore.stack([optcore.sgd(0.1), optcore.sgd(0.2)])
    with pytest.raises(ValueError, match=r"used under jax\.vmap"):
        tx.update(jnp.ones(3), tx.init(jnp.ones(3)))


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ([], ValueError, "at least one transformation"),
        ([optcore.sgd(0.1), optcore.adam(0.1)], ValueError, "differ only in their numbers"),
        ([optcore.sgd(0.1), optcore.sgd(0.1, 0.9)], ValueError, "differ only in their numbers"),
        (
            [optcore.sgd(0.1, 0.9), optcore.sgd(0.1, 0.9, True)],
            ValueError,
            "differ only in their numbers",
        ),
        ([optcore.sgd(0.1), lambda: None], TypeError, "expected declared transformations"),
    ],
    ids=["none", "makes", "absent", "flags", "undeclared"],
)
def test_refused(members, error, message):
    with pytest.raises(error, match=message):
        optcore.stack(members)
