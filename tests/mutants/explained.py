"""Mutants that survive because they change nothing: (module, mutation, why).

An entry that no longer survives fails the run, so that the list cannot rot.
"""

POWER = "a power of two is divided out again, and this one is as far from the ends of the range"

EXPLAINED: list[tuple[str, str, str]] = [
    (
        "optcore._core._norm",
        "norm_along: factor = jnp.where(largest > 2.0 ** 40, down, jnp.where(largest < "
        "2.0 ** (-40), up, 1)) → factor = jnp.where(largest > 2.0 ** 40, down, "
        "jnp.where(largest < 2.0 ** (-41), up, 1))",
        POWER,
    ),
    (
        "optcore.transforms._normalize",
        "normalize_by_update_norm.normalized: "
        "a = jnp.where(size > 2.0 ** 64, 2.0 ** (-64), 1.0).astype(size.dtype) → "
        "a = jnp.where(size > 2.0 ** 64, 2.0 ** (-65), 1.0).astype(size.dtype)",
        POWER,
    ),
    (
        "optcore.optimizers.momentum._sign_sgd",
        "signum: return chain(ema(beta, debias=False, accumulator_dtype=accumulator_dtype), "
        "scale_by_sign(), scale_by_learning_rate(learning_rate)) → "
        "return chain(ema(beta, debias=True, accumulator_dtype=accumulator_dtype), "
        "scale_by_sign(), scale_by_learning_rate(learning_rate))",
        "a correction of the average does not change its sign",
    ),
]
