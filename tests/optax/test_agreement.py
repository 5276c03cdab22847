"""Ours and optax's side by side: instances, states, numbers, and states that change sides."""

import enum
import importlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

import optcore
import optcore.optax
from optcore._core._static import hashable
from optcore.optax._door import FACTORIES
from tests import oracles
from tests.optax.examples import EXTRA, RATE, made

STEPS = 10
COMBINING = {"chain", "named_chain"}
ALL = sorted(
    name
    for name, factory in FACTORIES.items()
    if name not in COMBINING and not factory.declared_by.handed_on
)
RATED = [n for n in ALL if "learning_rate" in FACTORIES[n].declared_by.signature.parameters]
CONSTANT_ONLY = {"optimistic_adam", "rprop", "sm3"}
SCHEDULED = [n for n in RATED if n not in CONSTANT_ONLY]


def both(name, **changed):
    return (made(name, library, **changed) for library in (optcore.optax, optax))


def trajectory(tx, name, steps=STEPS, state=None, double=False):
    params, grads = oracles.golden_problem()
    if double:
        params, grads = jax.tree.map(lambda x: np.asarray(x, float), (params, list(grads)))
    params, grads = jax.tree.map(jnp.asarray, (params, list(grads)))
    state = tx.init(params) if state is None else state
    step = jax.jit(lambda g, s, p: tx.update(g, s, p, **EXTRA.get(name, {})))
    made = []
    for g in grads[:steps]:
        updates, state = step(g, state, params)
        params = optax.apply_updates(params, updates)
        made.append(params)
    return made, state


# Ours keeps digits that optax loses: 1 - b2 ** t in float32 loses five of seven at the start.
BIAS = 3e-5
DIGITS = dict.fromkeys(
    ("acprop", "adabelief", "adam", "adamw", "adamax", "adamaxw", "amsgrad", "lamb", "nadam",
     "nadamw", "optimistic_adam", "optimistic_adam_v2", "scale_by_acprop", "scale_by_adam",
     "scale_by_adamax", "scale_by_amsgrad", "scale_by_belief", "scale_by_yogi", "yogi",
     "ademamix", "scale_by_ademamix"),
    BIAS,
)  # fmt: skip
# Their rectification takes such a difference once more.
DIGITS |= dict.fromkeys(("radam", "scale_by_radam"), 3e-4)
# Its update is the difference of two parameters, which are rounded in another order.
DIGITS |= dict.fromkeys(("madgrad", "scale_by_madgrad"), 3e-5)


def assert_close(ours, theirs, start, tolerance):
    for mine, other in zip(ours, theirs, strict=True):
        for key in other:
            moved = np.abs(np.asarray(other[key], float) - start[key]).max()
            np.testing.assert_allclose(
                mine[key],
                other[key],
                rtol=min(2e-7, tolerance),
                atol=tolerance * moved,
                err_msg=key,
            )


@pytest.mark.filterwarnings("ignore:.*optimistic_adam.*:DeprecationWarning")
@pytest.mark.sample(None)
@pytest.mark.parametrize("name", ALL)
def test_numbers_and_states_are_optax_s(name):
    ours, theirs = both(name)
    assert isinstance(ours, optax.GradientTransformationExtraArgs)
    params, _ = oracles.golden_problem()
    params = jax.tree.map(jnp.asarray, params)
    mine, other = ours.init(params), theirs.init(params)
    assert jax.tree.structure(mine) == jax.tree.structure(other)
    assert jax.tree.map(jnp.shape, mine) == jax.tree.map(jnp.shape, other)
    assert jax.tree.map(jnp.result_type, mine) == jax.tree.map(jnp.result_type, other)
    found, state = trajectory(ours, name)
    expected, their_state = trajectory(theirs, name)
    start = jax.tree.map(lambda p: np.asarray(p, float), params)
    assert_close(found, expected, start, DIGITS.get(name, 1e-6))
    assert jax.tree.structure(state) == jax.tree.structure(their_state)


