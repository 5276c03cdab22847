"""LARS against algorithm 1 of arXiv 1708.03888, and optax's variant against optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def norm(x):
    return np.sqrt((np.abs(x) ** 2).sum())


def lars_1708_03888(
    w, grads, lr, decay, trust, momentum, eps=0.0, nesterov=False, decays=True, scaled=True
):
    """Algorithm 1 at a constant rate, with optax's masks and epsilon."""
    v = np.zeros_like(w)
    decay = decay if decays else 0.0
    for g in grads:
        local = trust * norm(w) / (norm(g) + decay * norm(w) + eps) if scaled else 1.0
        step = lr * local * (g + decay * w)
        v = momentum * v + step
        w = w - (momentum * v + step if nesterov else v)
        yield w


UNUSUAL = {
    "plain": {"decay": 0.0, "trust": 0.2, "momentum": 0.0},
    "decay": {"decay": 0.7, "trust": 0.3, "momentum": 0.5},
    "eps": {"decay": 0.2, "trust": 0.3, "momentum": 0.8, "eps": 2.0},
    "nesterov": {"decay": 0.2, "trust": 0.3, "momentum": 0.8, "nesterov": True},
}


def made(lr, decay, trust, momentum, eps=0.0, nesterov=False, **masks):
    return optcore.lars(
        lr, decay, trust_coefficient=trust, eps=eps, momentum=momentum, nesterov=nesterov, **masks
    )


@pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_lars(options):
    oracles.agrees(made(0.4, **options), functools.partial(lars_1708_03888, lr=0.4, **options))


@pytest.mark.parametrize("decays", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_masks(decays, scaled):
    options = {"decay": 0.7, "trust": 0.3, "momentum": 0.5}
    masks = {"weight_decay_mask": {"w": decays, "z": True}}
    masks["trust_ratio_mask"] = lambda params: {"w": scaled, "z": True}
    params, grads = oracles.start(), oracles.gradients(4)
    *_, got = oracles.run(made(0.1, **options, **masks), params, grads)
    each = {"w": {"decays": decays, "scaled": scaled}, "z": {}}
    expected = {
        name: list(
            lars_1708_03888(
                oracles.double(params[name]), [g[name] for g in grads], 0.1, **options, **flags
            )
        )[-1]
        for name, flags in each.items()
    }
    oracles.close(got, expected, params)


@pytest.mark.parametrize("decay", [0.0, 0.7])
def test_optax_divides_by_the_norm_of_the_sum(decay):
    params, grads = {"w": oracles.start()["w"]}, [{"w": g["w"]} for g in oracles.gradients(5)]
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.lars(0.1, decay, trust_coefficient=0.3, eps=0.1)
        *_, expected = oracles.run(theirs, params, grads)
    ours = functools.partial(optcore.lars, 0.1, decay, trust_coefficient=0.3, eps=0.1)
    *_, same = oracles.run(ours(norm_of_sum=True), params, grads)
    oracles.close(same, expected, params)
    *_, paper = oracles.run(ours(), params, grads)
    off = np.abs(paper["w"] - expected["w"]).max()
    assert off > 0.01 if decay else off < 1e-6


def once(tx, g, p):
    return tx.update(g, tx.init(p), p)[0]


def test_at_zero():
    g, zeros = jnp.array([3.0, -4.0]), jnp.zeros(2)
    tx = optcore.optimizers.scale_by_lars(trust_coefficient=0.1)
    np.testing.assert_array_equal(once(tx, g, zeros), g)
    np.testing.assert_array_equal(once(tx, zeros, g), zeros)
    # With decay a zero gradient leaves a direction, and its length is that of the rule.
    tx = optcore.optimizers.scale_by_lars(0.5, trust_coefficient=0.1)
    np.testing.assert_allclose(once(tx, zeros, g), 0.1 * g, rtol=1e-6)


@pytest.mark.parametrize("magnitude", [1e30, 1e-36])
def test_huge_and_tiny_gradients(magnitude):
    g, p = np.float32([3 * magnitude, -4 * magnitude]), np.float32([600.0, 800.0])
    u = once(optcore.optimizers.scale_by_lars(trust_coefficient=1.0), g, p)
    np.testing.assert_allclose(u, [600.0, -800.0], rtol=1e-5)


def test_a_mask_of_another_tree_is_refused():
    tx = optcore.lars(0.1, trust_ratio_mask={"a": True})
    with pytest.raises(ValueError, match="trust_ratio_mask: the mask must be a tree"):
        once(tx, {"b": jnp.ones(2)}, {"b": jnp.ones(2)})


def test_defaults():
    oracles.same_defaults(optcore.lars, optax.lars)
    oracles.same_defaults(optcore.lars, optcore.optimizers.scale_by_lars)
