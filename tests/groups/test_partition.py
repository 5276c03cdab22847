"""A transformation for each label."""

import enum

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore import partition, selective_transform
from tests import oracles

PARAMS = {"w": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}, "z": jnp.ones(3)}
GRADS = jax.tree.map(lambda p: 3 * p, PARAMS)


def by_name(tree):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key, tree)


def bytes_of(state):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))


@pytest.mark.parametrize("name", ["partition", "multi_transform"])
@pytest.mark.parametrize("labels", [by_name, {"w": {"kernel": "kernel", "bias": "bias"}, "z": "z"}])
@pytest.mark.filterwarnings("ignore:optax:DeprecationWarning")
def test_like_optax(name, labels):
    def made(lib):
        inner = {"kernel": lib.sgd(0.1, 0.9), "bias": lib.lion(0.2), "z": lib.set_to_zero()}
        return getattr(lib, name)(inner, labels)

    with jax.numpy_dtype_promotion("standard"):
        (*_, ours), (*_, theirs) = (
            oracles.run(made(lib), oracles.single(PARAMS), [oracles.single(GRADS)] * 4)
            for lib in (optcore, optax)
        )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), ours, theirs)
    assert ours["z"].tolist() == [1.0, 1.0, 1.0]


def test_the_state_has_optax_names():
    tx = partition({"a": optcore.trace(0.5), "b": optcore.set_to_zero()}, {"w": "a", "z": "b"})
    state = tx.init(PARAMS)
    assert type(state) is optcore.PartitionState
    assert state.inner_states["a"].inner_state.trace["z"] is None
    assert state.inner_states["b"] == optcore.MaskedState(optcore.EmptyState())


def test_labels_and_transformations_must_meet():
    rates = {"fast": optcore.sgd(1.0), "slow": optcore.sgd(0.1)}
    tx = partition(rates, {"w": "fast", "z": "slwo"})
    with pytest.raises(ValueError, match=r"'z' has the label 'slwo'.*did you mean 'slow'"):
        tx.init(PARAMS)
    tx = partition(rates, "fast")
    with pytest.raises(ValueError, match=r"no parameter has the label 'slow'.*have 'fast'"):
        tx.init(PARAMS)
    with pytest.raises(ValueError, match="partition: the labels must be a tree with the structure"):
        partition({"fast": optcore.sgd(1.0)}, {"w": "fast"}).init(PARAMS)
    with pytest.raises(TypeError, match="transforms must be a mapping"):
        partition([optcore.sgd(1.0)], "fast")


def test_scheduled_values_of_many_labels_are_told_apart():
    """States in a dict are sorted as its keys are: 2 comes before 10."""
    rates = {i: optcore.scale(lambda count, i=i: float(i)) for i in (10, 2, 0)}
    tx = partition(rates, {"w": {"kernel": 10, "bias": 2}, "z": 0})
    _, state = jax.jit(tx.update)(GRADS, tx.init(PARAMS), PARAMS)
    for i in rates:
        assert float(optcore.read(tx, state, f"transforms.{i}.step_size")) == i


def test_extra_arguments_like_the_parameters():
    seen = {}

    def noting(name):
        def update(updates, state, params=None, **extra):
            seen[name] = extra["tags"]
            return updates, state

        return optcore.GradientTransformation(lambda params: (), update)

    labels = {"w": "a", "z": "b"}
    tx = partition({n: noting(n) for n in "ab"}, labels, mask_compatible_extra_args=True)
    tx.update(GRADS, tx.init(PARAMS), PARAMS, tags=PARAMS)
    assert seen["a"]["z"] is None
    assert seen["b"] == {"w": {"kernel": None, "bias": None}, "z": PARAMS["z"]}


@pytest.mark.parametrize("mask", [{"w": True, "z": False}, {"w": False, "z": False}, True])
def test_selective_transform(mask):
    """Frozen: no state, no decay, exact zeros for a gradient that is NaN."""
    tx = selective_transform(optcore.adamw(0.1, weight_decay=0.5), freeze_mask=mask)
    frozen = mask if mask is True else mask["w"]
    grads = {**GRADS, "w": jax.tree.map(lambda g: g * jnp.nan, GRADS["w"])} if frozen else GRADS
    state = tx.init(PARAMS)
    updates, state = tx.update(grads, state, PARAMS)
    for update in jax.tree.leaves(updates["w"]):
        assert np.any(update) != frozen
        assert np.all(np.isfinite(update))
    trained = [] if mask is True else PARAMS["z"] if frozen else PARAMS
    assert bytes_of(state) == bytes_of(optcore.adamw(0.1).init(trained))
    assert np.any(updates["z"]) == (mask is not True)
    assert set(state.inner_states) == {"train", "freeze"}


def test_labels_that_cannot_be_sorted():
    class Speed(enum.Enum):
        SLOW = 1
        FAST = 2

    class Name(enum.StrEnum):
        SLOW = "slow"
        FAST = "fast"

    rates = optcore.sgd(0.1), optcore.sgd(0.2)
    for labels in ((0, "y"), tuple(Speed)):
        with pytest.raises(TypeError, match=r"partition: the labels are keys .* sort; got"):
            partition(dict(zip(labels, rates, strict=True)), {"w": labels[0], "z": labels[1]})
    tx = partition(dict(zip(Name, rates, strict=True)), {"w": Name.SLOW, "z": Name.FAST})
    updates, _ = jax.jit(tx.update)(GRADS, tx.init(PARAMS), PARAMS)
    assert jnp.allclose(updates["z"], -0.2 * GRADS["z"])
