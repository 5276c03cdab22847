"""Checks of what is declared: values, config, and hyper-parameters traced, scheduled and swept."""

import copy
import json
import math
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import schedules
from .._core import declare, hyperparameters, read
from ..compose import stack
from ..serialize import from_config, to_config
from ._subject import TOLERANCE, Subject, assert_close, with_arrays


def check_hyperparameters_may_be_traced(subject: Subject) -> None:
    """As arguments of a jitted function they give the same updates as constants do."""
    if subject.declared and jax.tree.leaves(subject.tx):
        expected = jax.jit(lambda: subject.run()[0])()
        got = jax.jit(lambda tx: subject.run(tx)[0])(subject.tx)
        assert_close(got, expected, _traced_tolerance(subject.tx), f"{subject.name}: traced")


def check_hyperparameters_may_be_arrays(subject: Subject) -> None:
    """Closed over as arrays they work eagerly and under jit, and do not leak a trace."""
    if subject.declared and jax.tree.leaves(subject.tx):
        arrays = with_arrays(subject.tx)
        expected = jax.jit(lambda tx: subject.run(tx)[0])(subject.tx)
        got = jax.jit(lambda: subject.run(arrays)[0])()
        again = subject.run(arrays)[0]
        tolerance = _traced_tolerance(subject.tx)
        assert_close(got, expected, tolerance, f"{subject.name}: arrays under jit")
        assert_close(again, expected, tolerance, f"{subject.name}: arrays, eager")


def check_hyperparameters_may_be_swept(subject: Subject) -> None:
    """`vmap` over stacked optimizers equals one run for each."""
    if subject.declared and jax.tree.leaves(subject.tx):
        members = [subject.tx, jax.tree.map(lambda x: 0.9 * x, subject.tx)]
        mapped = jax.jit(jax.vmap(lambda tx: subject.run(tx)[0]))(stack(members))
        one = jax.jit(lambda tx: subject.run(tx)[0])
        separate = jax.tree.map(lambda *u: jnp.stack(u), *[one(tx) for tx in members])
        assert_close(mapped, separate, what=f"{subject.name}: swept")


def check_hyperparameters_may_be_scheduled(subject: Subject) -> None:
    """A constant schedule in place of each number gives the same, and can be read."""
    numbers = _own_numbers(subject)
    if not numbers:
        return
    constant = {name: schedules.constant_schedule(value) for name, value in numbers.items()}
    tx = subject.tx.replace(**constant)
    updates, state = jax.jit(lambda: subject.run(tx))()
    expected = jax.jit(lambda: subject.run()[0])()
    assert_close(updates, expected, _traced_tolerance(subject.tx), f"{subject.name}: scheduled")
    for name, value in numbers.items():
        alone = subject.tx.replace(**{name: constant[name]})
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


def _traced_tolerance(tx: Any) -> float:
    """float32 leaves `1e-7 / (1 - b)` of the `1 - b` of a traced decay `b`."""
    numbers = [x for x in jax.tree.leaves(tx) if isinstance(x, float) and 0.5 < x < 1]
    return max([TOLERANCE, *(2e-7 / (1 - x) for x in numbers)])


def check_has_value_semantics(subject: Subject) -> None:
    """Equal arguments make equal, equally hashed, equally printed objects; other numbers do not."""
    if not subject.declared:
        return
    tx = subject.tx
    again = declare(tx.declaration.factory, tx.arguments)
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
    """The leaves are the numbers that the factories were given, each once."""
    if subject.declared:
        numbers = [v for v in hyperparameters(subject.tx).values() if not callable(v)]
        count = len(jax.tree.leaves(numbers))
        assert len(jax.tree.leaves(subject.tx)) == count, (
            f"{subject.name}: {len(jax.tree.leaves(subject.tx))} leaves, expected {count}"
        )


def check_config_round_trip(subject: Subject) -> None:
    """Written as JSON and read back it is equal."""
    if subject.declared:
        restored = from_config(json.loads(json.dumps(to_config(subject.tx))))
        assert restored == subject.tx, f"{subject.name}: the config gave {restored!r}"


CHECKS = [
    check_hyperparameters_may_be_traced,
    check_hyperparameters_may_be_arrays,
    check_hyperparameters_may_be_swept,
    check_hyperparameters_may_be_scheduled,
    check_has_value_semantics,
    check_each_hyperparameter_is_one_leaf,
    check_config_round_trip,
]
