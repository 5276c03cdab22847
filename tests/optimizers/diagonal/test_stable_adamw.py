"""StableAdamW against the box of arXiv 2304.13013 and pytorch_optimizer."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from tests import oracles


def stable_adamw_2304_13013(w, grads, lr, b1, b2, eps, decay):
    """Algorithm 2, whose averages are corrected as they are made."""
    m, v = np.zeros_like(w), np.zeros(w.shape)
    for t, g in enumerate(grads, start=1):
        b1_hat = b1 * (1 - b1 ** (t - 1)) / (1 - b1**t)
        b2_hat = b2 * (1 - b2 ** (t - 1)) / (1 - b2**t)
        m = b1_hat * m + (1 - b1_hat) * g
        v = b2_hat * v + (1 - b2_hat) * np.abs(g) ** 2
        rms = np.sqrt(np.mean(np.abs(g) ** 2 / np.maximum(v, eps**2)))
        eta = lr / max(1, rms)
        w = w - eta * decay * w - eta * m / (np.sqrt(v) + eps)
        yield w


UNUSUAL = {
    "large_eps": {"b1": 0.8, "b2": 0.95, "eps": 0.9},
    "fast": {"b1": 0.3, "b2": 0.6, "eps": 0.1},
    "no_memory": {"b1": 0.0, "b2": 0.0, "eps": 0.2},
    "long": {"b1": 0.99, "b2": 0.9999, "eps": 1e-8},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


def uneven(steps=12):
    """Gradients of changing size, so that some steps are clipped and others not."""
    sizes = [1.0, 0.1, 5.0, 0.5, 30.0]
    return [
        {name: np.float32(sizes[t % 5]) * x for name, x in g.items()}
        for t, g in enumerate(oracles.gradients(steps))
    ]


@unusual
def test_stable_adamw(options):
    oracle = functools.partial(stable_adamw_2304_13013, lr=0.03, decay=0.7, **options)
    tx = optcore.stable_adamw(0.03, weight_decay=0.7, **options)
    oracles.agrees(tx, oracle, grads=uneven())


def test_the_direction_has_neither_rate_nor_sign():
    oracle = functools.partial(stable_adamw_2304_13013, lr=-0.01, decay=0.7, **UNUSUAL["fast"])
    tx = optcore.optimizers.scale_by_stable_adamw(weight_decay=0.7, **UNUSUAL["fast"])
    oracles.agrees(optcore.chain(tx, optcore.scale(0.01)), oracle, grads=uneven())


def test_golden():
    tx = optcore.stable_adamw(0.01)
    oracles.matches_golden(tx, "pytorch_optimizer-4.1.0/StableAdamW{'lr': 0.01}")


def test_no_gradient_makes_a_large_step():
    """Without first moment the root mean square of every step is at most the rate."""
    tx = optcore.stable_adamw(0.5, b1=0.0, weight_decay=0.0, eps=0.0)
    params = oracles.start()
    before = oracles.double(params)
    lengths = []
    for position in oracles.run(tx, params, uneven(40)):
        lengths += [np.sqrt(np.mean(np.abs(position[k] - before[k]) ** 2)) for k in params]
        before = position
    assert max(lengths) == pytest.approx(0.5, rel=1e-5)
    assert min(lengths) < 0.1


def test_it_decays_what_the_mask_says():
    params, grads = oracles.start(), uneven()
    tx = optcore.stable_adamw(
        0.03, weight_decay=0.7, mask={"w": True, "z": False}, **UNUSUAL["fast"]
    )
    *_, got = oracles.run(tx, params, grads)
    for name, decay in (("w", 0.7), ("z", 0.0)):
        of_leaf = [oracles.double(g[name]) for g in grads]
        start = oracles.double(params[name])
        *_, want = stable_adamw_2304_13013(start, of_leaf, 0.03, decay=decay, **UNUSUAL["fast"])
        oracles.close({name: got[name]}, {name: want}, params)


def test_steady_gradients_make_it_adamw():
    params, g = oracles.start(), oracles.gradients(1)[0]
    ours = oracles.run(optcore.stable_adamw(0.1, 0.7, 0.9, weight_decay=0.3), params, 5 * [g])
    adamw = oracles.run(optcore.adamw(0.1, 0.7, 0.9, weight_decay=0.3), params, 5 * [g])
    for got, want in zip(ours, adamw, strict=True):
        oracles.close(got, want, params)


def test_mu_dtype():
    state = optcore.stable_adamw(0.1, mu_dtype=jnp.bfloat16).init(jnp.ones(2))[0]
    assert (state.mu.dtype, state.nu.dtype) == (jnp.bfloat16, jnp.float32)


def test_defaults():
    """pytorch_optimizer's; the paper finds a smaller `b2` than Adam's to be safer."""
    expected = {
        "b1": 0.9, "b2": 0.99, "eps": 1e-8, "mu_dtype": None, "weight_decay": 1e-2, "mask": None,
    }  # fmt: skip
    assert oracles.defaults(optcore.optimizers.scale_by_stable_adamw) == expected
    assert oracles.defaults(optcore.stable_adamw) == expected


def test_what_never_moved_counts_as_small():
    """Without an epsilon a gradient that was always zero adds 0/0 = 0 to the mean square."""
    tx = optcore.optimizers.scale_by_stable_adamw(0.0, 0.5, 0.0, weight_decay=0.0)
    state = tx.init(jnp.zeros(4))
    for size in (1.0, 9.0):
        g = jnp.array([size, 0.0, 0.0, 0.0])
        u, state = tx.update(g, state, jnp.zeros(4))
    # v = (1/4 + 81/2) / (3/4); one of four coordinates counts, and the step is not shortened.
    adam = 9 / np.sqrt((0.25 + 40.5) / 0.75)
    assert adam**2 / 4 < 1 < (adam**2 + 3) / 4
    np.testing.assert_allclose(u, [adam, 0, 0, 0], rtol=1e-6)


def test_one_number_is_its_own_mean():
    params = {"scalar": np.float32(0.5), "one": np.float32([2.0])}
    grads = [{"scalar": np.float32(t), "one": np.float32([1.0 - t])} for t in (3.0, 9.0, 0.5)]
    oracle = functools.partial(stable_adamw_2304_13013, lr=0.03, decay=0.7, **UNUSUAL["fast"])
    tx = optcore.stable_adamw(0.03, weight_decay=0.7, **UNUSUAL["fast"])
    oracles.agrees(tx, oracle, params=params, grads=grads)