@pytest.mark.filterwarnings("ignore:.*optimistic_adam.*:DeprecationWarning")
@pytest.mark.parametrize("name", sorted(DIGITS))
def test_in_float64_the_lost_digits_are_there(name):
    """So what differs in float32 is rounding, and the formulas are the same."""
    with oracles.double_precision(True):
        ours, theirs = both(name)
        params = oracles.golden_problem()[0]
        start = jax.tree.map(lambda p: np.asarray(p, float), params)
        found, _ = trajectory(ours, name, double=True)
        expected, _ = trajectory(theirs, name, double=True)
        assert found[-1]["W"].dtype == np.float64
        assert_close(found, expected, start, 1e-9)


@pytest.mark.sample(None)
@pytest.mark.parametrize("name", SCHEDULED)
def test_states_of_scheduled_rates(name):
    ours, theirs = both(name, learning_rate=optax.linear_schedule(RATE, 0.0, 20))
    params = {"w": jnp.ones((3, 2)), "b": jnp.ones(2)}
    mine, other = ours.init(params), theirs.init(params)
    assert jax.tree.structure(mine) == jax.tree.structure(other)
    assert jax.tree.map(jnp.shape, mine) == jax.tree.map(jnp.shape, other)


@pytest.mark.filterwarnings("ignore:.*optimistic_adam.*:DeprecationWarning")
@pytest.mark.parametrize("name", ALL)
def test_a_state_of_optax_s_is_one_of_ours(name):
    """Bit for bit the same: nothing is lost on the way in and out."""
    ours, theirs = both(name)
    _, state = trajectory(theirs, name, steps=3)
    treedef = jax.tree.structure(ours.init(oracles.golden_problem()[0]))
    same = treedef.unflatten(jax.tree.leaves(state))
    for a, b in zip(
        jax.tree.leaves(trajectory(ours, name, steps=2, state=state)),
        jax.tree.leaves(trajectory(ours, name, steps=2, state=same)),
        strict=True,
    ):
        assert hashable(a) == hashable(b)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*optimistic_adam.*:DeprecationWarning")
@pytest.mark.parametrize("name", ALL)
def test_a_state_changes_sides(name):
    """What optax began ours continues, and the other way round, within rounding."""
    ours, theirs = both(name)
    params = jax.tree.map(jnp.asarray, oracles.golden_problem()[0])
    start = jax.tree.map(lambda p: np.asarray(p, float), params)
    for first, second in ((ours, theirs), (theirs, ours)):
        _, state = trajectory(first, name, steps=3)
        found, _ = trajectory(second, name, steps=3, state=state)
        expected, _ = trajectory(first, name, steps=3, state=state)
        assert_close(found, expected, start, DIGITS.get(name, 1e-6))


MASKS = {
    "tree": {"W": True, "b": False},
    "arrays": {"W": np.bool_(False), "b": jnp.array(True)},
    "numbers": {"W": 1, "b": 0},
    "function": lambda p: jax.tree.map(lambda x: x.ndim > 1, p),
    "all": True,
    "none": False,
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ["adamw", "lion", "lars", "adafactor", "scheduled"])
def test_masked_decay(name, mask):
    argument = {"lars": "weight_decay_mask", "adafactor": "weight_decay_mask"}.get(name, "mask")
    given = {argument: MASKS[mask]}
    if name == "scheduled":
        name, given["weight_decay"] = "add_decayed_weights", optax.linear_schedule(0.1, 0.0, 8)
    if name == "adafactor":
        given["weight_decay_rate"] = 0.1
    ours, theirs = both(name, **given)
    params = jax.tree.map(jnp.asarray, oracles.golden_problem()[0])
    start = jax.tree.map(lambda p: np.asarray(p, float), params)
    assert jax.tree.structure(ours.init(params)) == jax.tree.structure(theirs.init(params))
    found, state = trajectory(ours, name)
    expected, there = trajectory(theirs, name)
    assert_close(found, expected, start, DIGITS.get(name, 1e-6))
    assert jax.tree.structure(state) == jax.tree.structure(there)


