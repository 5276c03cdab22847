"""NaN and infinities in random places: the run is the one in which those steps never happened."""

import dataclasses
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

STEPS = 1000
PARAMS = {"w": (3, 2), "scale": ()}
NOT_COMPARED = {"skipped", "total_notfinite", "notfinite_count", "last_finite"}
SCALE = {"scale", "finite_count"}
"""Of a loss scale, which overflows are meant to change."""


def adamw():
    """With a schedule, which must not advance on a skipped step."""
    return optcore.adamw(optcore.linear_schedule(0.02, 0.001, 900), weight_decay=0.1)


def noisy():
    """A random key in the state, which must not advance either."""
    return optcore.chain(
        optcore.clip_by_global_norm(1.0),
        optcore.add_noise(0.01, 0.55, key=jax.random.key(3)),
        optcore.sgd(0.05, momentum=0.9),
    )


def loss_scale(inner):
    return optcore.dynamic_loss_scale(inner, 2.0**8, growth_steps=20, max_scale=2.0**12)


accumulate, guard = optcore.accumulate, optcore.guard
WRAPPED = {
    "guard": lambda: guard(adamw()),
    "guard, random": lambda: guard(noisy()),
    "accumulate": lambda: accumulate(adamw(), 3),
    "accumulate, scheduled": lambda: accumulate(
        adamw(), optcore.piecewise_constant_schedule(2.0, {60: 2.0, 120: 0.25})
    ),
    "loss scale": lambda: loss_scale(adamw()),
    "skip_on_spike": lambda: optcore.skip_on_spike(adamw(), 4, np.inf, max_consecutive_skips=None),
    "accumulate(guard)": lambda: accumulate(guard(adamw()), 3),
    "guard(accumulate)": lambda: guard(accumulate(adamw(), 3)),
    "guard(guard)": lambda: guard(guard(adamw())),
    "accumulate(accumulate)": lambda: accumulate(accumulate(adamw(), 2), 3),
    "chain(guard)": lambda: optcore.chain(optcore.clip_by_global_norm(2.0), guard(adamw())),
    "loss scale(guard)": lambda: loss_scale(guard(adamw())),
    "loss scale(accumulate)": lambda: loss_scale(accumulate(adamw(), 3)),
    "loss scale(accumulate(guard))": lambda: loss_scale(accumulate(guard(adamw()), 3)),
    "loss scale(guard(accumulate))": lambda: loss_scale(guard(accumulate(adamw(), 3))),
}


@dataclasses.dataclass(frozen=True)
class Stream:
    """Gradients, and which of them are spoilt."""

    gradients: dict
    spoilt: np.ndarray

    @classmethod
    def made(cls, seed: int, share: float) -> "Stream":
        """One element of one leaf, or all of it, of every spoilt gradient."""
        rng = np.random.default_rng(seed)
        shapes, treedef = jax.tree.flatten(PARAMS, is_leaf=lambda x: isinstance(x, tuple))
        leaves = [rng.normal(size=(STEPS, *s)).astype(np.float32) for s in shapes]
        spoilt = rng.random(STEPS) < share
        for t in np.flatnonzero(spoilt):
            leaf = leaves[rng.integers(len(leaves))][t : t + 1].reshape(-1)
            which = slice(None) if rng.random() < 0.2 else rng.integers(leaf.size)
            leaf[which] = rng.choice([np.nan, np.inf, -np.inf])
        return cls(treedef.unflatten(leaves), spoilt)

    def without(self) -> dict:
        """The others in front, padded to the same length."""
        order = np.argsort(self.spoilt, kind="stable")
        return jax.tree.map(lambda g: g[order], self.gradients)


def runner(tx) -> Callable:
    """`run(gradients, steps)`, one compilation for any number of steps."""

    @jax.jit
    def run(gradients, steps):
        def body(t, carry):
            params, state = carry
            g = jax.tree.map(lambda g: g[t], gradients)
            g = jax.tree.map(lambda g, p: g + 0.1 * p, g, params)
            if isinstance(state, optcore.safety.DynamicLossScaleState):
                g = jax.tree.map(lambda g: g * optcore.loss_scale(state), g)
            updates, state = tx.update(g, state, params)
            return optcore.apply_updates(params, updates), state

        params = jax.tree.map(jnp.ones, PARAMS, is_leaf=lambda x: isinstance(x, tuple))
        return jax.lax.fori_loop(0, steps, body, (params, tx.init(params)))

    return run


def bits(tree, leave_out):
    """Every leaf by path, as integers, without some fields."""
    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if {str(getattr(key, "name", "")) for key in path} & leave_out:
            continue
        found[jax.tree_util.keystr(path)] = np.asarray(leaf).tobytes()
    return found


