"""What `read` says is what was used: through every wrapper, however the number was given."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore._core import contents_of
from optcore.hyper._read import find_path, role_at
from tests.subjects import names, subject

PARAMS = {"w": jnp.ones((2, 3)), "b": jnp.ones(2)}
WRAPPERS = names("wrapper")


class Numbers:
    """Schedules that each give a number of their own, halved at every step."""

    def __init__(self):
        self.given = 0

    def __call__(self, _):
        self.given += 1
        first = 2.0**-self.given
        return optcore.scale(optcore.exponential_decay(first, 1, 0.5))


def filled(tx):
    """The transformation with a scheduled `scale` in place of everything that it wraps."""
    make = Numbers()

    def fill(value, role):
        if value is None:
            return None
        if isinstance(value, dict):
            return {key: fill(v, role) for key, v in value.items()}
        if role.container and isinstance(value, tuple) and not hasattr(value, "init"):
            return tuple((v[0], make(v)) if role.names_members else fill(v, role) for v in value)
        return make(value) if hasattr(value, "init") else value

    roles = tx.declaration.factory.roles.values()
    inside = [role for role in roles if role.kind == "transformation"]
    return tx.replace(**{role.name: fill(tx.arguments[role.name], role) for role in inside})


@pytest.mark.parametrize("name", WRAPPERS)
def test_scheduled_values_are_found_through_every_wrapper(name):
    tx = filled(subject(name).tx)
    rates = {
        path: schedule
        for path, schedule in optcore.hyperparameters(tx, schedules_inside=False).items()
        if callable(schedule)
    }
    assert rates
    state = tx.init(PARAMS)
    for path, schedule in rates.items():
        assert optcore.read(tx, state, path) == schedule(0), path
    _, state = jax.jit(lambda s: tx.update(PARAMS, s, PARAMS, **subject(name).extra))(state)
    for path, schedule in rates.items():
        assert optcore.read(tx, state, path) == schedule(0), path


@pytest.mark.parametrize("name", sorted(set(WRAPPERS) - {"inject"}))
def test_injected_values_are_found_through_every_wrapper(name):
    tx = filled(subject(name).tx)
    roles = tx.declaration.factory.roles
    constant = jax.tree.map(
        lambda part: (
            optcore.inject(optcore.scale(float(part.arguments["step_size"](0))))
            if isinstance(part, optcore.DeclaredTransformation)
            else part
        ),
        {n: v for n, v in tx.arguments.items() if roles[n].kind == "transformation"},
        is_leaf=lambda part: hasattr(part, "init"),
    )
    tx = tx.replace(**constant)
    rates = {p: v for p, v in optcore.hyperparameters(tx).items() if p.endswith(".step_size")}
    assert len(set(rates.values())) == len(rates) > 0
    state = tx.init(PARAMS)
    for path, value in rates.items():
        assert optcore.read(tx, state, path) == value
        state = optcore.set_hyperparams(tx, state, **{path: value / 4})
    for path, value in rates.items():
        assert optcore.read(tx, state, path) == value / 4


def test_one_schedule_in_two_places():
    schedule = optcore.linear_schedule(1.0, 0.0, 4)
    tx = optcore.chain(optcore.scale(schedule), optcore.sgd(schedule), optcore.scale(schedule))
    state = tx.init(PARAMS)
    for _ in range(3):
        _, state = tx.update(PARAMS, state)
    assert optcore.read(tx, state, "transforms.0.step_size") == 0.5
    assert optcore.read(tx, state, "learning_rate") == 0.5
    plain = optcore.adamw(lambda t: jnp.float32(1.0), weight_decay=lambda t: jnp.float32(2.0))
    assert optcore.read(plain, plain.init(PARAMS), "weight_decay") == 2.0


def test_schedules_that_a_body_makes_are_not_confused_with_those_it_was_given():
    @optcore.transformation("wrapper", example=lambda: halving(optcore.scale(1.0)))
    def halving(inner: optcore.GradientTransformation) -> optcore.GradientTransformation:
        return optcore.chain(optcore.scale(optcore.exponential_decay(1.0, 1, 0.5)), inner)

    tx = halving(optcore.sgd(optcore.linear_schedule(8.0, 0.0, 4)))
    state = tx.init(PARAMS)
    _, state = tx.update(PARAMS, tx.update(PARAMS, state)[1])
    assert optcore.read(tx, state, "inner.learning_rate") == 6.0
    with pytest.raises(KeyError, match="no hyper-parameter 'step_size'"):
        optcore.read(tx, state, "step_size")


def test_a_mapping_of_transformations_is_sorted_as_its_state_is():
    @optcore.transformation("wrapper", example=lambda: summed({"a": optcore.scale(1.0)}))
    def summed(
        inner: Mapping[str, optcore.GradientTransformation],
    ) -> optcore.GradientTransformation:
        def update(updates, state, params=None, **extra):
            new = {
                key: tx.update(updates, state[key], params, **extra) for key, tx in inner.items()
            }
            total = jax.tree.map(lambda *u: sum(u), *(u for u, _ in new.values()))
            return total, {key: s for key, (_, s) in new.items()}

        return optcore.GradientTransformation(
            lambda params: {key: tx.init(params) for key, tx in inner.items()}, update
        )

    halves, quarters = (optcore.exponential_decay(a, 1, 0.5) for a in (0.5, 0.25))
    tx = summed({"z": optcore.scale(halves), "a": optcore.scale(quarters)})
    start = tx.init(PARAMS)
    for state in (start, jax.jit(lambda s: s)(start), tx.update(PARAMS, start)[1]):
        assert optcore.read(tx, state, "inner.z.step_size") == 0.5
        assert optcore.read(tx, state, "inner.a.step_size") == 0.25


def test_swept_and_scheduled_values_are_stacked():
    sweep = optcore.stack([optcore.sgd(optcore.linear_schedule(a, 0.0, 2)) for a in (1.0, 2.0)])

    def step(tx):
        state = tx.init(PARAMS)
        for _ in range(2):
            _, state = tx.update(PARAMS, state)
        return state

    state = jax.vmap(step)(sweep)
    np.testing.assert_allclose(optcore.read(sweep, state, "learning_rate"), [0.5, 1.0])
    injected = optcore.stack([optcore.inject(optcore.sgd(a)) for a in (1.0, 2.0)])
    np.testing.assert_allclose(
        optcore.read(injected, jax.vmap(step)(injected), "learning_rate"), [1.0, 2.0]
    )


def test_several_numbers_under_one_name():
    tx = optcore.inject(optcore.aggmo(0.1, (0.0, 0.5)))
    assert optcore.read(tx, tx.init(PARAMS), "betas").tolist() == [0.0, 0.5]


def test_a_state_of_another_optimizer_is_refused():
    tx = optcore.sgd(optcore.linear_schedule(1.0, 0.0, 4))
    with pytest.raises(KeyError, match=r"holds hyper-parameters in 0 places, .* in 1"):
        optcore.read(tx, optcore.sgd(0.1).init(PARAMS), "learning_rate")
    other = optcore.scale(optcore.linear_schedule(1.0, 0.0, 4))
    with pytest.raises(KeyError, match=r"holds step_size where .* has learning_rate"):
        optcore.read(tx, other.init(PARAMS), "learning_rate")


def test_names_are_suggested_and_ambiguity_is_listed():
    tx = optcore.graft(optcore.inject(optcore.sgd(0.1)), optcore.sgd(0.2))
    state = tx.init(PARAMS)
    with pytest.raises(KeyError, match=r"ambiguous: .*magnitude\.inner\.learning_rate, dir"):
        optcore.read(tx, state, "learning_rate")
    with pytest.raises(KeyError, match="did you mean 'learning_rate'"):
        optcore.read(tx, state, "lerning_rate")
    assert float(optcore.read(tx, state, "inner.learning_rate")) == np.float32(0.1)
    assert find_path(tx, "inner.learning_rate") == "magnitude.inner.learning_rate"
    assert role_at(tx, "direction.learning_rate").where == "sgd: learning_rate"


def test_what_a_transformation_takes_is_known_of_all_its_parts():
    def takes(tx):
        return contents_of(tx).takes

    assert takes(optcore.sgd(0.1)) == set()
    assert takes(optcore.polyak_sgd()) == {"value"}
    assert takes(optcore.chain(optcore.clip(1.0), optcore.reduce_on_plateau())) == {"value"}
    assert takes(optcore.skip_on_spike(optcore.sgd(0.1))) == set()
    assert takes(optcore.skip_on_spike(optcore.sgd(0.1), watch="both")) == {"value"}
    assert takes(optcore.sophia(0.1)) == {"obj_fn", "key"}
    assert takes(optcore.inject(optcore.reduce_on_plateau())) == {"value"}
    assert takes(optcore.sam(optcore.sgd(0.1))) == {"grad_fn"}

    def update(updates, state, params=None, *, temperature=1.0):
        return updates, state

    foreign = optcore.GradientTransformation(lambda params: optcore.EmptyState(), update)
    assert takes(optcore.chain(foreign)) == {"temperature"}
    assert not contents_of(optcore.chain(foreign)).open
    assert contents_of(optcore.chain(optax.contrib.reduce_on_plateau())).open


def test_undeclared_transformations_are_named():
    with pytest.raises(TypeError, match="read needs a declared transformation"):
        optcore.read(optax.sgd(0.1), None, "learning_rate")
