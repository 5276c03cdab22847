"""The one walk through the parts of what is declared, and the record of a structure."""

import jax
import jax.numpy as jnp
import optax
import pytest

import optcore
from optcore._core import contents_of, walk
from optcore._core._structure import structure_of

RATE = optcore.linear_schedule(0.1, 0.0, 5)


def paths(tx):
    return [(part.path, getattr(part.value, "declaration", None) is not None) for part in walk(tx)]


def test_parts_have_paths_in_the_order_of_the_states():
    tx = optcore.named_chain(
        ("z", optcore.scale(RATE)),
        ("a", optcore.route(("w", optcore.adam(0.1)), ("*", optcore.FREEZE))),
    )
    assert paths(tx) == [
        ("", True), ("a", True), ("a.w", True), ("a.*", True), ("z", True),
        ("z.step_size", True),
    ]  # fmt: skip
    (freeze,) = [part for part in walk(tx) if part.path == "a.*"]
    assert freeze.role.where == "route: rules"
    assert freeze.is_transformation
    (rate,) = [part for part in walk(tx) if part.path == "z.step_size"]
    assert rate.value == RATE
    assert not rate.is_transformation


def test_a_pair_of_another_library_is_one_part():
    tx = optcore.chain(optax.chain(optax.clip(1.0), optax.sgd(0.1)), optcore.scale(0.5))
    assert paths(tx) == [("", True), ("transforms.0", False), ("transforms.1", True)]
    assert paths(optax.sgd(0.1)) == [("", False)]


def test_structures_that_differ_in_numbers_share_one_record():
    first, second = optcore.adamw(0.1), optcore.adamw(0.2, b1=0.5)
    assert first.declaration.structure is second.declaration.structure
    assert (
        first.declaration.structure is not optcore.adamw(0.1, nesterov=True).declaration.structure
    )
    assert first.declaration.structure is structure_of(jax.tree.structure(first))


def test_the_record():
    known = optcore.sgd(0.1).declaration.structure
    assert known.pure
    assert not known.per_example
    assert not optcore.sgd(lambda count: 0.1).declaration.structure.pure
    assert not optcore.chain(optax.sgd(0.1)).declaration.structure.pure
    mask = {"w": True}
    assert optcore.adamw(0.1, mask=mask).declaration.structure.pure
    assert not optcore.adamw(0.1, mask=lambda params: mask).declaration.structure.pure
    key = jax.random.key(0)
    private = optcore.dpsgd(0.1, 1.0, 0.1, key=key)
    assert optcore.chain(private).declaration.structure.per_example
    skeleton = optcore.sgd(RATE, momentum=0.9).declaration.structure.skeleton
    assert jax.tree.leaves(skeleton)[0] == jax.ShapeDtypeStruct((), jnp.int32)


def test_a_schedule_in_a_static_argument_is_looked_into():
    """It is compared by value only if nothing in it is a plain function."""

    @optcore.transformation("transform", example={"f": RATE})
    def odd(f: object) -> optcore.GradientTransformation:
        return optcore.scale(1.0)

    plain = optcore.join_schedules([lambda count: 0.1, RATE], [3])
    assert odd(RATE).declaration.structure.pure
    assert not odd(plain).declaration.structure.pure


def test_contents():
    found = contents_of(optcore.chain(optcore.sgd(RATE), optcore.reduce_on_plateau()))
    assert found.holders == [{"learning_rate": "transforms.0.learning_rate"}]
    assert found.takes == {"value"}
    assert not found.open
    assert contents_of(optax.contrib.reduce_on_plateau()).takes == {"value"}


@pytest.mark.parametrize("tx", [optcore.adamw(0.1), optcore.chain(optcore.sgd(RATE))])
def test_an_eager_call_flattens_the_transformation_once(tx, monkeypatch):
    params = jnp.ones(2)
    state = tx.init(params)
    # Of other tests' numbers more may be known than are compiled at the first call.
    for _ in range(3):
        tx.update(params, state, params)
    calls = []
    flatten = jax.tree.flatten

    def counted(tree, *args, **kwargs):
        if isinstance(tree, optcore.DeclaredTransformation):
            calls.append(tree)
        return flatten(tree, *args, **kwargs)

    fresh = tx.replace()
    monkeypatch.setattr(jax.tree, "flatten", counted)
    fresh.update(params, state, params)
    monkeypatch.undo()
    assert calls == [fresh]
