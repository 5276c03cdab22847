"""ADOPT against the box of arXiv 2411.02853, optax, pytorch_optimizer and HeavyBall."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.named import named


def adopt_2411_02853(
    w, grads, lr, b1, b2, eps, nesterov=False, use_clipping=True, clip_value_fn=lambda t: t**0.25
):
    """Algorithm 2, with `g_0` first; without clipping algorithm 1 in its form with `m_0 = 0`."""
    first, *rest = grads
    m, v = np.zeros_like(w), np.abs(first) ** 2
    yield w
    for t, g in enumerate(rest, start=1):
        x = g / np.maximum(np.sqrt(v), eps)
        if use_clipping:
            x = x * np.minimum(1, clip_value_fn(t) / np.abs(x))
        m = b1 * m + (1 - b1) * x
        w = w - lr * (b1 * m + (1 - b1) * x if nesterov else m)
        v = b2 * v + (1 - b2) * np.abs(g) ** 2
        yield w


def agrees(tx, oracle):
    """All steps together: the first does not move."""
    params, grads = oracles.start(), oracles.gradients()
    paths = {
        k: list(oracle(oracles.double(params[k]), [oracles.double(g[k]) for g in grads]))
        for k in params
    }
    for t, got in enumerate(oracles.run(tx, params, grads)):
        if t == 0:
            np.testing.assert_array_equal(got["w"], oracles.double(params)["w"])
        else:
            oracles.close(got, {k: path[t] for k, path in paths.items()}, params)


UNUSUAL = {
    "large_eps": {"b1": 0.8, "b2": 0.95, "eps": 0.7},
    "fast": {"b1": 0.3, "b2": 0.2, "eps": 1e-3},
    "slow": {"b1": 0.97, "b2": 0.9999, "eps": 1e-6},
    "no_memory": {"b1": 0.0, "b2": 0.0, "eps": 0.1},
    "nesterov": {"b1": 0.7, "b2": 0.9, "eps": 1e-2, "nesterov": True},
    "unclipped": {"b1": 0.7, "b2": 0.9, "eps": 0.2, "use_clipping": False},
    "clipped_otherwise": {"b1": 0.7, "b2": 0.9, "eps": 0.2, "clip_value_fn": lambda t: t / 10},
}
unusual = pytest.mark.parametrize("options", UNUSUAL.values(), ids=UNUSUAL.keys())


@unusual
def test_adopt(options):
    agrees(optcore.adopt(0.03, **options), functools.partial(adopt_2411_02853, lr=0.03, **options))


def test_the_direction_has_neither_rate_nor_sign():
    options = UNUSUAL["large_eps"]
    oracle = functools.partial(adopt_2411_02853, lr=-1, **options)
    agrees(optcore.optimizers.scale_by_adopt(**options), oracle)


def later(t):
    """The bound in pytorch_optimizer, whose counter is one ahead of the paper's."""
    return (t.astype(jnp.float32) + 1) ** 0.25


def corrected(decay, ahead):
    """A decay that corrects the average for its start: the weights of `t` steps add up to 1."""

    def schedule(count):
        t = jnp.maximum(count, 1) + ahead
        return decay * optcore.debias(decay, t - 1) / optcore.debias(decay, t)

    return schedule


GOLDEN = {
    "pytorch_optimizer-4.1.0/ADOPT{'lr': 0.01}": {"clip_value_fn": later},
    "heavyball-3.2.1/ADOPT{'lr': 0.01}": {
        "b1": corrected(0.9, 0),
        "b2": corrected(0.99, 1),
        "eps": 1e-8,
        "use_clipping": False,
    },
}


@pytest.mark.parametrize(
    ("key", "departure"), GOLDEN.items(), ids=["pytorch_optimizer", "heavyball"]
)
def test_golden(key, departure):
    """Both references depart from the box, and from each other, in what is given here."""
    # The golden parameters are float32, and have hardly moved after two steps.
    oracles.matches_golden(optcore.adopt(0.01, **departure), key, tolerance=5e-5, still=1)


def test_optax():
    """The same algorithm as the box."""
    params, grads = oracles.start(), oracles.gradients(6)
    params, grads = {"w": params["w"]}, [{"w": g["w"]} for g in grads]
    options = {"b1": 0.7, "b2": 0.9, "eps": 0.2, "nesterov": True}
    ours = oracles.run(optcore.adopt(0.1, **options), params, grads)
    with jax.numpy_dtype_promotion("standard"):
        theirs = list(oracles.run(optax.contrib.adopt(0.1, **options), params, grads))
    for got, want in list(zip(ours, theirs, strict=True))[1:]:
        oracles.close(got, want, params)


def test_the_first_gradient_only_sets_the_scale():
    tx = optcore.optimizers.scale_by_adopt(0.75, 0.5)
    g = {"z": jnp.full(2, 3 + 4j, jnp.complex64)}
    updates, state = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(updates["z"], np.zeros(2))
    np.testing.assert_array_equal(state.mu["z"], np.zeros(2))
    np.testing.assert_array_equal(state.nu["z"], np.full(2, 25))
    updates, state = tx.update({"z": 2 * g["z"]}, state)
    # Of absolute value 2 it is bounded to 1, and keeps its direction.
    np.testing.assert_allclose(updates["z"], np.full(2, 0.25 * (0.6 + 0.8j)), rtol=1e-6)
    np.testing.assert_array_equal(state.nu["z"], np.full(2, 62.5))
    assert state.count == 2


def test_a_coordinate_without_a_scale_stays():
    tx = optcore.optimizers.scale_by_adopt(eps=0.0)
    state = tx.init(jnp.zeros(2))
    for g in ([0.0, 1.0], [1.0, 1.0]):
        update, state = tx.update(jnp.array(g), state)
    assert update[0] == 0
    assert update[1] > 0


def test_mu_dtype():
    g = jnp.ones(3)
    state = optcore.adopt(0.1, mu_dtype=jnp.bfloat16).init(g)
    assert state[0].mu.dtype == jnp.bfloat16
    assert state[0].nu.dtype == jnp.float32


@pytest.mark.parametrize("name", ["adopt", "scale_by_adopt"])
def test_defaults(name):
    ours, theirs = named(name), getattr(optax.contrib, name)
    mine, other = oracles.defaults(ours), oracles.defaults(theirs)
    # optax's is a function, which every call of optax would make again and no config could hold.
    assert mine.pop("clip_value_fn") is None
    assert other.pop("clip_value_fn")(16) == 2
    assert mine == other