def test_a_tree_of_functions_is_no_mask():
    """optax takes it for one function, which it cannot call."""
    params = {"W": jnp.ones((2, 2)), "b": jnp.ones(2)}
    mask = {"W": lambda p: False, "b": lambda p: True}
    for library in (optcore.optax, optax):
        tx = library.adamw(0.1, mask=mask)
        with pytest.raises(TypeError, match="not callable"):
            tx.update(params, tx.init(params), params)


def test_a_mask_that_names_a_branch():
    params = {"encoder": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}, "head": jnp.ones(2)}
    mask = {"encoder": True, "head": False}
    grads = jax.tree.map(jnp.zeros_like, params)
    for o in (optcore.optax, optax):
        tx = o.add_decayed_weights(0.5, mask)
        updates, _ = tx.update(grads, tx.init(params), params)
        assert [float(jnp.max(u)) for u in jax.tree.leaves(updates)] == [0.5, 0.5, 0.0]


def test_masked_decay_does_not_split_the_chain():
    tx = optcore.optax.adamw(1e-3, mask={"a": True, "b": False})
    params = {"a": jnp.ones(3), "b": jnp.ones(3)}
    jaxpr = jax.make_jaxpr(tx.update)(params, tx.init(params), params)
    called = [str(e.params.get("name")) for e in jaxpr.eqns]
    assert called.count("_kernel") == 2


@pytest.mark.filterwarnings("ignore:.*optimistic_adam.*:DeprecationWarning")
@pytest.mark.sample(None)
@pytest.mark.parametrize("name", ALL)
def test_tree_map_params(name):
    """optax asks for the state of a placeholder, and finds where parameters stand."""
    given = {"mask": True} if "mask" in FACTORIES[name].declared_by.roles else {}
    ours, theirs = both(name, **given)
    params = {"W": jnp.ones((3, 2)), "b": jnp.ones(2)}
    marked = []
    for tx in (ours, theirs):
        try:
            found = optax.tree.map_params(
                tx, lambda _: "parameter", tx.init(params), transform_non_params=lambda _: "other"
            )
        except AttributeError:
            found = "an error"
        marked.append(found)
    assert marked[0] == marked[1]


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("ademamix", ("b3", "alpha")), ("simplified_ademamix", ("alpha",)), ("madgrad", ())],
)
def test_scheduled_numbers(name, numbers):
    """A rate that begins at 0 and what else these take as schedules."""
    given = {n: optax.linear_schedule(0.5, 0.9, 6) for n in numbers}
    given["learning_rate"] = optax.linear_schedule(0.0, RATE, 3)
    with oracles.double_precision(True):
        ours, theirs = both(name, **given)
        params = oracles.golden_problem()[0]
        start = jax.tree.map(lambda p: np.asarray(p, float), params)
        found, state = trajectory(ours, name, double=True)
        expected, there = trajectory(theirs, name, double=True)
        assert_close(found, expected, start, 1e-7)
        assert jax.tree.structure(state) == jax.tree.structure(there)


def test_fields_are_where_programs_read_them():
    tx = optcore.optax.adam(optcore.optax.linear_schedule(0.1, 0.0, 10))
    state = tx.init({"w": jnp.ones(2)})
    assert state[0].mu["w"].shape == (2,)
    assert isinstance(state[0], optax.ScaleByAdamState)
    assert optax.tree.get(state[0], "count").item() == 0
    assert state[-1].count.item() == 0


def test_what_optax_does_not_refuse():
    def step(tx):
        p = {"w": jnp.ones(2), "b": jnp.ones(2)}
        return tx.update(p, tx.init(p), p)[0]

    o = optcore.optax
    half = {"w": True, "b": False}
    other = {"w": False, "b": True}
    found = step(o.chain(o.masked(o.sgd(1.0), half), o.masked(o.set_to_zero(), other)))
    assert found["w"].tolist() == [-1, -1]
    assert found["b"].tolist() == [0, 0]
    assert step(o.sgd(-1.0))["w"].tolist() == [1, 1]
    assert step(o.chain(o.sgd(1.0), o.add_decayed_weights(0.5)))["w"].tolist() == [-0.5, -0.5]
    labels = {"w": "a", "b": "a"}
    assert step(o.multi_transform({"a": o.sgd(1.0), "unused": o.adam(1.0)}, labels))["b"][0] == -1
    assert o.linear_schedule(0.0, 1.0, 10.0)(5) == 0.5
    accumulated = o.MultiSteps(o.sgd(1.0), 2).gradient_transformation()
    assert step(accumulated)["w"].tolist() == [0, 0]


