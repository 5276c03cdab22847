"""Checks on a mesh of devices: states are made in the right place and stay there."""

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
    """A state is made where `state_shardings` places it, and two compiled steps keep it there.

    This is checked for `init_sharded` and an eager `init`, on meshes of automatic and of explicit
    axes. The steps equal those on one device, donated arrays are deleted, and the number of
    collectives is the declared one, with none in a loop.
    """
    values = _values()
    step = training_step(subject)
    grads = gradients(values, 0)
    alone = jax.jit(step)
    expected = alone(grads, *reversed(alone(grads, subject.tx.init(values), values)))[0]
    for params in _on_meshes(values):
        where = state_shardings(subject.tx, params)
        made = init_sharded(subject.tx, params)
        _assert_placed(made, where, f"{subject.name}: init_sharded")
        state = subject.tx.init(params)
        _assert_placed(state, where, f"{subject.name}: init")
        sharding = jax.tree.map(lambda p: p.sharding, params)
        placed = jax.device_put(grads, sharding)
        compiled = jax.jit(step, donate_argnums=(1, 2)).lower(placed, state, params).compile()
        for _ in range(2):
            # Unused arrays, like an old flag, are not deleted.
            given = [x for x in jax.tree.leaves((params, state)) if x.size > 1]
            # A compiled function refuses arrays with other shardings than those it was compiled
            # for.
            params, state = compiled(placed, state, params)
            assert all(x.is_deleted() for x in given), f"{subject.name}: donated, not deleted"
        _assert_placed(state, where, f"{subject.name}: after two steps")
        # Sums are computed in a different order.
        assert_close(params, expected, 1e-5, f"{subject.name}: on a mesh")
        if subject.declared and contents_of(subject.tx).all_reduces is not None:
            _assert_few_collectives(subject, compiled.as_text() or "")


def check_state_may_be_cut_further(subject: Subject) -> None:
    """With `zero` a step equals that on one device, on a mesh of explicit axes."""
    values = _values()
    grads = gradients(values, 0)
    step = training_step(subject)
    expected, _ = jax.jit(step)(grads, subject.tx.init(values), values)
    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Explicit,))
    copied = NamedSharding(mesh, PartitionSpec())
    params, grads = jax.device_put((values, grads), copied)
    where = state_shardings(subject.tx, params, zero="data")
    state = init_sharded(subject.tx, params, zero="data")
    out = jax.tree.map(lambda _: copied, params), where
    got, state = jax.jit(step, out_shardings=out)(grads, state, params)
    _assert_placed(state, where, f"{subject.name}: cut further")
    assert_close(got, expected, 1e-5, f"{subject.name}: cut further")


def _assert_few_collectives(subject: Subject, text: str) -> None:
    """Sums over parts along the same set of mesh axes, of which there are two, are combined."""
    found, declared = collectives(text), contents_of(subject.tx).all_reduces or 0
    assert found.get("all-reduce", 0) <= 2 * declared, (
        f"{subject.name}: {found} in one update, declared are {declared} all-reduces in a row: "
        "declare all_reduces= in @transformation(...)"
    )
    others = found.keys() - {"all-reduce"}
    assert not others or contents_of(subject.tx).whole, f"{subject.name}: {found} in one update"
    looped = collectives_in_loops(text)
    assert not looped, f"{subject.name}: {looped} in a loop"


def check_shard_map_equals_single(subject: Subject) -> None:
    """Two steps inside `shard_map` equal those outside, with whole and with cut parameters.

    Transformations declared `whole` refuse parts, and others do not. Parts have different random
    numbers than the whole, and different blocks of quantised states.
    """
    count = len(jax.devices())
    mesh = jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,))
    params = {
        "w": sample((2 * count, 3), 1),
        "v": sample((2 * count,), 2),
        "rows": sample((count, 2), 5),
        "b": sample((3,), 3),
        "s": sample((), 4),
    }
    grads = gradients(params, 0)
    expected = jax.jit(functools.partial(_two_steps, subject))(
        grads, subject.tx.init(params), params
    )
    needs_whole = subject.declared and contents_of(subject.tx).whole
    specs = {"w": ("data",), "v": ("data",), "rows": ("data",), "b": (), "s": ()}
    for cut in (False, True):
        spec = {n: PartitionSpec(*(own if cut else ())) for n, own in specs.items()}
        placed = {n: jax.device_put(p, NamedSharding(mesh, spec[n])) for n, p in params.items()}
        states = jax.tree.map(lambda s: s.spec, state_shardings(subject.tx, placed))
        for inside in (False, True):
            what = f"{subject.name}: {'parts of' if cut else 'whole'} parameters in shard_map"
            try:
                got = _in_shard_map(subject, mesh, spec, states, grads, placed, init=inside)
            except ExplainedError as error:
                if cut and needs_whole and "a device holds a part" in str(error):
                    continue
                raise
            assert not (cut and needs_whole), f"{what}: declared whole=True, and took a part"
            if cut and _differs_by_part(subject):
                assert_finite(got, what)
                assert_same_types(got, expected, what)
            else:
                # Sums are computed in a different order.
                assert_close(got, expected, 1e-5, what)


def _two_steps(subject: Subject, grads: Any, state: Any, params: Any) -> Any:
    """Parameters and state after two steps in a scan, which must keep their types."""

    def body(carry: Any, _: None) -> Any:
        params, state = carry
        return training_step(subject)(grads, state, params), None

    return jax.lax.scan(body, (params, state), length=2)[0]


def _in_shard_map(
    subject: Subject, mesh: Any, spec: Any, states: Any, grads: Any, params: Any, init: bool
) -> Any:
    """Two steps with the state made outside or inside `shard_map`."""

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


def _values() -> Any:
    """NumPy arrays, because arrays on devices may share a buffer with donated ones."""
    count = len(jax.devices())
    values = {"w": sample((2 * count, 8), 1), "b": sample((8,), 2), "s": sample((), 3)}
    return jax.tree.map(np.array, values)


def _on_meshes(values: Any) -> Iterator[Any]:
    """Parameters on two axes of a mesh, automatic ones and explicit ones."""
    count = len(jax.devices())
    shape = (count // 2, 2) if count % 2 == 0 else (count, 1)
    specs = {"w": ("data", "model"), "b": ("model",), "s": ()}
    for kind in (AxisType.Auto, AxisType.Explicit):
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


CHECKS = [
    check_state_lies_on_the_mesh,
    check_state_may_be_cut_further,
    check_shard_map_equals_single,
]
