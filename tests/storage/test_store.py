"""Stored moments: what is encoded and what is not, their memory, sharding, keys and accuracy."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import optcore
from optcore import testing
from optcore._core import leaf_keys
from optcore.storage._codecs import CODECS
from optcore.storage._rounding import stochastic
from tests import subjects
from tests.storage.narrow import bits, conformance

KEY = jax.random.key(11)
BIG = {"w": jnp.zeros((32, 256)), "b": jnp.zeros(256)}


def make(codec, inner, **options):
    return optcore.store(inner, codec, key=KEY if codec == "bf16" else None, **options)


ALL = [name for name in ("bf16", *CODECS) if name != "int8_linear"]


def arrays(state):
    """The arrays of a state by path."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in paths}


def test_what_is_encoded():
    """Moments of large leaves are, everything else stays as it is."""
    params = {**BIG, "c": jnp.zeros((64, 64), jnp.complex64), "n": None}
    found = arrays(optcore.store(optcore.adam(1e-3), "int8").init(params))
    dtypes = {name: (x.dtype.name, x.shape) for name, x in found.items()}
    assert dtypes == {
        "inner/0/count": ("int32", ()),
        "inner/0/mu/b": ("float32", (256,)),
        "inner/0/mu/c": ("complex64", (64, 64)),
        "inner/0/mu/w": ("uint8", (32, 256)),
        "inner/0/nu/b": ("float32", (256,)),
        "inner/0/nu/c": ("uint8", (64, 64)),
        "inner/0/nu/w": ("uint8", (32, 256)),
        "scales/0/mu/w": ("float32", (32, 1)),
        "scales/0/nu/c": ("float32", (64, 1)),
        "scales/0/nu/w": ("float32", (32, 1)),
    }


def encoded(tx, params=BIG):
    """The paths of what is encoded."""
    found = arrays(tx.init(params))
    return {name for name in found if name.replace("inner", "scales", 1) in found} - {
        name for name in found if name.startswith("scales")
    }


def test_what_stays_is_chosen():
    adam = optcore.adam(1e-3)
    mu, nu = "inner/0/mu/", "inner/0/nu/"
    assert encoded(make("int8", adam, min_size=1)) == {f"{m}{p}" for m in (mu, nu) for p in "wb"}
    assert encoded(make("int8", adam, min_size=1, min_ndim=2)) == {f"{mu}w", f"{nu}w"}
    assert encoded(make("int8", adam, min_size=8193)) == set()
    rules = {r"/w$": "float32"}
    assert encoded(make("int8", adam, min_size=1, rules=rules)) == {f"{mu}b", f"{nu}b"}
    assert encoded(optcore.store(adam, {"nu": "int8"})) == {f"{nu}w"}
    both = optcore.store(adam, {"nu": "int4", "mu": "bf16"}, key=KEY).init(BIG)
    assert both.inner[0].mu["w"].dtype == jnp.bfloat16
    assert both.inner[0].nu["w"].shape == (32, 128)


class ForeignState(NamedTuple):
    squares: Any


def foreign():
    def update(updates, state, params=None):
        squares = jax.tree.map(lambda g, s: s + g * g, updates, state.squares)
        return jax.tree.map(lambda g, s: -g / jnp.sqrt(s), updates, squares), ForeignState(squares)

    def init(params):
        return ForeignState(jax.tree.map(jnp.zeros_like, params))

    return optcore.GradientTransformation(init, update)


def test_a_foreign_state_needs_a_rule():
    with pytest.raises(ValueError, match=r"'squares/w', float32\[32, 256\].*give a rule"):
        optcore.store(foreign(), "int8").init(BIG)
    state = make("int8", foreign(), rules={"squares": "nonnegative"}).init(BIG)
    assert state.inner.squares["w"].dtype == jnp.uint8
    assert encoded(make("int8", foreign(), rules={"squares": "float32"})) == set()
    # Small ones are not encoded, whatever they are.
    make("int8", foreign(), min_size=10_000).init(BIG)


def test_optax_uses_the_same_words():
    optax = pytest.importorskip("optax", reason="its states are looked into")
    tx = make("int8", optax.adam(1e-3))
    assert encoded(tx) == {"inner/0/mu/w", "inner/0/nu/w"}
    grads = jax.tree.map(jnp.ones_like, BIG)
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = jax.jit(tx.update)(grads, tx.init(BIG))
    np.testing.assert_allclose(updates["w"], -1e-3, rtol=1e-4)


