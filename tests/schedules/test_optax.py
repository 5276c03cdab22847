"""Every schedule of optax gives optax's values on random arguments."""

import inspect

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import strategies as st

from tests.named import named
from tests.oracles import quick

VALUES = st.floats(-2, 2, width=32)
PEAKS = st.floats(0.125, 2, width=32)
FACTORS = st.floats(0.25, 2, width=32)
STEPS = st.integers(1, 40)
COUNTS = st.integers(0, 20)
SCALES = st.dictionaries(st.integers(1, 40), FACTORS, max_size=4)
WARM = {"init_value": VALUES, "peak_value": PEAKS, "warmup_steps": STEPS}
BOUND = st.none() | st.floats(0.125, 1, width=32)

ARGUMENTS = {
    "constant_schedule": {"value": VALUES},
    "linear_schedule": {
        "init_value": VALUES, "end_value": VALUES, "transition_steps": STEPS,
        "transition_begin": COUNTS,
    },
    "polynomial_schedule": {
        "init_value": VALUES, "end_value": VALUES, "power": st.sampled_from([1.0, 2.0, 3.0]),
        "transition_steps": STEPS, "transition_begin": COUNTS,
    },
    "exponential_decay": {
        "init_value": PEAKS, "transition_steps": STEPS, "decay_rate": FACTORS,
        "transition_begin": COUNTS, "staircase": st.booleans(), "end_value": BOUND,
    },
    "cosine_decay_schedule": {
        "init_value": VALUES, "decay_steps": STEPS, "alpha": st.floats(0, 1, width=32),
        "exponent": FACTORS,
    },
    "piecewise_constant_schedule": {"init_value": VALUES, "boundaries_and_scales": SCALES},
    "piecewise_interpolate_schedule": {
        "interpolate_type": st.sampled_from(["linear", "cosine"]), "init_value": VALUES,
        "boundaries_and_scales": SCALES,
    },
    "cosine_onecycle_schedule": {
        "transition_steps": st.integers(5, 40), "peak_value": PEAKS,
        "pct_start": st.floats(0.25, 0.7), "div_factor": st.floats(1, 30, width=32),
        "final_div_factor": st.floats(1, 100, width=32),
    },
    "linear_onecycle_schedule": {
        "transition_steps": st.integers(20, 60), "peak_value": PEAKS,
        "pct_start": st.floats(0.1, 0.4), "pct_final": st.floats(0.5, 0.9),
        "div_factor": st.floats(1, 30, width=32), "final_div_factor": st.floats(1, 100, width=32),
    },
    "warmup_constant_schedule": WARM,
    "warmup_cosine_decay_schedule": {
        **WARM, "decay_steps": st.integers(41, 80), "end_value": st.floats(0, 1, width=32),
        "exponent": FACTORS,
    },
    "warmup_exponential_decay_schedule": {
        **WARM, "transition_steps": STEPS, "decay_rate": FACTORS, "transition_begin": COUNTS,
        "staircase": st.booleans(), "end_value": BOUND,
    },
}  # fmt: skip

ELSEWHERE = {"join_schedules", "sgdr_schedule"}
"""Compared in their own tests: their arguments are schedules, or lists of arguments."""

NO_SCHEDULES = {"inject_hyperparams", "inject_stateful_hyperparams", "Any"}


def test_none_is_left_out():
    theirs = {
        name
        for name in dir(optax.schedules)
        if inspect.isfunction(getattr(optax.schedules, name)) and not name.startswith("_")
    }
    assert theirs - NO_SCHEDULES == set(ARGUMENTS) | ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("name", ARGUMENTS)
def test_values(name):
    counts = jnp.arange(130)

    @hypothesis.settings(quick, max_examples=12)
    @hypothesis.given(st.fixed_dictionaries(ARGUMENTS[name]))
    def check(arguments):
        ours = named(name)(**arguments)
        theirs = getattr(optax, name)(**arguments)
        with jax.numpy_dtype_promotion("standard"):
            expected = np.asarray(jax.vmap(lambda t: jnp.asarray(theirs(t), jnp.float32))(counts))
        if arguments.get("staircase"):
            # Traced, optax's floor of a rounded quotient is now and then a stair late.
            stairs = counts[:: arguments["transition_steps"]].tolist()
            with jax.numpy_dtype_promotion("standard"):
                expected = np.array([np.float32(theirs(t)) for t in stairs])
            got = np.asarray(ours(jnp.array(stairs)))
        else:
            got = np.asarray(ours(counts))
        scale = np.abs(expected).max() + 1e-30
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * scale)

    check()
