"""Rprop against torch, and its rules one by one."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def rprop_1993(w, grads, lr, minus=0.5, plus=1.2, low=1e-6, high=50.0):
    """Riedmiller and Braun's rules as torch has them, coordinate by coordinate."""
    if np.iscomplexobj(w):
        reals = rprop_1993(w.real, [g.real for g in grads], lr, minus, plus, low, high)
        imags = rprop_1993(w.imag, [g.imag for g in grads], lr, minus, plus, low, high)
        yield from (re + 1j * im for re, im in zip(reals, imags, strict=True))
        return
    w, size, before = w.copy(), np.full(w.shape, float(lr)), np.zeros(w.shape)
    for g in grads:
        for i in np.ndindex(w.shape):
            now = g[i]
            if now * before[i] > 0:
                size[i] *= plus
            elif now * before[i] < 0:
                size[i] *= minus
                now = 0.0
            size[i] = min(max(size[i], low), high)
            w[i] -= size[i] * np.sign(now)
            before[i] = now
        yield w.copy()


UNUSUAL = {
    "default": (0.03,),
    "factors": (0.03, 0.3, 1.7),
    "bounds": (0.03, 0.3, 1.7, 0.02, 0.07),
    "start_below": (0.01, 0.5, 1.2, 0.05, 1.0),
    "start_above": (1.0, 0.5, 1.2, 0.05, 0.2),
}


@pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_rprop(options):
    grads = [
        {name: g + 0.6 * before[name] for name, g in after.items()}
        for before, after in zip(oracles.gradients(12), oracles.gradients(12, 3), strict=True)
    ]
    oracles.agrees(optcore.rprop(*options), lambda w, g: rprop_1993(w, g, *options), grads=grads)


def test_golden():
    oracles.matches_golden(optcore.rprop(0.01), "torch.optim/Rprop(lr=.01)")


def test_a_turned_coordinate_rests_and_then_moves_by_the_smaller_step():
    tx = optcore.optimizers.scale_by_rprop(1.0, 0.5, 2.0)
    state = tx.init(jnp.float32(0.0))
    got = []
    for g in (3.0, -3.0, -3.0, -3.0, 0.0, -3.0):
        u, state = tx.update(jnp.float32(g), state)
        got.append(u.item())
    assert got == [1.0, 0.0, -0.5, -1.0, 0.0, -1.0]


def test_tiny_gradients_count_as_much_as_large_ones():
    tx = optcore.optimizers.scale_by_rprop(1.0, 0.5, 2.0)
    state = tx.init(jnp.zeros(2))
    for _ in range(3):
        u, state = tx.update(jnp.array([1e-30, -1e30]), state)
    np.testing.assert_array_equal(u, [4.0, -4.0])


@pytest.mark.parametrize(("minus", "plus"), [(0.0, 1.2), (1.0, 1.2), (0.5, 0.9)])
def test_factors_out_of_range_are_refused(minus, plus):
    for factory in (optcore.rprop, optcore.optimizers.scale_by_rprop):
        with pytest.raises(ValueError, match="must lie in"):
            factory(0.1, minus, plus)


@pytest.mark.parametrize("name", ["rprop", "scale_by_rprop"])
def test_defaults(name):
    oracles.same_defaults(named(name), getattr(optax, name))


def test_swapped_bounds_are_refused():
    with pytest.raises(ValueError, match="min_step_size must not exceed max_step_size"):
        optcore.rprop(0.1, min_step_size=2.0, max_step_size=1.0)
    optcore.rprop(0.1, min_step_size=1.0, max_step_size=1.0)
