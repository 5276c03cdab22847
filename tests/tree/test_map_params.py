"""The parts of a state that are like the parameters."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec

import optcore
from optcore import tree
from tests.partial import masked

PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(3), "step": jnp.int32(0)}
SPECS = {"w": PartitionSpec("x", None), "b": PartitionSpec(None), "step": PartitionSpec()}
ADAM, FREEZE = optcore.adam(0.1), optcore.FREEZE
OPTIMIZERS = optcore.registry("optimizer")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_specs_for_its_state(name):
    tx = OPTIMIZERS[name].example()
    state = tx.init(PARAMS)
    specs = tree.map_params(
        tx, lambda x, spec: spec, state, SPECS, transform_non_params=lambda x: PartitionSpec()
    )
    assert jax.tree.structure(specs) == jax.tree.structure(state)
    assert all(isinstance(spec, PartitionSpec) for spec in jax.tree.leaves(specs))


def test_it_is_optax():
    tx = optcore.adam(0.1)
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    state = tx.init(params)

    def double(x, p=1.0):
        return x + 2 * p

    for rest in ((), (params,)):
        got = tree.map_params(tx, double, state, *rest)
        expected = optax.tree_utils.tree_map_params(tx, double, state, *rest)
        assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), got, expected))
    assert int(got[0].count) == 0
    assert tree.map_params(tx.init, double, state)[0].mu["b"].tolist() == [2.0, 2.0, 2.0]


def test_through_wrappers():
    tx = optcore.inject(optcore.chain(optcore.clip(1.0), optcore.adam(0.1)))
    names = tree.map_params(
        tx,
        lambda x, n: n,
        tx.init(PARAMS),
        dict.fromkeys(PARAMS, "like"),
        transform_non_params=lambda x: "other",
    )
    assert tree.find(names, optcore.optimizers.ScaleByAdamState).mu == {
        "w": "like",
        "b": "like",
        "step": None,
    }
    assert set(names.hyperparams.values()) == {"other"}


GROUPED = {
    "route": optcore.route(
        ("w", optcore.adam(0.1)), (optcore.has_ndim(1), optcore.sgd(0.1, 0.9)), ("step", FREEZE)
    ),
    "frozen": optcore.route(("w", optcore.adam(0.1)), ("*", FREEZE)),
    "nested": optcore.route(("w", optcore.guard(optcore.route(("*", ADAM)))), ("*", FREEZE)),
    "labels": optcore.route(
        ("a", optcore.adam(0.1)),
        ("b", optcore.adam(0.2)),
        labels={"w": "a", "b": "b", "step": "b"},
    ),
    "masked": masked(optcore.trace(0.9), {"w": True, "b": False, "step": False}),
}


@pytest.mark.parametrize("tx", GROUPED.values(), ids=GROUPED)
def test_groups(tx):
    """Each part of the state belongs to the parameters of its group; the others have none."""
    state = tx.init(PARAMS)
    names = tree.map_params(
        tx, lambda x, n: n, state, {k: k for k in PARAMS}, transform_non_params=lambda x: "other"
    )
    assert jax.tree.structure(names) == jax.tree.structure(state)
    shapes = {(2, 3): "w", (3,): "b", (): "other"}
    for name, leaf in zip(jax.tree.leaves(names), jax.tree.leaves(state), strict=True):
        assert name == shapes[leaf.shape]
    assert "w" in jax.tree.leaves(names)


def test_what_has_to_see_the_parameters_is_named():
    def looking(params):
        return optcore.EmptyState() if params["w"].ndim else None

    with pytest.raises(
        TypeError, match="needs an init that works without the leaves of the parameters"
    ):
        tree.map_params(looking, jnp.zeros_like, optcore.EmptyState())
    with pytest.raises(TypeError, match="expected a transformation or its init, got 3"):
        tree.map_params(3, jnp.zeros_like, optcore.EmptyState())
