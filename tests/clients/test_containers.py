"""Parameters in the containers of other libraries: every transformation takes two steps on them.

Each of them keeps something beside its leaves, which a state must not disturb.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.testing._subject import assert_finite, assert_updates_fit, gradients, sample
from tests import subjects

from . import load

QUICK = {"adafactor", "adam", "masked", "scale_by_came", "sm3", "store"}
NAMES = [
    pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
    for name in subjects.TRANSFORMATIONS
]


def kernel() -> jax.Array:
    return sample((4, 3), 1)


def bias() -> jax.Array:
    return sample((3,), 2)


def flax_frozen_dict() -> Any:
    flax = load("flax.core")
    return flax.freeze({"dense": {"kernel": kernel(), "bias": bias()}, "scale": jnp.float32(0.5)})


def haiku_immutable_dict() -> Any:
    haiku = load("haiku.data_structures")
    tree = {"dense": {"kernel": kernel(), "bias": bias()}, "scale": jnp.float32(0.5)}
    return haiku.to_immutable_dict(tree)


def equinox_module() -> Any:
    eqx = load("equinox")

    class Line(eqx.Module):
        kernel: Any
        bias: Any
        scale: Any
        name: str = eqx.field(static=True)

    return Line(kernel(), bias(), jnp.float32(0.5), name="line")


def nnx_model() -> Any:
    nnx = load("flax.nnx")

    class Line(nnx.Module):
        def __init__(self) -> None:
            self.dense = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
            self.scale = nnx.Param(jnp.float32(0.5))

    return Line()


def nnx_state() -> Any:
    nnx = load("flax.nnx")
    return nnx.state(nnx_model(), nnx.Param)


CONTAINERS = [flax_frozen_dict, haiku_immutable_dict, equinox_module, nnx_state]


@pytest.mark.parametrize("make", CONTAINERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_two_steps_in_a_container(name: str, make: Callable[[], Any]) -> None:
    subject, params = subjects.subject(name), make()

    def steps(params: Any) -> Any:
        first = state = subject.tx.init(params)
        for i in range(2):
            grads = gradients(params, i)
            updates, state = subject.update(grads, state, params)
            assert_updates_fit(updates, grads, params, subject.name)
            params = optcore.apply_updates(params, updates)
        assert jax.tree.structure(state) == jax.tree.structure(first)
        return params

    moved = jax.jit(steps)(params)
    assert jax.tree.structure(moved) == jax.tree.structure(params)
    assert_finite(moved, subject.name)


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_an_nnx_optimizer(name: str) -> None:
    nnx = load("flax.nnx")
    model, subject = nnx_model(), subjects.subject(name)
    optimizer = nnx.Optimizer(model, subject.tx, wrt=nnx.Param)
    before = jax.tree.structure(nnx.state(optimizer))
    for i in range(2):
        params = nnx.state(model, nnx.Param)
        grads = gradients(params, i)
        if subject.per_example:
            grads = jax.tree.map(lambda g: jnp.stack([g, g]), grads)
        optimizer.update(model, grads, **subject.extra)
    assert jax.tree.structure(nnx.state(optimizer)) == before
    assert_finite(nnx.state(model, nnx.Param), subject.name)


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "tx",
    [
        optcore.adafactor(1e-2),
        optcore.came(1e-2),
        optcore.sm3(1e-2),
        optcore.store(optcore.adam(1e-2)),
    ],
    ids=lambda tx: tx.declaration.name,
)
@pytest.mark.sample(2)
def test_an_nnx_optimizer_trains_as_a_loop_over_arrays_does(tx: Any, jit: bool) -> None:
    """With a kernel that is factored, or encoded, beside a bias that is not."""
    nnx = load("flax.nnx")
    model = nnx.Linear(128, 128, rngs=nnx.Rngs(0))
    params = {"kernel": model.kernel[...], "bias": model.bias[...]}
    x = sample((2, 128), 3)

    def step(model: Any, optimizer: Any) -> None:
        optimizer.update(model, nnx.grad(lambda m: jnp.mean((m(x) - 1) ** 2))(model))

    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    for _ in range(3):
        (nnx.jit(step) if jit else step)(model, optimizer)

    def loss(params: Any) -> jax.Array:
        return jnp.mean((x @ params["kernel"] + params["bias"] - 1) ** 2)

    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        params = optcore.apply_updates(params, updates)
    np.testing.assert_allclose(model.kernel[...], params["kernel"], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(model.bias[...], params["bias"], rtol=2e-3, atol=2e-4)
