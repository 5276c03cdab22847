"""The dtype contract: parameters and gradients of float32, bfloat16 and float16, in any pairing.

One tree holds a leaf for each of the nine pairs, so that one trace sees them all.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing
from tests.rules import for_each
from tests.subjects import OWN, TRANSFORMATIONS, subject

NARROW = {"f32": jnp.float32, "bf16": jnp.bfloat16, "f16": jnp.float16}
QUICK = {
    "adam",
    "asgd",
    "clip_by_global_norm",
    "madgrad",
    "master_weights",
    "sgd",
}
STEPS = 3

ROUNDED = {
    "kahan": "updates lead to rounded parameters",
    "master_weights": "updates lead to rounded parameters",
    "split_weights": "updates lead to rounded parameters",
    "stochastic_rounding": "updates lead to rounded parameters",
}
"""What does not give the updates of float32, and why; after `apply_updates` it is still close."""

IN_THEIR_DTYPE = {
    "asam": "calls the user's gradient at neighbours that have the parameters' dtype",
    "sam": "calls the user's gradient at neighbours that have the parameters' dtype",
    "hutchinson_estimator_diag_hessian": "derives the user's loss by the parameters as they are",
}
"""State arrays with no more digits than the parameters, and why."""


def test_the_quick_ones_exist():
    assert set(TRANSFORMATIONS) >= QUICK | set(ROUNDED) | set(IN_THEIR_DTYPE)


def tree(values, dtype_of):
    """A leaf per pair of dtypes, `dtype_of(parameter's, gradient's)`."""
    return {
        f"{p}_{g}": values(i).astype(dtype_of(NARROW[p], NARROW[g]))
        for i, (p, g) in enumerate((p, g) for p in NARROW for g in NARROW)
    }


def numbers(seed, size):
    """Numbers that all three formats hold: seven binary digits, and no large exponents."""

    def values(i):
        rng = np.random.default_rng(100 * seed + i)
        whole = rng.integers(64, 128, (4, 3)) * rng.choice([-1, 1], (4, 3))
        return jnp.asarray(size * whole / 64.0, jnp.float32)

    return values


def params_and_grads(mixed):
    params = tree(numbers(0, 0.5), (lambda p, g: p) if mixed else lambda p, g: jnp.float32)
    grads = [
        tree(numbers(1 + step, 0.25), (lambda p, g: g) if mixed else lambda p, g: jnp.float32)
        for step in range(STEPS)
    ]
    return params, grads


class Run:
    """Steps that are traced once, with a state that keeps its types."""

    def __init__(self, subject, params):
        self.traces = 0
        self.params = params
        self.start = subject.tx.init(params)
        self.types = jax.tree.map(jax.typeof, self.start)
        assert not any(t.weak_type for t in jax.tree.leaves(self.types))

        @jax.jit
        def step(g, state, params):
            self.traces += 1
            return subject.update(g, state, params)

        self.step = step

    def __call__(self, grads):
        """The updates of each step, and the last state."""
        state, made = self.start, []
        for g in grads:
            updates, state = self.step(g, state, self.params)
            assert jax.tree.map(jax.typeof, state) == self.types
            made.append(updates)
        assert self.traces == 1
        for x in jax.tree.leaves((made, state)):
            assert np.isfinite(x).all()
        return made, state


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow])
        for n in sorted(TRANSFORMATIONS)
    ],
)
def test_nine_pairs(name):
    """Updates are float32 and those of float32 arrays of the same numbers; nothing overflows."""
    params, grads = params_and_grads(mixed=True)
    run = Run(subject(name), params)
    made, _ = run(grads)
    wide_params, wide_grads = params_and_grads(mixed=False)
    expected, _ = Run(subject(name), wide_params)(wide_grads)
    for updates, wanted in zip(made, expected, strict=True):
        for leaf, u in updates.items():
            assert u.dtype == jnp.float32
            if name not in ROUNDED:
                # Rounding alone: the compiler may fuse the two programs in different ways.
                size = np.abs(wanted[leaf]).max()
                spacing = jnp.finfo(params[leaf].dtype).eps if name in IN_THEIR_DTYPE else 0
                np.testing.assert_allclose(u, wanted[leaf], rtol=0, atol=max(2e-6, spacing) * size)
                continue
            p = params[leaf]
            moved = optcore.apply_updates(p, u).astype(jnp.float32)
            spacing = 0 if p.dtype == jnp.float32 else jnp.finfo(p.dtype).eps
            np.testing.assert_allclose(moved, p.astype(jnp.float32) + wanted[leaf], rtol=spacing)
    for size in (0, 6e-8):
        run([jax.tree.map(lambda g, s=size: jnp.full_like(g, s), g) for g in grads])


COPIES = {"add_decay_to_init": "a copy of the parameters, exact in their own dtype"}
"""Whose state holds narrow arrays, and why."""


@for_each(lambda: {name: subject(name) for name in TRANSFORMATIONS if name not in ROUNDED})
def test_states_are_wide_by_default(subject):
    """What a state remembers of a narrow parameter has at least the digits of float32."""
    params = {d: jax.ShapeDtypeStruct((4, 3), d) for d in ("bfloat16", "float16")}
    state = jax.eval_shape(subject.tx.init, params)
    narrow = {
        jax.tree_util.keystr(path): x.dtype.name
        for path, x in jax.tree_util.tree_leaves_with_path(state)
        if jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize < 4
    }
    assert bool(narrow) == (subject.name in COPIES), narrow


def with_dtype_argument():
    """Every factory with an argument for the dtype of a moment."""
    for name in TRANSFORMATIONS:
        for role in OWN[name].roles.values():
            if role.kind == "dtype" and role.name != "hyperparam_dtype":
                marks = [] if name == "scale_by_adam" else [pytest.mark.slow]
                yield pytest.param(name, role.name, id=f"{name}-{role.name}", marks=marks)


TOGETHER = {"adafactor": {"momentum": 0.9}}
"""What else an argument for a dtype needs to have a meaning."""


@pytest.mark.parametrize(("name", "argument"), list(with_dtype_argument()))
def test_moments_in_bfloat16(name, argument):
    """They are what the argument says, stay so, and change the updates by rounding only."""
    tx = subject(name).tx.replace(**TOGETHER.get(name, {}))
    plain, narrow = (
        testing.Subject(name, made, extra=subject(name).extra)
        for made in (tx, tx.replace(**{argument: jnp.bfloat16}))
    )
    params, grads = params_and_grads(mixed=True)
    made, state = Run(narrow, params)(grads)
    expected, wide = Run(plain, params)(grads)
    kinds = [(a.dtype, b.dtype) for a, b in zip(*map(jax.tree.leaves, (state, wide)), strict=True)]
    assert (jnp.bfloat16, jnp.float32) in kinds
    for leaf, u in made[-1].items():
        assert u.dtype == jnp.float32
        size = np.abs(expected[-1][leaf]).max()
        np.testing.assert_allclose(u, expected[-1][leaf], rtol=0, atol=0.1 * size)
