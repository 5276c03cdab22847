"""What optcore's conformance suite asks of all holds here too, but for optax's manners."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing
from optcore.optax._door import FACTORIES
from tests.optax.examples import EXTRA, made
from tests.rules import all_hold

CHECKS = {testing.check_name(check): check for check in testing.CHECKS}

MANNERS = {
    "updates_look_like_params": "updates have the dtypes of gradients and parameters",
    "state_keeps_its_type": "the same, and integers have moments",
    "leaves_nothing_but_arrays": "integers have moments",
    "refuses_wrong_arguments": "nothing is refused that optax takes",
    "shard_map_equals_single": "nothing is refused; some parts are taken for the whole",
    "hyperparameters_may_be_scheduled": "only those that optax lets be scheduled",
}
"""What optax does otherwise, on purpose."""

DERIVATIVES = {"gradients_are_finite", "second_derivatives_are_finite", "leaks_no_tracer"}
"""Properties of the native algorithms, which compute here too, and are checked there."""

VALUES = {"has_value_semantics", "each_hyperparameter_is_one_leaf", "config_round_trip"}
"""The properties that a declaration adds, whichever library computes."""

OPTAX_INSIDE = {"adan", "lbfgs", "noisy_sgd", "polyak_sgd", "rprop"}
"""Chains of ours with a part that optax computes."""

EXCEPTIONS = {
    # Its updates of float16 parameters are float16.
    "scale_by_param_block_norm": {"a_huge_gradient_passes"},
}

OTHER_PROBLEMS = {
    "lookahead": "parameters of its own",
    "mechanize": "steps that are more than the last digit of the parameters",
    "sam": "two calls to a step",
    "scale_by_muon": "matrices alone",
    "scale_by_backtracking_linesearch": "a function of the loss",
    "scale_by_zoom_linesearch": "a function of the loss",
    "dpsgd": "gradients of single examples",
    "differentially_private_aggregate": "gradients of single examples",
}
"""Factories that cannot run on the suite's problem, and their needs."""

OWN = sorted(
    name
    for name, factory in FACTORIES.items()
    if not (factory.declared_by.handed_on or name in OPTAX_INSIDE)
)
OTHERS = sorted(set(FACTORIES) - set(OWN))

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*optimistic_adam.*:DeprecationWarning"),
    pytest.mark.filterwarnings('ignore:"seed" is deprecated:DeprecationWarning'),
]


def subject(name):
    extra = {n: jnp.float32(v) for n, v in EXTRA.get(name, {}).items()}
    if name in ("sophia", "hutchinson_estimator_diag_hessian"):
        extra = {"obj_fn": _loss}
    params = {"dense": {"kernel": _sample(4, 3), "bias": _sample(3)}, "scale": _sample()}
    # Decays near 1 and small rates would hide an error, and lose digits where they are traced.
    unusual = dict.fromkeys(("b1", "b2", "b3", "decay", "rho"), 0.6)
    if name == "fromage":
        unusual = {"learning_rate": 0.3}
    roles = FACTORIES[name].declared_by.roles
    return testing.Subject(
        name, made(name, **{n: v for n, v in unusual.items() if n in roles}), params, extra
    )


def _loss(params):
    return sum(jnp.sum(p**4) for p in jax.tree.leaves(params))


def _sample(*shape):
    return jax.random.normal(jax.random.key(len(shape)), shape)


def run(checks, name):
    chosen = {c: CHECKS[c] for c in checks if c not in EXCEPTIONS.get(name, ())}
    all_hold(chosen, lambda check: check(subject(name)))


def test_the_lists_name_what_exists():
    assert set(CHECKS) >= {*MANNERS, *VALUES, *DERIVATIVES}
    assert set(FACTORIES) >= {*OPTAX_INSIDE, *EXCEPTIONS, *OTHER_PROBLEMS}


@pytest.mark.sample(None)
@pytest.mark.parametrize("name", sorted(FACTORIES))
def test_values(name):
    run(VALUES, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_ours(name, request):
    done = set() if request.config.getoption("all_cases") else DERIVATIVES
    run([c for c in CHECKS if c not in MANNERS and c not in done], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in OTHERS if n not in OTHER_PROBLEMS])
def test_numbers_of_what_optax_computes(name):
    """They may be traced, and mapped over; optax's differences of parameters lose digits."""
    one = subject(name)
    leaves, treedef = jax.tree.flatten(one.tx)
    if not leaves:
        return
    other = treedef.unflatten([0.9 * x for x in leaves])
    stacked = optcore.stack([one.tx, other])
    found = jax.jit(jax.vmap(lambda tx: one.run(tx)[0]))(stacked)
    for i, tx in enumerate((one.tx, other)):
        expected = jax.tree.leaves(one.run(tx)[0])
        largest = max(np.abs(x).max() for x in expected)
        for constant, swept in zip(expected, jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(swept[i], constant, rtol=0, atol=2e-4 * largest)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXCEPTIONS)
def test_the_exceptions_fail(name):
    for check in EXCEPTIONS[name]:
        with pytest.raises(AssertionError):
            CHECKS[check](subject(name))
