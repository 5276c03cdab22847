"""What the tests of narrow parameters share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import testing

DTYPES = {"bf16": jnp.bfloat16, "f16": jnp.float16}


def walk(tx, w, grads):
    """The parameters and the state after one compiled step per row of gradients."""

    @jax.jit
    def run(w, state):
        def step(carry, g):
            w, state = carry
            updates, state = tx.update(g, state, w)
            return (optcore.apply_updates(w, updates), state), None

        return jax.lax.scan(step, (w, state), grads)[0]

    return run(w, tx.init(w))


def bits(x):
    """The bits of an array, as unsigned integers."""
    x = np.asarray(x)
    return x.view(f"u{x.dtype.itemsize}")


def across_exponents(size, low, high, seed):
    """float32 numbers of both signs, spread evenly over powers of two."""
    rng = np.random.default_rng(seed)
    return (rng.choice([-1, 1], size) * 2 ** rng.uniform(low, high, size)).astype(np.float32)


def pairs(dtype):
    """Parameters and steps: to a little, to much, through zero, from and to zero."""
    low, high = (-60, 60) if dtype == jnp.bfloat16 else (-8, 8)
    p = jnp.asarray(across_exponents(20_000, low, high, 0)).astype(dtype)
    ratio = across_exponents(20_000, -14 if dtype == jnp.bfloat16 else -11, 7, 1)
    target = np.asarray(p, np.float32) * ratio
    p = jnp.concatenate([p, p[:4], jnp.zeros(4, dtype)])
    target = np.concatenate([target, np.zeros(4, np.float32), target[:4]])
    return p, jnp.asarray(target)


QUICK = "scans"
CHECKED = {
    QUICK,
    "state_keeps_its_type",
    "jit_changes_nothing",
    "vmap_is_a_loop",
    "state_may_be_donated",
    "sharded_equals_single",
    "state_survives_the_disk",
    "zero_gradients_are_harmless",
    "tiny_gradients_are_harmless",
    "gradients_are_finite",
    "hyperparameters_may_be_traced",
    "descends",
}


def conformance(quick, *dicts):
    """Checks of dicts of subjects; by default one check of those of the first that are named."""
    checks = {testing.check_name(check): check for check in testing.CHECKS}
    assert checks.keys() >= CHECKED
    assert dicts[0].keys() >= quick
    return [
        pytest.param(
            checks[title],
            subject,
            id=f"{title}-{subject.name}".replace(" ", "_"),
            marks=[]
            if title == QUICK and name in quick and subjects is dicts[0]
            else [pytest.mark.slow],
        )
        for subjects in dicts
        for name, subject in subjects.items()
        for title in sorted(CHECKED)
    ]