def finite(tree):
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return all(np.isfinite(x).all() for x in leaves)


QUICK = [
    "guard",
    "accumulate",
    "loss scale",
    "accumulate(guard)",
    "loss scale(guard)",
    "loss scale(accumulate(guard))",
]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in WRAPPED]
)
def test_as_if_it_had_never_happened(name):
    tx = WRAPPED[name]()
    stream = Stream.made(seed=len(name), share=0.15)
    taken = int(np.sum(~stream.spoilt))
    run = runner(tx)
    params, state = run(stream.gradients, STEPS)
    assert finite((params, state))
    wanted, wanted_state = run(stream.without(), taken)
    leave_out = NOT_COMPARED | (SCALE if "loss scale" in name else set())
    assert bits(params, leave_out=set()) == bits(wanted, leave_out=set())
    assert bits(state, leave_out) == bits(wanted_state, leave_out)
    assert 800 < taken < 900
    # The comparison is not empty: the run has moved, and its counts with it.
    assert all(np.any(p != 1) for p in jax.tree.leaves(params))


def test_the_rule_is_strict():
    """Without a guard the same stream is fatal, and one step more is another run."""
    stream = Stream.made(seed=0, share=0.15)
    run = runner(adamw())
    assert not finite(run(stream.gradients, STEPS)[0])
    taken = int(np.sum(~stream.spoilt))
    one, other = (run(stream.without(), steps)[0] for steps in (taken, taken - 1))
    assert finite(one)
    assert bits(one, set()) != bits(other, set())


@pytest.mark.parametrize("name", ["guard", pytest.param("loss scale", marks=pytest.mark.slow)])
def test_it_is_the_run_of_what_is_wrapped(name):
    stream = Stream.made(seed=5, share=0.15)
    params, state = runner(WRAPPED[name]())(stream.gradients, STEPS)
    steps = int(np.sum(~stream.spoilt))
    wanted, wanted_state = runner(adamw())(stream.without(), steps)
    # Another program: XLA rounds in other places.
    chex.assert_trees_all_close((params, state.inner), (wanted, wanted_state), rtol=1e-4, atol=1e-6)
    assert state.inner.count == wanted_state.count == steps
    assert state.total_notfinite == np.sum(stream.spoilt)


@pytest.mark.parametrize("name", ["guard", "loss scale(accumulate(guard))"])
def test_float16(name):
    """Gradients of float16, scaled where a scale is: whatever overflows is skipped."""
    tx = WRAPPED[name]()
    rng = np.random.default_rng(1)
    stream = rng.normal(size=(STEPS, 3)).astype(np.float16)
    stream[rng.random(STEPS) < 0.1, 1] = np.float16(np.inf)
    stream[rng.random(STEPS) < 0.05] *= np.float16(2000)

    @jax.jit
    def run(stream):
        params = jnp.ones(3, jnp.float16)

        def body(carry, g):
            params, state = carry
            if isinstance(state, optcore.safety.DynamicLossScaleState):
                g = g * optcore.loss_scale(state).astype(jnp.float16)
            updates, state = tx.update(g, state, params)
            return (optcore.apply_updates(params, updates), state), None

        return jax.lax.scan(body, (params, tx.init(params)), stream)[0]

    params, state = run(stream)
    assert finite((params, state))
    assert params.dtype == jnp.float16
    assert state.total_notfinite >= np.sum(~np.isfinite(stream).all(1))


def test_zeroing_stays_finite_too():
    """Each element by itself: the others go on as if nothing had happened to their neighbour."""
    stream = Stream.made(seed=9, share=0.15)
    tx = guard(optcore.trace(0.9), "zero")

    def body(state, g):
        updates, state = tx.update(g, state)
        return state, updates

    start = jax.tree.map(lambda g: jnp.zeros(g.shape[1:]), stream.gradients)
    state, updates = jax.jit(lambda g: jax.lax.scan(body, tx.init(start), g))(stream.gradients)
    momentum = jax.tree.map(np.zeros_like, start)
    for t in range(STEPS):
        clean = jax.tree.map(
            lambda g, t=t: np.nan_to_num(g[t], nan=0, posinf=0, neginf=0), stream.gradients
        )
        momentum = jax.tree.map(lambda m, g: np.float32(0.9) * m + g, momentum, clean)
    last = jax.tree.map(lambda u: u[-1], updates)
    chex.assert_trees_all_close(last, momentum, rtol=1e-5, atol=1e-6)
    assert finite((updates, state))
    assert state.total_notfinite == np.sum(stream.spoilt)