def test_updates_have_the_dtype_of_the_gradients_and_moments_are_wide():
    params = {"w": jnp.ones(3, jnp.bfloat16)}
    tx = optcore.optax.adamw(1e-3)
    state = tx.init(params)
    updates, state = tx.update(params, state, params)
    assert updates["w"].dtype == jnp.bfloat16
    assert state[0].mu["w"].dtype == state[0].nu["w"].dtype == jnp.float32
    foreign = optcore.optax.chain(optax.scale(2.0), tx, optax.scale(0.5))
    assert foreign.update(params, foreign.init(params), params)[0]["w"].dtype == jnp.bfloat16


def test_a_foreign_part_is_given_the_dtypes_of_the_gradients():
    def update(updates, state, params=None):
        seen.append(updates.dtype)
        return updates, state

    seen = []
    part = optax.GradientTransformation(optax.init_empty_state, update)
    tx = optcore.optax.chain(optcore.optax.adam(0.1), part)
    g = jnp.ones(2, jnp.bfloat16)
    jax.jit(tx.update)(g, tx.init(g), g)
    assert seen == [jnp.bfloat16]


def test_a_chain_of_ours_is_one_function_per_kind_of_leaf():
    tx = optcore.optax.chain(optcore.optax.clip(1.0), optcore.optax.adamw(1e-3))
    params = {f"p{i}": jnp.ones(3) for i in range(20)}
    jaxpr = jax.make_jaxpr(tx.update)(params, tx.init(params), params)
    called = [str(e.params.get("name")) for e in jaxpr.eqns]
    assert called.count("_kernel") == 20


def test_value_semantics():
    tx = optcore.optax.adamw(1e-3, weight_decay=0.1)
    assert tx == optcore.optax.adamw(1e-3, weight_decay=0.1) != optcore.optax.adamw(1e-3)
    assert repr(tx) == "adamw(learning_rate=0.001, weight_decay=0.1)"
    assert tx.replace(weight_decay=0.2).arguments["weight_decay"] == 0.2
    assert optcore.serialize.from_config(optcore.serialize.to_config(tx)) == tx
    doubled = jax.tree.map(lambda x: 2 * x, optcore.optax.sgd(0.5))
    assert doubled == optcore.optax.sgd(1.0)
    traced = optcore.optax.adam(jnp.float32(0.1))
    assert hash(traced) == hash(traced)


def test_inside_native_wrappers():
    tx = optcore.guard(optcore.optax.adam(0.1))
    params = jnp.ones(2)
    updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
    np.testing.assert_allclose(updates, -0.1, rtol=1e-5)


NATIVE_CHAINS = {
    "clip, adam": lambda o: (o.clip(1.0), o.adam(0.1)),
    "clip, native adam": lambda o: (o.clip(1.0), optcore.adam(0.1)),
    "decay, native sgd": lambda o: (o.add_decayed_weights(0.1), optcore.sgd(0.1)),
    "direction, decay, rate": lambda o: (
        o.scale_by_adam(),
        optcore.add_decayed_weights(0.1),
        optcore.scale(-0.1),
    ),
    "native clip, adam, freeze": lambda o: (optcore.clip(1.0), o.adam(0.1), o.set_to_zero()),
}


@pytest.mark.sample(None)
@pytest.mark.parametrize("name", NATIVE_CHAINS)
def test_inside_native_chains(name):
    params = jnp.array([1.0, -2.0])
    ends = []
    for library in (optcore.optax, optax):
        tx = optcore.chain(*NATIVE_CHAINS[name](library))
        ends.append(tx.update(params, tx.init(params), params)[0])
    np.testing.assert_allclose(*ends, rtol=1e-5)


