"""`strict`: no extra argument without a taker."""

import jax
import jax.numpy as jnp
import optax
import pytest

import optcore

PARAMS = jnp.ones(2)


def updated(tx, **extra):
    return tx.update(PARAMS, tx.init(PARAMS), PARAMS, **extra)


def test_what_is_taken_passes():
    tx = optcore.strict(optcore.chain(optcore.sgd(0.5), optcore.reduce_on_plateau()))
    assert updated(tx, value=1.0)[0].tolist() == [-0.5, -0.5]
    updated(optcore.strict(optcore.sam(optcore.sgd(0.1))), grad_fn=lambda params, _: params)


@pytest.mark.parametrize(
    ("inner", "extra", "pattern"),
    [
        (optcore.sgd(0.1), {"loss": 1.0}, "nothing in it takes 'loss'; it takes none"),
        (optcore.polyak_sgd(), {"value": 1.0, "key": 2}, "nothing in it takes 'key'"),
        (
            optcore.skip_on_spike(optcore.sgd(0.1)),
            {"value": 1.0},
            "nothing in it takes 'value'; it takes none",
        ),
        (optcore.polyak_sgd(), {"value": 1.0, "value_fn": 1.0}, "did you mean 'value'"),
    ],
    ids=str,
)
def test_what_nothing_takes_is_refused(inner, extra, pattern):
    updated(inner, **extra)
    with pytest.raises(TypeError, match=pattern):
        updated(optcore.strict(inner), **extra)


def test_it_is_found_while_tracing():
    tx = optcore.strict(optcore.sgd(0.1))
    state = tx.init(PARAMS)
    with pytest.raises(TypeError, match="takes 'loss'"):
        jax.eval_shape(lambda v: tx.update(PARAMS, state, loss=v), jnp.float32(1.0))


def test_inside_a_chain_it_refuses_what_is_for_its_neighbours():
    tx = optcore.chain(optcore.strict(optcore.sgd(0.1)), optcore.reduce_on_plateau())
    with pytest.raises(TypeError, match="takes 'value'"):
        updated(tx, value=1.0)


def test_of_other_libraries_it_knows_the_signature():
    tx = optcore.strict(optax.contrib.reduce_on_plateau())
    with jax.numpy_dtype_promotion("standard"):
        updated(tx, value=1.0, anything=2.0)
    plain = optax.GradientTransformation(lambda p: optax.EmptyState(), lambda u, s, p=None: (u, s))
    updated(plain)
    with pytest.raises(TypeError, match="takes 'value'; it takes none"):
        updated(optcore.strict(plain), value=1.0)


def test_the_state_is_that_of_the_inner():
    tx = optcore.adam(0.1)
    strict = optcore.strict(tx)
    assert jax.tree.structure(strict.init(PARAMS)) == jax.tree.structure(tx.init(PARAMS))
    assert strict.update(PARAMS, tx.init(PARAMS))[0].tolist() == updated(tx)[0].tolist()
