"""Trees matched by the paths of their leaves."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore._core import is_none, spread
from tests.clients import load
from tests.named import is_own
from tests.partial import masked

ARRAY = jnp.ones(2)


@jax.tree_util.register_pytree_with_keys_class
class Box:
    """A box around a leaf, like those in which Flax keeps parameters."""

    def __init__(self, value):
        self.value = value

    def tree_flatten_with_keys(self):
        return [(jax.tree_util.GetAttrKey("value"), self.value)], None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


class Layer(NamedTuple):
    kernel: object
    bias: object


PARAMS = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "scale": jnp.ones(())}
BOXED = jax.tree.map(Box, PARAMS)


@pytest.mark.parametrize(("given", "tree"), [
    (jax.tree.map(lambda p: p.ndim, PARAMS), PARAMS),
    (jax.tree.map(lambda p: p.ndim, BOXED), PARAMS),
    (jax.tree.map(lambda p: p.ndim, PARAMS), BOXED),
    (jax.tree.map(lambda p: p.ndim, BOXED), BOXED),
    ({"dense": Layer(2, 1), "scale": 0}, PARAMS),
    ({"dense": {"kernel": 2, "bias": Box(1)}, "scale": Box(0)}, PARAMS),
])  # fmt: skip
def test_leaves_are_found_by_path(given, tree):
    assert spread(given, tree, "the ranks", "ints") == [1, 2, 0]


def test_what_is_known_of_a_subtree_holds_for_all_of_it():
    assert spread({"dense": 7, "scale": Box(0)}, PARAMS, "it", "ints") == [7, 7, 0]
    assert spread({"dense": 7, "scale": Box(0)}, BOXED, "it", "ints") == [7, 7, 0]
    assert spread(7, BOXED, "it", "ints") == [7, 7, 7]


def test_what_is_absent_needs_no_partner():
    ranks = jax.tree.map(lambda p: p.ndim, BOXED)
    assert spread(ranks, {"dense": None, "scale": ARRAY}, "it", "ints") == [None, 0]
    some = {"dense": {"kernel": ARRAY, "bias": None}, "scale": None, "empty": {}}
    assert spread(ranks, some, "it", "ints", is_none) == [1, 2, 0]
    given = {"dense": Layer(2, None), "scale": Box(0), "empty": 5}
    assert spread(given, some, "it", "ints") == [None, 2, 0]


@pytest.mark.parametrize(("given", "problem"), [
    ({"dense": {"kernel": 2}, "scale": 0},
     "it has no entry for 'dense/bias': it has 'dense/kernel', 'scale'"),
    ({"dense": Layer(2, None), "scale": 0}, "it has no entry for 'dense/bias'"),
    ({"dense": 1, "scale": 0, "gate": 3}, "the parameters have no 'gate': the parameters have "
     "'dense/bias', 'dense/kernel', 'scale'"),
    ({"dense": Layer(2, {"deep": 1}), "scale": 0}, "it has no entry for 'dense/bias'"),
    ([1, 2, 3], "it has no entry for 'dense/bias'"),
    ({}, "it has no entry for 'dense/bias': it has no leaves"),
])  # fmt: skip
def test_the_first_path_that_differs_is_named(given, problem):
    with pytest.raises(ValueError, match=r"ranks must be a tree of ints.*A function") as error:
        spread(given, PARAMS, "the ranks", "ints")
    assert problem in str(error.value)


MASK = jax.tree.map(lambda p: p.ndim > 1, PARAMS)
LABELS = jax.tree.map(lambda p: "matrix" if p.ndim > 1 else "vector", PARAMS)
RULES = ("matrix", optcore.sgd(0.1, momentum=0.9)), ("vector", optcore.FREEZE)
MASKED = {
    "adamw": lambda mask: optcore.adamw(0.1, mask=mask, weight_decay=0.5),
    "add_decay_to_init": lambda mask: optcore.transforms.add_decay_to_init(0.5, mask),
    "keep_params_norm": lambda mask: optcore.transforms.keep_params_norm(mask),
    "lars": lambda mask: optcore.lars(0.1, weight_decay=0.5, weight_decay_mask=mask),
    "lars_ratio": lambda mask: optcore.lars(0.1, trust_ratio_mask=mask),
    "scale_to_param_norm": lambda mask: optcore.transforms.scale_to_param_norm(mask=mask),
    "shrink_weights": lambda mask: optcore.transforms.shrink_weights(0.5, mask),
    "stable_adamw": lambda mask: optcore.stable_adamw(0.1, mask=mask, weight_decay=0.5),
}
LABELLED = {
    "monitor": lambda labels: optcore.monitor(optcore.sgd(0.1), groups=labels),
    "route": lambda labels: optcore.route(*RULES, labels=labels),
}
EVERYTHING = [(make, MASK) for make in MASKED.values()] + [
    (make, LABELS) for make in LABELLED.values()
]
IDS = [*MASKED, *LABELLED]


@pytest.mark.parametrize(("make", "tree"), EVERYTHING, ids=IDS)
def test_a_tree_made_of_boxes_is_one_made_of_arrays(make, tree):
    """Of a state of the model, whose boxes `update` does not see."""
    plain, boxed = make(tree), make(jax.tree.map(Box, tree))
    expected, _ = plain.update(PARAMS, plain.init(PARAMS), PARAMS)
    got, _ = boxed.update(PARAMS, boxed.init(PARAMS), PARAMS)
    jax.tree.map(np.testing.assert_array_equal, got, expected)
    assert jax.tree.structure(boxed.init(BOXED)) == jax.tree.structure(plain.init(BOXED))


@pytest.mark.parametrize(("make", "tree"), EVERYTHING, ids=IDS)
def test_a_tree_of_another_model_is_refused_at_init(make, tree):
    with pytest.raises(ValueError, match="has no entry for 'head'"):
        make(tree).init({**PARAMS, "head": ARRAY})
    with pytest.raises(ValueError, match="the parameters have no 'scale'"):
        make(tree).init({"dense": PARAMS["dense"]})


def masks():
    """Every argument of every factory that is a mask."""
    for name, factory in optcore.registry().items():
        for role in factory.roles:
            if is_own(name) and role.endswith("mask"):
                yield pytest.param(factory, role, id=f"{name}-{role}")


@pytest.mark.parametrize(("factory", "role"), list(masks()))
def test_every_mask_is_refused_as_early(factory, role):
    # Where nothing decays the mask has no use.
    decays = (name for name in ("weight_decay", "weight_decay_rate") if name in factory.roles)
    tx = factory.example().replace(**dict.fromkeys(decays, 0.1), **{role: MASK})
    with pytest.raises(ValueError, match="has no entry for 'head'"):
        tx.init({**PARAMS, "head": ARRAY})


def test_a_mask_of_a_models_state():
    nnx = load("flax.nnx")
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    mask = jax.tree.map(lambda p: p.ndim > 1, nnx.state(model, nnx.Param))
    optimizer = nnx.Optimizer(model, optcore.adamw(0.0, mask=mask), wrt=nnx.Param)
    before = model.kernel[...]
    grads = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
    optimizer.update(model, grads)
    np.testing.assert_array_equal(model.kernel[...], before)
    frozen = optcore.route(
        ("frozen", optcore.FREEZE),
        ("trained", optcore.sgd(1.0)),
        labels=jax.tree.map(lambda f: "frozen" if f else "trained", mask),
    )
    optimizer = nnx.Optimizer(model, frozen, wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.ones_like, grads))
    np.testing.assert_array_equal(model.kernel[...], before)
    np.testing.assert_array_equal(model.bias[...], [-1.0])


def test_a_mask_in_a_group_is_of_all_parameters():
    tx = optcore.route(("dense/*", optcore.adamw(0.1, mask=MASK)), ("*", optcore.FREEZE))
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS)
    assert float(updates["scale"]) == 0.0


def loss(params):
    return jnp.sum(jnp.array([1.0, 10.0]) * (params["a"] - 0.1 * params["b"]) ** 2)


START = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0)}


@pytest.mark.parametrize("tx", [
    optcore.route(("a", optax.lbfgs()), ("b", optcore.FREEZE)),
    optcore.route(("*", optcore.route(("a", optax.lbfgs()), ("b", optcore.FREEZE)))),
    optcore.route(("x", optax.lbfgs()), ("y", optcore.FREEZE), labels={"a": "x", "b": "y"}),
    optcore.chain(masked(optax.lbfgs(), {"a": True, "b": False}),
                  masked(optcore.FREEZE, {"a": False, "b": True})),
], ids=["route", "nested", "labels", "masked"])  # fmt: skip
@pytest.mark.sample(1)
def test_a_line_search_in_a_group_is_one_of_its_parameters(tx):
    def walk(tx, params, loss):
        state = tx.init(params)
        for _ in range(3):
            value, grads = jax.value_and_grad(loss)(params)
            extra = {"value": value, "grad": grads, "value_fn": loss}
            updates, state = tx.update(grads, state, params, **extra)
            params = optcore.apply_updates(params, updates)
            yield params

    alone = walk(optax.lbfgs(), START["a"], lambda a: loss({**START, "a": a}))
    for got, expected in zip(walk(tx, START, loss), alone, strict=True):
        np.testing.assert_allclose(got["a"], expected, rtol=1e-5, atol=1e-6)
        assert float(got["b"]) == 3.0


def noting(seen):
    def update(updates, state, params=None, **extra):
        seen.append(extra)
        return updates, state

    return optcore.GradientTransformation(lambda params: (), update)


def test_trees_and_functions_of_all_parameters_are_those_of_the_group():
    seen = []
    tx = optcore.route(("a", noting(seen)), ("b", optcore.FREEZE))
    extra = {
        "grad": {"a": Box(1.0), "b": Box(2.0)},
        "previous": START,
        "value": jnp.float32(1.0),
        "other": {"c": 1.0},
        "obj_fn": lambda params, scale=1.0: scale * params["b"],
        "grad_fn": lambda params, step: {"a": params["a"] + step, "b": params["b"]},
    }
    tx.update(START, tx.init(START), START, **extra)
    (got,) = seen
    assert got["grad"]["a"].value == 1.0
    assert got["grad"]["b"].value is None
    assert got["previous"]["b"] is None
    assert float(got["value"]) == 1.0
    assert got["other"] == {"c": 1.0}
    own = {"a": 2 * START["a"], "b": None}
    assert float(got["obj_fn"](own, scale=2.0)) == 6.0
    there = got["grad_fn"](own, 1)
    np.testing.assert_array_equal(there["a"], 2 * START["a"] + 1)
    assert there["b"] is None


def test_a_gradient_of_something_else_is_refused():
    tx = optcore.route(("a", noting([])), ("b", optcore.FREEZE))
    with pytest.raises(ValueError, match="route: 'grad' must be a tree like the parameters"):
        tx.update(START, tx.init(START), START, grad=(jnp.ones(2), jnp.ones(2), jnp.ones(2)))


def test_a_number_is_no_tree_of_one_parameter():
    seen = []
    tx = optcore.route(("*", noting(seen)))
    w = jnp.float32(1.0)
    tx.update(w, tx.init(w), w, value=jnp.float32(5.0), grad=w)
    assert (float(seen[0]["value"]), float(seen[0]["grad"])) == (5.0, 1.0)