def wide(updates, params):
    return jax.tree.map(lambda u: u.astype(jnp.float32), updates)


def narrow(updates, params):
    return jax.tree.map(lambda u: u.astype(jnp.bfloat16), updates)


CASTS = {
    "in front": lambda o: o.chain(o.stateless(wide), o.adam(0.1)),
    "behind": lambda o: o.chain(o.adam(0.1), o.stateless(wide)),
    "alone": lambda o: o.stateless(wide),
    "narrow": lambda o: o.chain(o.adam(0.1), o.stateless(narrow)),
    "nested": lambda o: o.chain(o.chain(o.stateless(wide)), o.scale(2.0)),
    "masked": lambda o: o.masked(o.stateless(wide), True),
    "undone": lambda o: o.chain(o.stateless(wide), o.scale(2.0), o.stateless(narrow)),
}


@pytest.mark.sample(None)
@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_part_of_the_user_s_chooses_the_dtype(cast, dtype):
    g = jnp.ones(2, dtype)
    made = []
    for library in (optcore.optax, optax):
        tx = CASTS[cast](library)
        made.append(tx.update(g, tx.init(g), g)[0])
    assert made[0].dtype == made[1].dtype


UNUSUAL = {
    "acprop": {"eps": 0.01, "eps_root": 0.001},
    "adabelief": {"eps": 0.01, "eps_root": 0.001, "b1": 0.5},
    "adam": {"eps": 0.01, "eps_root": 0.001, "b1": 0.5, "b2": 0.7},
    "ademamix": {"eps": 0.01, "eps_root": 0.001, "b3": 0.7, "alpha": 2.0},
    "adafactor": {"decay_rate": 0.6, "decay_offset": -2, "clipping_threshold": 0.5, "eps": 0.01},
    "amsgrad": {"eps": 0.01, "eps_root": 0.001, "b2": 0.7},
    "adadelta": {"rho": 0.6, "eps": 0.01, "weight_decay": 0.1},
    "adagrad": {"initial_accumulator_value": 0.5, "eps": 0.01},
    "lamb": {"weight_decay": 0.1, "eps": 0.01},
    "lars": {"weight_decay": 0.1, "trust_coefficient": 0.1, "momentum": 0.5, "nesterov": True},
    "lion": {"b1": 0.5, "b2": 0.7, "weight_decay": 0.1},
    "madgrad": {"eps": 0.01, "momentum": 0.5, "weight_decay": 0.1},
    "negative madgrad": {"learning_rate": -0.1},
    "novograd": {"b1": 0.5, "b2": 0.7, "eps": 0.01, "weight_decay": 0.1},
    "rmsprop": {"decay": 0.6, "eps": 0.01, "initial_scale": 0.5, "nesterov": True},
    "simplified_ademamix": {"b1": 0.5, "alpha": 2.0, "eps": 0.01, "weight_decay": 0.1},
    "sm3": {"momentum": 0.5},
    "scale_by_sm3": {"b1": 0.5, "b2": 0.7, "eps": 0.01},
    "scale_by_optimistic_gradient": {"alpha": 0.5, "beta": 2.0},
    "yogi": {"b1": 0.5, "b2": 0.7, "eps": 0.01},
}


@pytest.mark.sample(None)
@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_numbers(name):
    with oracles.double_precision(True):
        factory = name.removeprefix("negative ")
        ours, theirs = both(factory, **UNUSUAL[name])
        start = jax.tree.map(lambda p: np.asarray(p, float), oracles.golden_problem()[0])
        found, _ = trajectory(ours, factory, double=True)
        expected, _ = trajectory(theirs, factory, double=True)
        assert_close(found, expected, start, 1e-7)


