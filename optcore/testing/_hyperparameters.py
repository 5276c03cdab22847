"""Checks of declarations: values, config, and hyper-parameters traced, scheduled and swept."""

import copy
import json
import math
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import schedules
from .._core import is_declared, map_holders, walk
from ..hyper import hyperparameters, inject, read, stack
from ..serialize import from_config, to_config
from ._subject import Subject, assert_close, assert_same_types, gradients, with_arrays


def check_hyperparameters_may_be_traced(subject: Subject) -> None:
    """Hyper-parameters as arguments of a jitted function give the same updates as constants."""
    if subject.declared and jax.tree.leaves(subject.tx):
        tx = _unusual(subject.tx)
        expected = jax.jit(lambda: subject.run(tx)[0])()
        got = jax.jit(lambda tx: subject.run(tx)[0])(tx)
        assert_close(got, expected, what=f"{subject.name}: traced")


def _unusual(tx: Any) -> Any:
    """The same transformation with numbers that all affect the result.

    A decay near 1 or an epsilon near 0 would hide errors.
    """
    roles = tx.declaration.factory.roles
    changes = {}
    for name, value in tx.arguments.items():
        if not isinstance(value, float) or roles[name].kind != "hyperparameter":
            continue
        limits = roles[name].range
        if limits is not None and (limits.low, limits.high) == (0, 1):
            changes[name] = 0.6
        elif value < 1e-2 and (limits is None or 0.05 in limits):
            changes[name] = 0.05
    return tx.replace(**changes)


def check_hyperparameters_may_be_arrays(subject: Subject) -> None:
    """Hyper-parameters in a closure work eagerly and under jit, and do not leak a trace."""
    if subject.declared and jax.tree.leaves(subject.tx):
        tx = _unusual(subject.tx)
        arrays = with_arrays(tx)
        expected = subject.run(tx)[0]
        got = jax.jit(lambda: subject.run(arrays)[0])()
        again = subject.run(arrays)[0]
        assert_close(got, expected, what=f"{subject.name}: arrays under jit")
        assert_close(again, expected, what=f"{subject.name}: arrays, eager")


def check_hyperparameters_may_be_swept(subject: Subject) -> None:
    """`vmap` over stacked optimizers equals separate runs."""
    if subject.declared and jax.tree.leaves(subject.tx):
        tx = _unusual(subject.tx)
        members = [tx, jax.tree.map(lambda x: 0.9 * x, tx)]
        mapped = jax.jit(jax.vmap(lambda tx: subject.run(tx)[0]))(stack(members))
        separate = jax.tree.map(lambda *u: jnp.stack(u), *[subject.run(tx)[0] for tx in members])
        assert_close(mapped, separate, what=f"{subject.name}: swept")


def check_hyperparameters_may_be_scheduled(subject: Subject) -> None:
    """Constant schedules in place of numbers give the same result, and can be read."""
    numbers = _own_numbers(subject)
    if not numbers:
        return
    unusual = _unusual(subject.tx)
    numbers = {name: unusual.arguments[name] for name in numbers}
    constant = {name: schedules.constant_schedule(value) for name, value in numbers.items()}
    tx = unusual.replace(**constant)
    updates, state = jax.jit(lambda: subject.run(tx))()
    expected = subject.run(unusual)[0]
    assert_close(updates, expected, what=f"{subject.name}: scheduled")
    for name, value in numbers.items():
        alone = unusual.replace(**{name: constant[name]})
        used = (read(tx, state, name), read(alone, alone.init(subject.params), name))
        assert all(np.float32(u) == np.float32(value) for u in used), (
            f"{subject.name}: read gave {used} for {name}, expected {value}"
        )


def _own_numbers(subject: Subject) -> dict[str, float]:
    if not subject.declared:
        return {}
    arguments = subject.tx.arguments
    own = subject.tx.declaration.factory.hyperparameters()
    return {name: arguments[name] for name in own if isinstance(arguments[name], float)}


def check_has_value_semantics(subject: Subject) -> None:
    """Equal arguments make equal objects with equal hashes and reprs; other numbers do not."""
    if not subject.declared:
        return
    tx = subject.tx
    again = tx.replace()
    assert tx == again, f"{subject.name}: made twice from the same arguments it is not equal"
    assert hash(tx) == hash(again), f"{subject.name}: equal objects hash differently"
    assert repr(tx) == repr(again), f"{subject.name}: equal objects print differently"
    for other in (pickle.loads(pickle.dumps(tx)), copy.deepcopy(tx), copy.copy(tx)):
        assert other == tx, f"{subject.name}: a copy is not equal: {other!r}"
    leaves, treedef = jax.tree.flatten(tx)
    for i in range(len(leaves)):
        changed = [math.nextafter(x, 9.0) if i == j else x for j, x in enumerate(leaves)]
        assert treedef.unflatten(changed) != tx, f"{subject.name}: equal despite another number"


def check_each_hyperparameter_is_one_leaf(subject: Subject) -> None:
    """The leaves are the numbers given to the factories, each once."""
    if subject.declared:
        numbers = [v for v in hyperparameters(subject.tx).values() if not callable(v)]
        count = len(jax.tree.leaves(numbers))
        assert len(jax.tree.leaves(subject.tx)) == count, (
            f"{subject.name}: {len(jax.tree.leaves(subject.tx))} leaves, expected {count}"
        )


def check_config_round_trip(subject: Subject) -> None:
    """A config that goes through JSON gives an equal object."""
    if subject.declared:
        restored = from_config(json.loads(json.dumps(to_config(subject.tx))))
        assert restored == subject.tx, f"{subject.name}: the config gave {restored!r}"


def check_numbers_may_be_put_into_a_state(subject: Subject) -> None:
    """Python numbers in a state act like arrays of `init`'s types, also if injected."""
    if not subject.declared:
        return
    tx = _injected(subject.tx)
    state = tx.init(subject.params)
    put = jax.tree.map(lambda x: x.item() if x.shape == () and x.dtype != bool else x, state)
    put = map_holders(lambda _, h: h._replace(hyperparams=_whole(h.hyperparams)), put)
    grads = gradients(subject.params, 0)
    with jax.disable_jit():
        expected, expected_state = subject.update(grads, state, subject.params, tx)
        got, new_state = subject.update(grads, put, subject.params, tx)
    assert_same_types(new_state, expected_state, f"{subject.name}: with numbers in the state")
    assert_close(got, expected, 0.0, f"{subject.name}: with numbers in the state")


def _whole(values: Any) -> Any:
    return jax.tree.map(lambda x: int(x) if math.isfinite(x) and x == int(x) else x, values)


def _injected(tx: Any) -> Any:
    """The transformation with its numbers in the state, unless it already injects them."""
    facts = [part.value.declaration.factory for part in walk(tx) if is_declared(part.value)]
    if any(f.holds is not None or f.outermost for f in facts) or not jax.tree.leaves(tx):
        return tx
    return inject(tx)


CHECKS = [
    check_numbers_may_be_put_into_a_state,
    check_hyperparameters_may_be_traced,
    check_hyperparameters_may_be_arrays,
    check_hyperparameters_may_be_swept,
    check_hyperparameters_may_be_scheduled,
    check_has_value_semantics,
    check_each_hyperparameter_is_one_leaf,
    check_config_round_trip,
]
