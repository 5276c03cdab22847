"""What the wrappers of narrow parameters have in common."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing
from tests.storage.narrow import conformance, walk

KEY = jax.random.key(5)
WRAPPERS = {
    "master_weights": optcore.master_weights,
    "kahan": optcore.kahan,
    "split_16": optcore.split_weights,
    "split_8": lambda inner: optcore.split_weights(inner, 8),
    "stochastic_rounding": lambda inner: optcore.stochastic_rounding(inner, key=KEY),
}
wrappers = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


SMALL_STEPS = {
    # Rounded once at the end: half a spacing above 0.5.
    "master_weights": 2**-9,
    "split_16": 2**-9,
    # And each step rounds a compensation of at most 2⁻⁹ to 8 digits: 2⁻¹⁹ on average.
    "kahan": 2**-9 + 500 * 2**-19,
    # And each step rounds to 16 digits, here always to the same side.
    "split_8": 2**-9 + 500 * 2**-17,
}


def test_small_steps_are_lost_without_help():
    w, _ = walk(optcore.sgd(1.0), jnp.ones(3, jnp.bfloat16), jnp.full((500, 3), 1e-3))
    assert w.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", SMALL_STEPS)
def test_small_steps_arrive(name):
    """500 steps of -1e-3 lead from 1 to 0.5."""
    tx = WRAPPERS[name](optcore.sgd(1.0))
    w, _ = walk(tx, jnp.ones((), jnp.bfloat16), jnp.full(500, 1e-3))
    assert abs(w.item() - 0.5) <= SMALL_STEPS[name]


@wrappers
def test_wide_parameters_take_the_same_steps(wrap):
    params = {"f32": jnp.float32([1.0, -2.0]), "c64": jnp.complex64([1 + 1j]), "step": jnp.int32(3)}
    grads = {"f32": jnp.float32([0.1, 1e-9]), "c64": jnp.complex64([0.5j]), "step": None}
    inner = optcore.adam(1e-3)
    expected, _ = inner.update(grads, inner.init(params), params)
    got, _ = wrap(inner).update(grads, wrap(inner).init(params), params)
    for name in ("f32", "c64"):
        np.testing.assert_array_equal(got[name], expected[name])


@wrappers
def test_missing_parameters(wrap):
    tx = wrap(optcore.sgd(0.1))
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


@wrappers
def test_frozen_parameter_keeps_what_it_has(wrap):
    params = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.bfloat16)}
    tx = wrap(optcore.sgd(1.0))
    grads = {"a": jnp.full(2, 1e-3), "b": jnp.full(2, 1e-3)}
    updates, state = tx.update(grads, tx.init(params), params)
    params = optcore.apply_updates(params, updates)
    _, after = tx.update({**grads, "a": None}, state, params)
    for field in ("master", "residual"):
        if hasattr(state, field):
            np.testing.assert_array_equal(getattr(after, field)["a"], getattr(state, field)["a"])


@wrappers
def test_derivative_by_the_learning_rate(wrap):
    """Rounding counts as the identity: three steps along gradients that sum to 6."""

    def end(rate):
        tx = wrap(optcore.sgd(rate))
        w = jnp.ones(2, jnp.bfloat16)
        state = tx.init(w)
        for g in (1.0, 2.0, 3.0):
            updates, state = tx.update(jnp.full(2, g), state, w)
            w = optcore.apply_updates(w, updates)
        return w.astype(jnp.float32).sum()

    assert jax.jit(jax.grad(end))(jnp.float32(1e-3)).item() == pytest.approx(-12, rel=0.01)


def subjects(inner):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), testing.Subject("", None).params)
    return {
        name: testing.Subject(
            f"{name} of {inner.declaration.name}", wrap(inner), params, descends=True
        )
        for name, wrap in WRAPPERS.items()
    }


ADAM = subjects(optcore.adam(0.01))
# Powers of two: no product is rounded, so that the low bits are the same however XLA fuses.
MOMENTUM = subjects(optcore.sgd(0.125, momentum=0.5))


@pytest.mark.parametrize(
    ("check", "subject"), conformance({"split_16", "stochastic_rounding"}, ADAM, MOMENTUM)
)
def test_conformance_of_bfloat16_parameters(check, subject):
    check(subject)
