"""Complex parameters as pairs of real ones, against the pairs themselves and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

import optcore
from tests import oracles


def inner(lib):
    """Something that sees the difference: a norm per leaf, and second moments per element."""
    return lib.chain(
        lib.clip_by_block_rms(0.5),
        lib.scale_by_adam(0.7, 0.6, 0.1),
        lib.add_decayed_weights(0.3),
        lib.scale_by_learning_rate(0.1),
    )


def pairs(tree):
    return {"w": tree["w"], "re": tree["z"].real, "im": tree["z"].imag}


def test_it_is_the_inner_one_on_pairs():
    params, grads = oracles.start(), oracles.gradients(6)
    tx = optcore.split_real_and_imaginary(inner(optcore))
    together = oracles.run(tx, params, grads)
    apart = oracles.run(inner(optcore), pairs(params), map(pairs, grads))
    for got, want in zip(together, apart, strict=True):
        oracles.close(pairs(got), want, pairs(params))
    *_, whole = oracles.run(inner(optcore), params, grads)
    assert np.abs(whole["z"] - got["z"]).max() > 0.01


def test_optax_gives_the_same():
    params, grads = oracles.start(), oracles.gradients(6)
    *_, ours = oracles.run(optcore.split_real_and_imaginary(inner(optcore)), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        theirs = list(oracles.run(contrib.split_real_and_imaginary(inner(optax)), params, grads))
    oracles.close(ours, theirs[-1], params)


def test_no_complex_leaf_reaches_the_inner_one():
    seen = []

    def update(updates, state, params=None, **extra):
        seen.append((updates, params, extra))
        return updates, state

    plain = optcore.GradientTransformation(lambda params: params, update)
    tx = optcore.split_real_and_imaginary(plain)
    params = {"z": jnp.array([1 + 2j]), "w": jnp.array([3.0]), "none": None}
    state = tx.init(params)
    assert not any(jnp.iscomplexobj(x) for x in jax.tree.leaves(state))
    updates, _ = tx.update(
        {"z": jnp.array([5 - 6j]), "w": None, "none": None}, state, params, tag=1
    )
    ((g, p, extra),) = seen
    pair = optcore.compose.SplitRealAndImaginaryArrays
    assert g == {"z": pair(jnp.array([5.0]), jnp.array([-6.0])), "w": None, "none": None}
    assert p == {"z": pair(jnp.array([1.0]), jnp.array([2.0])), "w": params["w"], "none": None}
    assert extra == {"tag": 1}
    assert updates["w"] is None
    np.testing.assert_array_equal(updates["z"], np.complex64([5 - 6j]))


@pytest.mark.parametrize("keep", [True, False])
def test_a_mask_sees_one_leaf(keep):
    tx = optcore.split_real_and_imaginary(
        optcore.add_decayed_weights(0.5, mask={"z": keep, "w": True})
    )
    params = {"z": jnp.array([2 + 4j]), "w": jnp.array([6.0])}
    u, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_array_equal(u["z"], np.complex64([1 + 2j if keep else 0]))
    np.testing.assert_array_equal(u["w"], [3.0])


def test_a_missing_gradient_of_a_complex_parameter():
    tx = optcore.split_real_and_imaginary(optcore.adam(0.1))
    params = oracles.start()
    state = tx.init(params)
    updates, new = tx.update({**params, "z": None}, state, params)
    assert updates["z"] is None
    moments = new.inner[0].mu["z"]
    assert isinstance(moments, optcore.compose.SplitRealAndImaginaryArrays)
    np.testing.assert_array_equal(moments.real, 0)