def test_linear_codes_for_second_moments_are_refused():
    with pytest.raises(ValueError, match=r"'0/nu/b' is a second moment.*would become 0"):
        optcore.store(optcore.adam(1e-3), "int8_linear").init(BIG)
    optcore.store(optcore.sgd(0.1, momentum=0.9), "int8_linear").init(BIG)
    optcore.store(optcore.adam(1e-3), {"mu": "int8_linear", "nu": "int8"}).init(BIG)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "codec must be one of", {"codec": "int7"}),
        (ValueError, "codec must be one of", {"codec": {"mu": "int7"}}),
        (ValueError, "got 'momentum'", {"codec": {"momentum": "int8"}}),
        (ValueError, "got none", {"codec": {}}),
        (TypeError, "needs a key", {"codec": "bf16"}),
        (ValueError, "uses no key", {"codec": "int8", "key": KEY}),
        (ValueError, "no scales", {"codec": "bf16", "key": KEY, "block": 32}),
        (ValueError, "a rule is one of", {"rules": {"w": "int8"}}),
        (ValueError, "must be a regular expression", {"rules": {"(": "signed"}}),
        (TypeError, "rules must be a dict", {"rules": ["w"]}),
        (ValueError, "block must lie in", {"block": 0}),
    ],
)
def test_bad_arguments(error, message, arguments):
    with pytest.raises(error, match=re.escape(message)):
        optcore.store(optcore.adam(1e-3), **arguments)


LIMITS = {"int8": 2.04, "int8_softsign": 2.13, "int4": 1.07, "fp8": 2.04, "bf16": 4.001}


@pytest.mark.parametrize(
    ("inner", "where"),
    [
        (optcore.store(optcore.adam(1e-3), {"mu": "int8"}), ""),
        (optcore.chain(optcore.store(optcore.scale_by_adam()), optcore.trace(0.9)), " at '0'"),
    ],
    ids=["itself", "in a chain"],
)
def test_a_store_in_a_store_is_refused(inner, where):
    """Also of another field: the codes of one would be decoded by the other."""
    with pytest.raises(ValueError, match=re.escape(f"store: inner holds a store{where}, and")):
        optcore.store(inner, {"nu": "fp8"}).init(BIG)


@pytest.mark.parametrize("codec", LIMITS)
@pytest.mark.sample(2)
def test_bytes_of_the_compiled_step(codec):
    """Of the arguments of a donated step, per parameter, beside parameters and gradients."""
    shape = (1024, 1024)
    params = jax.ShapeDtypeStruct(shape, jnp.float32)

    def argument_bytes(tx):
        state = jax.eval_shape(tx.init, params)

        def step(params, state, grads):
            updates, state = tx.update(grads, state, params)
            return optcore.apply_updates(params, updates), state

        step = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
        return step.memory_analysis().argument_size_in_bytes - 2 * 4 * 1024 * 1024

    adam = optcore.adam(1e-3)
    assert argument_bytes(make(codec, adam)) / 1024**2 <= LIMITS[codec]
    if codec == "int8":
        assert argument_bytes(adam) / 1024**2 == pytest.approx(8, abs=1e-4)


@pytest.mark.parametrize(
    "codec", ["int8", *(pytest.param(c, marks=pytest.mark.slow) for c in ALL if c != "int8")]
)
def test_sharded_like_the_parameter(codec):
    """Over both axes, with blocks that lie within the shards."""
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))
    sharding = NamedSharding(mesh, PartitionSpec("x", "y"))
    rng = np.random.default_rng(0)
    params = jnp.asarray(rng.standard_normal((16, 128)), jnp.float32)
    grads = [jnp.asarray(rng.standard_normal((16, 128)), jnp.float32) for _ in range(3)]
    block = {} if codec == "bf16" else {"block": 32}
    tx = make(codec, optcore.adam(1e-3), min_size=1, **block)
    update = jax.jit(tx.update)

    def run(place):
        p = place(params)
        state = tx.init(p)
        first = state
        for g in grads:
            updates, state = update(place(g), state, p)
        return updates, state, first

    updates, state, first = run(lambda x: jax.device_put(x, sharding))
    expected, expected_state, _ = run(lambda x: x)
    for stored in (state, first):
        moments = stored.inner[0]
        for part in jax.tree.leaves((moments.mu, moments.nu, stored.scales)):
            assert part.sharding.is_equivalent_to(sharding, 2)
    np.testing.assert_allclose(updates, expected, rtol=1e-6)
    for name in ("mu", "nu"):
        got, want = (getattr(s.inner[0], name) for s in (state, expected_state))
        np.testing.assert_array_equal(bits(got), bits(want))


def test_bits_come_from_key_step_and_path():
    """Not from the other leaves, nor from an interruption."""
    tx = make("bf16", optcore.trace(0.9), min_size=1)
    grads = {"a": jnp.full((8, 8), 0.1), "b": jnp.full((8, 8), 0.1)}
    state = tx.init(grads)
    for _ in range(2):
        _, state = tx.update(grads, state)
    codes = {name: bits(x) for name, x in state.inner.trace.items()}
    assert np.any(codes["a"] != codes["b"])
    alone = {"a": grads["a"]}
    state = tx.init(alone)
    _, state = tx.update(alone, state)
    key = leaf_keys(KEY, jnp.int32(1), {"trace": alone})["trace"]["a"]
    np.testing.assert_array_equal(
        state.inner.trace["a"].astype(jnp.float32), stochastic(alone["a"], jnp.bfloat16, key)
    )
    # To the disk and back, as other arrays.
    state = jax.tree.map(lambda x: x if x.dtype == KEY.dtype else jnp.array(x), state)
    _, state = jax.jit(tx.update)(alone, state)
    np.testing.assert_array_equal(bits(state.inner.trace["a"]), codes["a"])


