"""How often devices wait for each other, counted in compiled steps, against what is declared."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import optcore
from optcore._core import contents_of
from optcore.sharding import init_sharded
from optcore.testing._collectives import collectives, collectives_in_loops
from optcore.testing._subject import Subject, sample, training_step
from tests import subjects

P = PartitionSpec
FEWER = {
    "adafactor": "the norm of the parameters waits for nothing, and is taken with the first mean",
    "store": "blocks that one device holds alone need no other",
}
"""Where the sum over the parts, one after another, is more than it takes; each with the reason."""


def compiled(subject):
    """The text of a step of parameters that are cut along their first axis."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    values = {"w": sample((16, 8), 1), "b": sample((8,), 2), "s": sample((), 3)}
    specs = {"w": P("data"), "b": P("data"), "s": P()}
    params = {
        name: jax.device_put(x, NamedSharding(mesh, specs[name])) for name, x in values.items()
    }
    state = init_sharded(subject.tx, params)
    step = jax.jit(training_step(subject), donate_argnums=(1, 2))
    return step.lower(params, state, params).compile().as_text()


WAITING = [n for n in subjects.TRANSFORMATIONS if contents_of(subjects.subject(n).tx).all_reduces]


@pytest.mark.parametrize("name", WAITING)
@pytest.mark.sample(6)
def test_as_many_as_declared(name):
    subject = subjects.subject(name)
    text = compiled(subject)
    found, declared = collectives(text), contents_of(subject.tx).all_reduces
    if name == "flatten":
        # It gathers the vector.
        assert found.pop("all-gather") > 0
        found.pop("collective-permute", None)
    if name in FEWER:
        assert found.keys() <= {"all-reduce", "all-gather"}
        assert found.get("all-reduce", 0) < declared or name == "store"
    else:
        assert found == {"all-reduce": declared}
    assert not collectives_in_loops(text)


def count(tx):
    return collectives(compiled(Subject("composed", tx))).get("all-reduce", 0)


def test_a_guard_costs_one_whatever_it_guards():
    clipped = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.adamw(1e-3))
    assert count(optcore.adamw(1e-3)) == 0
    assert count(clipped) == 1
    assert count(optcore.guard(optcore.adamw(1e-3))) == 1
    assert count(optcore.guard(clipped)) == 2
    assert count(optcore.guard(clipped, "zero")) == 2
    # XLA splits LAMB's norms, to agree on one half together with the moments.
    assert count(optcore.guard(optcore.lamb(1e-3))) <= 3


def test_norms_of_all_leaves_are_one():
    """However many leaves there are."""
    for tx in (optcore.lamb(1e-3), optcore.lars(1e-3), optcore.clip_by_block_rms(1.0)):
        assert count(tx) == 1


def test_collectives_in_a_loop_are_found():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    x = jax.device_put(jnp.ones(8), NamedSharding(mesh, P("data")))

    def looped(x):
        return jax.lax.fori_loop(0, 3, lambda i, x: x / jnp.sum(x), x)

    text = jax.jit(looped).lower(x).compile().as_text()
    assert collectives_in_loops(text) == collectives(text) == {"all-reduce": 1}
    text = jax.jit(lambda x: x / jnp.sum(x)).lower(x).compile().as_text()
    assert collectives(text) == {"all-reduce": 1}
    assert collectives_in_loops(text) == {}
