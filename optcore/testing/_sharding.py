"""Checks on a mesh of devices: where states are made, and that they stay there."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from .._core import ExplainedError, contents_of, is_declared, walk
from ..sharding import init_sharded, state_shardings
from ._collectives import collectives, collectives_in_loops
from ._subject import (
    Subject,
    assert_close,
    assert_finite,
    assert_same_types,
    gradients,
    sample,
    training_step,
)


def check_state_lies_on_the_mesh(subject: Subject) -> None:
    """A state is made where `state_shardings` says, and two steps of one compilation keep it there.

    By `init_sharded` and by an eager `init`, on a mesh of automatic and of explicit axes. The
    devices wait for each other as often as the transformation declares, and in no loop.
    """
    for params in _on_meshes():
        expected = state_shardings(subject.tx, params)
        made = init_sharded(subject.tx, params)
        _assert_placed(made, expected, f"{subject.name}: init_sharded")
        state = subject.tx.init(params)
        _assert_placed(state, expected, f"{subject.name}: init")
        sharding = jax.tree.map(lambda p: p.sharding, params)
        grads = jax.device_put(gradients(jax.tree.map(np.asarray, params), 0), sharding)
        step = jax.jit(training_step(subject), donate_argnums=(1, 2))
        compiled = step.lower(grads, state, params).compile()
        for _ in range(2):
            # What is compiled refuses arrays that lie elsewhere than those it was compiled for.
            params, state = compiled(grads, state, params)
        _assert_placed(state, expected, f"{subject.name}: after two steps")
        if subject.declared:
            _assert_few_collectives(subject, compiled.as_text() or "")


def _assert_few_collectives(subject: Subject, text: str) -> None:
    """Sums over parts along one set of mesh axes, of which there are two, are one operation."""
    found, declared = collectives(text), contents_of(subject.tx).all_reduces
    assert found.get("all-reduce", 0) <= 2 * declared, (
        f"{subject.name}: {found} in one update, declared are {declared} all-reduces in a row: "
        "say all_reduces= in @transformation(...)"
    )
    looped = collectives_in_loops(text)
    assert not looped, f"{subject.name}: {looped} in a loop"


def check_shard_map_equals_single(subject: Subject) -> None:
    """Inside `shard_map` two steps equal those without it, with whole and with cut parameters.

    What needs the whole of an array that is cut may refuse it, by name. Random numbers of the
    parts are others than those of the whole, and so are the blocks of quantised states.
    """
    count = len(jax.devices())
    mesh = jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,))
    params = {
        "w": sample((2 * count, 3), 1),
        "v": sample((2 * count,), 2),
        "b": sample((3,), 3),
        "s": sample((), 4),
    }
    grads = gradients(params, 0)
    expected = jax.jit(functools.partial(_two_steps, subject))(
        grads, subject.tx.init(params), params
    )
    specs = {"w": ("data",), "v": ("data",), "b": (), "s": ()}
    for cut in (False, True):
        spec = {n: PartitionSpec(*(own if cut else ())) for n, own in specs.items()}
        placed = {n: jax.device_put(p, NamedSharding(mesh, spec[n])) for n, p in params.items()}
        states = jax.tree.map(lambda s: s.spec, state_shardings(subject.tx, placed))
        for inside in (False, True):
            what = f"{subject.name}: {'parts of' if cut else 'whole'} parameters in shard_map"
            try:
                got = _in_shard_map(subject, mesh, spec, states, grads, placed, init=inside)
            except ExplainedError as error:
                if cut and "a device holds a part" in str(error):
                    continue
                raise
            if cut and _differs_by_part(subject):
                assert_finite(got, what)
            else:
                # Sums are taken in another order.
                assert_close(got[0], expected[0], 1e-5, what)
                assert_same_types(got[1], expected[1], what)


def _two_steps(subject: Subject, grads: Any, state: Any, params: Any) -> Any:
    """Parameters and state after two steps in a scan, which must keep their types."""

    def body(carry: Any, _: None) -> Any:
        params, state = carry
        return training_step(subject)(grads, state, params), None

    return jax.lax.scan(body, (params, state), length=2)[0]


def _in_shard_map(
    subject: Subject, mesh: Any, spec: Any, states: Any, grads: Any, params: Any, init: bool
) -> Any:
    """With the state made outside, or inside."""

    def steps(grads: Any, state: Any, params: Any) -> Any:
        state = subject.tx.init(params) if init else state
        return _two_steps(subject, grads, state, params)

    inside = jax.shard_map(
        steps, mesh=mesh, in_specs=(spec, states, spec), out_specs=(spec, states)
    )
    return jax.jit(inside)(grads, init_sharded(subject.tx, params), params)


def _differs_by_part(subject: Subject) -> bool:
    parts = [part.value for part in walk(subject.tx) if is_declared(part.value)]
    facts = [part.declaration.factory for part in parts]
    random = any(role.kind == "key" for f in facts for role in f.roles.values())
    return random or "key" in subject.extra or any(f.name == "store" for f in facts)


def _on_meshes() -> Iterator[Any]:
    """Parameters on two axes of a mesh, automatic ones and explicit ones."""
    count = len(jax.devices())
    shape = (count // 2, 2) if count % 2 == 0 else (count, 1)
    specs = {"w": ("data", "model"), "b": ("model",), "s": ()}
    for kind in (AxisType.Auto, AxisType.Explicit):
        values = {"w": sample((2 * count, 8), 1), "b": sample((8,), 2), "s": sample((), 3)}
        mesh = jax.make_mesh(shape, ("data", "model"), axis_types=(kind, kind))
        yield {
            name: jax.device_put(value, NamedSharding(mesh, PartitionSpec(*specs[name])))
            for name, value in values.items()
        }


def _assert_placed(state: Any, expected: Any, what: str) -> None:
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    for (path, x), sharding in zip(leaves, jax.tree.leaves(expected), strict=True):
        assert x.sharding.is_equivalent_to(sharding, x.ndim), (
            f"{what} at {jax.tree_util.keystr(path)}: expected {sharding.spec}, got {x.sharding}"
        )


CHECKS = [check_state_lies_on_the_mesh, check_shard_map_equals_single]