def test_labels_that_cannot_be_sorted():
    class Label(enum.Enum):
        A = 1
        B = 2

    params = {"w": jnp.ones(2), "b": jnp.ones(2)}
    for one, other in ((Label.A, Label.B), (1, "x")):
        labels = {"w": one, "b": other}
        made = []
        for o in (optcore.optax, optax):
            parts = {one: o.sgd(0.1), other: o.sgd(0.2)}
            tx = o.multi_transform(parts, lambda p, labels=labels: labels)
            tx = o.chain(o.identity(), tx)
            made.append(tx.update(params, tx.init(params), params)[0])
        np.testing.assert_allclose(made[0]["w"], made[1]["w"])
        np.testing.assert_allclose(made[0]["b"], -0.2, rtol=1e-6)


def test_a_multi_steps_object_has_a_value():
    def made():
        return optcore.optax.chain(
            optcore.optax.clip(1.0), optcore.optax.MultiSteps(optcore.optax.sgd(0.1), np.int32(2))
        )

    assert made() == made() == pickle.loads(pickle.dumps(made()))
    assert optcore.serialize.from_config(optcore.serialize.to_config(made())) == made()
    assert repr(made()).endswith("MultiSteps(opt=sgd(learning_rate=0.1), every_k_schedule=2))")
    steps = made().arguments["args"][1]
    assert isinstance(steps, optax.GradientTransformationExtraArgs)
    own = optcore.optax.MultiSteps(optcore.optax.sgd(0.1), 2)
    assert own == optcore.optax.MultiSteps(optcore.optax.sgd(0.1), 2)
    assert hash(own) == hash(pickle.loads(pickle.dumps(own)))


def test_injected_numbers_are_read_from_the_state_alone():
    """Never the number that was given, which the state may hold another one for."""
    tx = optcore.optax.inject_hyperparams(optcore.optax.adamw)(0.1, b1=0.8)
    assert repr(tx) == "inject_hyperparams(adamw)(0.1, b1=0.8)"
    with pytest.raises(KeyError):
        optcore.read(tx, tx.init(jnp.ones(2)), "learning_rate")


def test_a_state_keeps_its_types_behind_ours():
    p = {"w": jnp.ones(3, jnp.bfloat16)}
    for part in ("apply_every", "scale_by_adan", "scale_by_rprop"):
        given = {"scale_by_rprop": (0.1,)}.get(part, ())
        o = optcore.optax
        tx = o.apply_if_finite(o.chain(o.adam(0.1), getattr(o, part)(*given)), 3)
        state = tx.init(p)
        last, _ = jax.lax.scan(lambda s, _, tx=tx: (tx.update(p, s, p)[1], None), state, length=2)
        assert jax.tree.map(jnp.result_type, last) == jax.tree.map(jnp.result_type, state)


def test_a_traced_optimizer_is_used_inside_a_loop_and_behind_it():
    """What the loop's trace made of its numbers is not kept."""

    @jax.jit
    def steps(tx, state, g):
        state, _ = jax.lax.scan(lambda s, _: (tx.update(g, s, g)[1], None), state, length=2)
        return tx.update(g, state, g)[0]

    tx, g = optcore.optax.adamw(0.1, weight_decay=0.0), jnp.ones(2)
    np.testing.assert_allclose(steps(tx, tx.init(g), g), -0.1, rtol=1e-5)


def test_equal_objects_hash_alike():
    a, b = (optcore.optax.adam(jnp.array([0.1, 0.2])) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)


@pytest.mark.sample(None)
@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_factories_are_found_by_name(name):
    """As pickles and configs need it, of `inject_hyperparams(factory)` among others."""
    module = importlib.import_module(FACTORIES[name].__module__)
    # Of these another object stands under the name, and makes what is declared.
    if name not in ("MultiSteps", "inject_hyperparams", "as_optax"):
        assert getattr(module, name) is FACTORIES[name]
        assert pickle.loads(pickle.dumps(FACTORIES[name])) is FACTORIES[name]


def test_injected_factories_of_contrib_have_a_config():
    tx = optcore.optax.inject_hyperparams(optcore.optax.contrib.ademamix)(learning_rate=0.1)
    assert optcore.serialize.from_config(optcore.serialize.to_config(tx)) == tx
    assert pickle.loads(pickle.dumps(tx)) == tx