def test_bfloat16_moments_do_not_stall():
    """A second moment reaches that of a constant gradient; to nearest it stops at a third."""
    steps, b2 = 2000, 0.999
    tx = make("bf16", optcore.scale_by_rms(b2), min_size=1)
    g = jnp.full(512, 0.01)

    @jax.jit
    def run(state):
        return jax.lax.scan(lambda s, _: (tx.update(g, s)[1], None), state, length=steps)[0]

    nu = np.asarray(run(tx.init(g)).inner.nu, np.float64)
    exact = 1e-4 * (1 - b2**steps)
    assert nu.mean() == pytest.approx(exact, rel=0.01)
    to_nearest = np.dtype(jnp.bfloat16).type
    stalled = 0.0
    for _ in range(steps):
        stalled = float(to_nearest(b2 * stalled + (1 - b2) * 1e-4))
    assert stalled < 0.5 * exact


def adam_in_numpy(grads, block, maps, b1, b2, eps):
    """Adam in float64, with moments that pass through codes found by search."""

    def through(x, values):
        size, shape = np.abs(x).reshape(-1, block).max(axis=1, keepdims=True), x.shape
        ratio = x.reshape(-1, block) / np.where(size == 0, 1, size)
        edges = (values[1:] + values[:-1]) / 2
        code = np.searchsorted(edges, ratio, side="right")
        if values[0] >= 0:
            code = np.where(ratio > 0, np.maximum(code, 1), code)
        return (values[code] * size).reshape(shape)

    m = v = np.zeros_like(grads[0])
    steps = []
    for t, g in enumerate(grads, start=1):
        m = b1 * through(m, maps[0]) + (1 - b1) * g
        v = b2 * through(v, maps[1]) + (1 - b2) * g * g
        steps.append(-(m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps))
    return steps


def test_adam_follows_the_published_codes():
    """Against NumPy, with the maps as tables and unusual decays."""
    maps = [optcore.storage.dynamic_map(signed=s).astype(np.float64) for s in (True, False)]
    rng = np.random.default_rng(9)
    grads = [rng.standard_normal((6, 64)) * 10 ** rng.uniform(-3, 0, (6, 64)) for _ in range(6)]
    expected = adam_in_numpy(grads, 32, maps, 0.8, 0.95, 1e-4)
    tx = make("int8", optcore.adam(1.0, b1=0.8, b2=0.95, eps=1e-4), block=32, min_size=1)
    state = tx.init(jnp.zeros((6, 64)))
    for g, want in zip(grads, expected, strict=True):
        got, state = tx.update(jnp.asarray(g, jnp.float32), state)
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5 * np.abs(want).max())
    # The codes matter: without them the steps differ by percents.
    exact = optcore.adam(1.0, b1=0.8, b2=0.95, eps=1e-4)
    state = exact.init(jnp.zeros((6, 64)))
    for g in grads:
        plain, state = exact.update(jnp.asarray(g, jnp.float32), state)
    assert np.abs(np.asarray(plain) - expected[-1]).max() > 1e-3


def subject(codec, inner):
    tx = make(codec, inner, min_size=1, **({} if codec == "bf16" else {"block": 2}))
    descends = inner.declaration.factory.kind == "optimizer"
    return testing.Subject(f"{codec} of {inner.declaration.name}", tx, descends=descends)


# Near 1, what float32 leaves of 1 - b2 shows where the bias correction does not take it away.
ADAM = {codec: subject(codec, optcore.adam(0.02, b1=0.6, b2=0.7)) for codec in ALL}
MOMENTUM = {codec: subject(codec, optcore.trace(0.9)) for codec in ALL}


@pytest.mark.parametrize(
    ("check", "subject"), conformance({"bf16", "int8_softsign"}, ADAM, MOMENTUM)
)
@pytest.mark.sample(1)
def test_conformance_of_every_codec(check, subject):
    check(subject)


OPTIMIZERS = [n for n in subjects.names("optimizer") if not subjects.OWN[n].per_example]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("codec", ["int8", "int4"])
def test_around_every_optimizer(codec, name):
    """It takes steps, and they go downhill nearly as far as with float32 moments."""
    subject = subjects.subject(name)
    params = jnp.linspace(-1.0, 1.0, 96).reshape(2, 48)
    tx = make(codec, subject.tx, min_size=1)

    def end(tx):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(2 * (params - 0.5), state, params, **subject.extra)
            return (optcore.apply_updates(params, updates), state), None

        (params_, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=50)
        return jnp.sum((params_ - 0.5) ** 2)

    start = float(jnp.sum((params - 0.5) ** 2))
    plain, stored = float(jax.jit(lambda: end(subject.tx))()), float(jax.jit(lambda: end(tx))())
    assert np.isfinite(stored)
    if plain < 0.9 * start:
        assert start - stored > 0.5 * (start - plain)
