"""A scan over the parts of a batch: equal to the whole, in values, gradients and memory."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optcore

pytestmark = pytest.mark.usefixtures("broadcasting")

RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(3, 2)).astype(np.float32), "b": np.zeros(2, np.float32)}
BATCH = {
    "x": RNG.normal(size=(12, 3)).astype(np.float32),
    "y": RNG.normal(size=(12, 2)).astype(np.float32),
    "mask": (np.arange(12) % 5 != 2).astype(np.float32),
}


def errors(params, batch):
    return jnp.sum((batch["x"] @ params["w"] + params["b"] - batch["y"]) ** 2, axis=1)


def loss(params, batch):
    return jnp.mean(errors(params, batch))


def masked_loss(params, batch):
    return jnp.sum(batch["mask"] * errors(params, batch)) / jnp.sum(batch["mask"])


def assert_equal(got, wanted):
    chex.assert_trees_all_close(got, wanted, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("k", [1, 2, 3, 12])
def test_the_big_batch(k):
    whole = jax.value_and_grad(loss)(PARAMS, BATCH)
    assert_equal(jax.jit(optcore.microbatch(jax.value_and_grad(loss), k))(PARAMS, BATCH), whole)


def test_weighted_by_what_is_not_masked():
    """Parts with other numbers of examples, also with none at all."""
    function = jax.value_and_grad(masked_loss)
    parts = optcore.microbatch(function, 4, weight=lambda params, batch: batch["mask"].sum())
    assert_equal(parts(PARAMS, BATCH), function(PARAMS, BATCH))
    unweighted, _ = optcore.microbatch(function, 4)(PARAMS, BATCH)
    assert abs(unweighted - function(PARAMS, BATCH)[0]) > 1e-3


def test_aux_is_stacked_in_order():
    def with_aux(params, batch):
        return loss(params, batch), {"errors": errors(params, batch), "one": jnp.ones(())}

    function = jax.value_and_grad(with_aux, has_aux=True)
    (value, aux), grads = optcore.microbatch(function, 3, has_aux=True)(PARAMS, BATCH)
    assert_equal((value, grads), jax.value_and_grad(loss)(PARAMS, BATCH))
    assert aux["one"].shape == (3,)
    for i in range(3):
        part = jax.tree.map(lambda x, i=i: x[i::3], BATCH)
        np.testing.assert_allclose(aux["errors"][i], errors(PARAMS, part), rtol=1e-6)


def test_which_arguments_are_the_batch():
    def three(x, params, y, *, scale):
        return scale * loss(params, {"x": x, "y": y})

    function = jax.value_and_grad(three, argnums=1)
    arguments = (BATCH["x"], PARAMS, BATCH["y"])
    for argnums in ((0, 2), [0, -1]):
        parts = optcore.microbatch(function, 4, batch_argnums=argnums)
        assert_equal(parts(*arguments, scale=3.0), function(*arguments, scale=3.0))


def test_low_precision_is_accumulated_in_float32():
    params = jnp.zeros((), jnp.float16)
    xs = jnp.array([60000.0, 60000.0, 60000.0, 1.0], jnp.float16)
    _, grad = optcore.microbatch(jax.value_and_grad(lambda p, x: jnp.mean(p * x)), 4)(params, xs)
    assert grad.dtype == jnp.float32
    assert grad == pytest.approx(45000.25, rel=1e-6)


def test_a_scaled_loss_and_a_step():
    tx = optcore.dynamic_loss_scale(optcore.guard(optcore.adam(0.1)), 16.0)
    scaled = optcore.scaled_value_and_grad(loss)
    state = tx.init(PARAMS)
    _, grads = optcore.microbatch(scaled, 3, batch_argnums=2)(state, PARAMS, BATCH)
    updates, _ = tx.update(grads, state, PARAMS)
    plain = optcore.adam(0.1)
    wanted, _ = plain.update(jax.grad(loss)(PARAMS, BATCH), plain.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(updates, wanted, rtol=1e-4)


def test_one_bad_part_makes_the_mean_bad():
    batch = {**BATCH, "x": BATCH["x"].copy()}
    batch["x"][1] = np.nan
    value, grads = optcore.microbatch(jax.value_and_grad(loss), 3)(PARAMS, batch)
    assert np.isnan(value)
    assert np.isnan(grads["w"]).all()


def test_integers_and_none_among_the_parameters():
    params = {"w": jnp.ones(2), "n": jnp.int32(3), "nothing": None}

    def function(params, x):
        grad = jax.value_and_grad(
            lambda p: jnp.mean(p["w"].sum() * x) * p["n"].astype(jnp.float32), allow_int=True
        )
        return grad(params)

    _, grads = optcore.microbatch(function, 2)(params, jnp.arange(4.0))
    np.testing.assert_allclose(grads["w"], 4.5)
    assert grads["n"] is None
    assert grads["nothing"] is None


def test_the_model_is_traced_once():
    calls = []

    def counted(params, batch):
        calls.append(1)
        return loss(params, batch)

    jax.jit(optcore.microbatch(jax.value_and_grad(counted), 4))(PARAMS, BATCH)
    assert len(calls) == 1


def test_a_batch_that_is_spread_stays_where_it_is():
    mesh = Mesh(np.array(jax.devices()[:4]), ("d",))
    spread = NamedSharding(mesh, PartitionSpec("d"))
    batch = jax.tree.map(lambda x: jax.device_put(np.repeat(x, 4, 0), spread), BATCH)
    parts = jax.jit(optcore.microbatch(jax.value_and_grad(loss), 3))
    assert_equal(parts(PARAMS, batch), jax.value_and_grad(loss)(PARAMS, BATCH))
    text = parts.lower(PARAMS, batch).compile().as_text()
    assert "all-to-all" not in text
    assert "collective-permute" not in text
    assert "all-gather" not in text


@pytest.mark.parametrize("k", [0, 2.0, True])
def test_impossible_numbers_of_parts(k):
    with pytest.raises(ValueError, match="microbatch: k must be an int of at least 1"):
        optcore.microbatch(jax.value_and_grad(loss), k)


def test_batches_that_cannot_be_divided():
    parts = optcore.microbatch(jax.value_and_grad(loss), 5)
    with pytest.raises(ValueError, match=r"the first axis of 'mask' .* multiple of 5, got .*12"):
        parts(PARAMS, BATCH)
    with pytest.raises(ValueError, match=r"the first axis of '\(the tree itself\)' .* shape \(\)"):
        parts(PARAMS, 3.0)
    with pytest.raises(ValueError, match="argument 1 is the batch, got 1 by position"):
        parts(PARAMS)


@pytest.mark.parametrize(
    ("function", "has_aux", "pattern"),
    [
        (jax.grad(loss), False, r"must return \(value, grads\), .* got an object of type dict"),
        (
            jax.value_and_grad(loss),
            True,
            r"return \(\(value, aux\), grads\), .* got float32",
        ),
        (
            jax.value_and_grad(lambda p, b: (loss(p, b), {"n": len(b["y"])}), has_aux=True),
            False,
            "the value must be floating-point, .* at '1/n'; .* has_aux=True",
        ),
    ],
    ids=["gradients alone", "no aux", "aux for a value"],
)
def test_other_results_are_named(function, has_aux, pattern):
    with pytest.raises(TypeError, match=f"microbatch: .*{pattern}"):
        optcore.microbatch(function, 3, has_aux=has_aux)(PARAMS, BATCH)