def test_a_schedule_of_optax_s_cannot_be_read():
    tx = optcore.optax.adam(optax.linear_schedule(0.1, 0.0, 10))
    with pytest.raises(
        TypeError, match=r"learning_rate.* is a schedule whose value is not in the state"
    ):
        optcore.read(tx, tx.init(jnp.ones(2)), "learning_rate")
    assert optcore.read(optcore.optax.adam(0.1), None, "learning_rate") == np.float32(0.1)


def test_native_ones_as_optax_s():
    tx = optcore.optax.as_optax(optcore.polyak_sgd())
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    params = jnp.ones(2)
    chained = optax.chain(tx, optax.scale(0.5))
    updates, _ = chained.update(params, chained.init(params), params, value=1.0)
    np.testing.assert_allclose(updates, -0.25)
    assert optcore.optax.as_optax(tx) is tx
    assert jax.tree.map(lambda x: x, tx) == tx
    assert hash(tx) == hash(optcore.optax.as_optax(optcore.polyak_sgd()))
    assert optcore.guard(tx).init(params).inner == tx.init(params)
    assert optcore.serialize.from_config(optcore.serialize.to_config(tx)) == tx
    plain = optax.GradientTransformation(tx.init, lambda u, s, p=None: (u, s))
    assert isinstance(optcore.optax.as_optax(plain), optax.GradientTransformationExtraArgs)
    with pytest.raises(ValueError, match=r"learning_rate"):
        optcore.optax.as_optax(optcore.adam(-1.0))
    with pytest.raises(TypeError, match="GradientTransformationExtraArgs"):
        optcore.optax.as_optax(optcore.GradientTransformation(tx.init, tx.update))


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "rmsprop", "fromage", "chain"])
def test_integers_are_optax_s_affair(name):
    if name == "chain":
        ours, theirs = (o.chain(o.clip(1.0), o.adam(0.1)) for o in (optcore.optax, optax))
    else:
        ours, theirs = both(name)
    params = {"w": jnp.ones(2), "step": jnp.arange(3)}
    mine, other = ours.init(params), theirs.init(params)
    assert jax.tree.map(jnp.result_type, mine) == jax.tree.map(jnp.result_type, other)
    for _ in range(2):
        found, mine = ours.update(params, mine, params)
        expected, other = theirs.update(params, other, params)
    assert found["step"].dtype == expected["step"].dtype
    np.testing.assert_allclose(found["step"], expected["step"], rtol=1e-6)


def test_states_of_named_chains_change_sides():
    def named(o):
        return o.named_chain(("z", o.adam(0.1)), ("a", o.scale(2.0)))

    ours, theirs = named(optcore.optax), named(optax)
    p = {"w": jnp.ones(2)}
    state = theirs.init(p)
    assert jax.tree.structure(ours.init(p)) == jax.tree.structure(state)
    last, _ = jax.lax.scan(lambda s, _: (ours.update(p, s, p)[1], None), state, length=2)
    assert last["z"][0].count == 2
    assert optcore.optax.named_chain().init(p) == optax.named_chain().init(p)
    with pytest.raises(ValueError, match="once"):
        optcore.optax.named_chain(("a", ours), ("a", ours))


@pytest.mark.parametrize(("gradient", "param"), [("bfloat16", "float32"), ("float32", "bfloat16")])
def test_updates_are_as_wide_as_gradients_and_parameters_together(gradient, param):
    p = jnp.ones(3, param)
    g = jnp.full(3, 1 / 3, gradient)
    made = []
    for library in (optcore.optax, optax):
        tx = library.adam(1e-3)
        made.append(tx.update(g, tx.init(p), p)[0])
    assert made[0].dtype == made[1].dtype == jnp.float32
    np.testing.assert_allclose(made[0], made[1], rtol=5e-3)


def test_eager_updates_of_nothing():
    for tx in (optcore.optax.adam(0.0137), optcore.optax.clip(0.0137)):
        state = tx.init({})
        for _ in range(4):
            updates, state = tx.update({}, state, {})
        assert updates == {}
