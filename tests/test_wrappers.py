"""Every wrapper around one optimizer of each family, and around all if slow tests run."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing
from optcore.testing._subject import gradients
from tests.named import is_own
from tests.rules import all_hold
from tests.subjects import subject as subject_of

FAMILIES = {"momentum": "sgd", "diagonal": "adam"}
OPTIMIZERS = {
    n: f
    for n, f in optcore.registry("optimizer").items()
    if is_own(n) and "learning_rate" in f.roles and not f.per_example and set(f.needs) <= {"params"}
}
ALTERNATIVES = {"switch"}
"""Wrappers of several, of which each makes whole steps."""
WRAPPERS = [name for name in optcore.registry("wrapper") if is_own(name)]
CHECKS = [
    check
    for check in testing.CHECKS
    if testing.check_name(check)
    in (
        "state_keeps_its_type",
        "jit_changes_nothing",
        "scans",
        "vmap_is_a_loop",
        "none_gradients_freeze",
        "hyperparameters_may_be_traced",
        "descends",
    )
]


def wrapped(wrapper, name):
    """The example of a wrapper, around the example of an optimizer with a schedule on its rate."""
    example = OPTIMIZERS[name].example()
    rate = example.arguments["learning_rate"]
    inner = example.replace(learning_rate=optcore.linear_schedule(rate, 0.9 * rate, 50))
    return dataclasses.replace(around_all(wrapper, inner), name=f"{wrapper} of {name}")


def around_all(wrapper, inner):
    """The example of a wrapper, around this optimizer."""
    subject = subject_of(wrapper)
    factory = optcore.registry("wrapper")[wrapper]
    tx = factory.example()
    tx = tx.replace(
        **{
            role.name: around(tx.arguments[role.name], inner, role, wrapper in ALTERNATIVES)
            for role in factory.roles.values()
            if role.kind == "transformation"
        }
    )
    # A gradient function among the extra arguments would be that of another loss.
    descends = not subject.extra
    return dataclasses.replace(subject, tx=tx, descends=descends)


def around(value, inner, role, alternatives):
    """What an argument holds, with `inner` for the transformation; one for several in a row.

    Transformations side by side are all replaced.
    """
    if value is None:
        return None
    if isinstance(value, dict):
        return dict.fromkeys(value, inner)
    if role.container and alternatives:
        return (inner,) * len(value)
    if role.holds_pairs and not role.names_members:
        return tuple((pattern, inner) for pattern, _ in value)
    if role.container:
        return (("inner", inner) if role.names_members else inner,)
    return inner


def test_every_family_is_here():
    families = {f.function.__module__.split(".")[-2] for f in OPTIMIZERS.values()}
    assert families == set(FAMILIES)


QUICK = {"accumulate", "guard", "lazy_rows", "lookahead", "route", "sam"}


def test_the_quick_wrappers_exist():
    assert set(WRAPPERS) >= QUICK


def cases():
    """Every check of every wrapper around one optimizer of each family; most are marked slow."""
    for check in CHECKS:
        for wrapper in WRAPPERS:
            for name in FAMILIES.values():
                what = testing.check_name(check)
                quick = (what, name) == ("scans", "adam") and wrapper in QUICK
                marks = [] if quick else [pytest.mark.slow]
                yield pytest.param(check, wrapper, name, id=f"{what}-{wrapper}-{name}", marks=marks)


@pytest.mark.parametrize(("check", "wrapper", "name"), list(cases()))
@pytest.mark.sample(3)
def test_wrapper(check, wrapper, name):
    check(wrapped(wrapper, name))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_steps_under_vmap_and_scan_and_without_the_host(wrapper):
    """Around one optimizer of each family."""
    takes_steps(wrapper, FAMILIES.values())


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_steps_of_all_others_under_vmap_and_scan_and_without_the_host(wrapper):
    takes_steps(wrapper, OPTIMIZERS.keys() - set(FAMILIES.values()))


def takes_steps(wrapper, optimizers):
    """Traced; that the numbers are those of a loop is checked of each family above."""
    all_hold({name: name for name in sorted(optimizers)}, lambda name: trace_steps(wrapper, name))


def trace_steps(wrapper, name):
    subject = wrapped(wrapper, name)
    tx, params, extra = subject.tx, subject.params, subject.extra

    def steps(grads, state):
        def step(state, g):
            updates, state = tx.update(g, state, params, **extra)
            return state, updates

        return jax.lax.scan(step, state, grads)[0]

    batch = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), params)
    grads = jax.tree.map(lambda p: jnp.stack([p, p, p], 1), batch)
    state = jax.eval_shape(jax.vmap(lambda p: tx.init(p)), batch)
    traced, shapes = jax.make_jaxpr(jax.vmap(steps), return_shape=True)(grads, state)
    assert jax.tree.map(kind, shapes) == jax.tree.map(kind, state)
    assert "callback" not in str(traced)


def kind(x):
    return x.shape, x.dtype


ANCHORED = optcore.chain(optcore.transforms.add_decay_to_init(0.5), optcore.sgd(0.1, momentum=0.5))
"""An optimizer whose `init` depends on the values of the parameters."""


def numbers(tree):
    """Every number in the floating-point leaves, in order of size, whatever the shapes."""
    leaves = [np.ravel(x) for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    parts = [x.view(x.real.dtype) for x in leaves]
    return np.sort(np.concatenate([np.float64(x) for x in parts]))


def anchors(state):
    """What each `add_decay_to_init` in a state has taken for the initial parameters."""

    def is_anchored(x):
        return isinstance(x, type(ANCHORED.init(jnp.zeros(()))[0]))

    found = jax.tree.leaves(state, is_leaf=is_anchored)
    return [x.anchor for x in found if is_anchored(x)]


def walked(subject, steps=5):
    """The parameters and the state at the start and after every step."""
    params, state = subject.params, subject.tx.init(subject.params)
    yield params, state
    step = jax.jit(lambda g, state, params: subject.update(g, state, params))
    for i in range(steps):
        updates, state = step(gradients(params, i), state, params)
        params = optcore.apply_updates(params, updates)
        yield params, state


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_is_wrapped_starts_from_the_values_of_the_parameters(wrapper):
    """And keeps what it has from there, where nothing restarts."""
    (params, start), *_, (_, last) = walked(around_all(wrapper, ANCHORED), steps=3)
    found = anchors(start)
    assert found
    whole = numbers(params)
    for anchor in found:
        # A group holds a part of the parameters, and several members hold all of them again.
        assert np.isin(numbers(anchor), whole).all()
    assert np.isin(whole, np.concatenate([numbers(anchor) for anchor in found])).all()
    if wrapper not in STARTS_ANEW:
        chex.assert_trees_all_equal(anchors(last), found)


STARTS_ANEW = {
    "lookahead": (
        optcore.lookahead(ANCHORED, 2, 0.5, reset_state=True),
        [[0], [0], [2], [2], [4], [4]],
    ),
    "switch": (
        optcore.switch([ANCHORED] * 4, [1, 2, 4]),
        # Each from where the step before its first one led to.
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 2, 0], [0, 1, 2, 0], [0, 1, 2, 4]],
    ),
}
"""Wrappers that call `init` again, and after which step each member has started last."""


@pytest.mark.parametrize("wrapper", STARTS_ANEW)
def test_what_starts_anew_starts_from_the_values_of_the_parameters(wrapper):
    tx, starts = STARTS_ANEW[wrapper]
    subject = testing.Subject(wrapper, tx)
    visited, states = zip(*walked(subject), strict=True)
    for state, members in zip(states, starts, strict=True):
        for anchor, begun in zip(anchors(state), members, strict=True):
            np.testing.assert_array_equal(numbers(anchor), numbers(visited[begun]))
