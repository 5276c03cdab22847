"""Mutants that survive because they change nothing: (module, mutation, why).

An entry that no longer survives fails the run, so that the list cannot rot.
"""

MASKED = "the number stands where an outer `where` takes the other branch, in value and derivative"

EXPLAINED: list[tuple[str, str, str]] = [
    (
        "optcore.schedules._decay",
        "_power: return jnp.where(positive, jnp.where(positive, base, 1) ** exponent, 0) → "
        "return jnp.where(positive, jnp.where(positive, base, 2) ** exponent, 0)",
        MASKED,
    ),
    (
        "optcore.schedules._decay",
        "exponential_decay.value: "
        "decayed = init_value * decay_rate ** jnp.where(finite, exponent, 0) → "
        "decayed = init_value * decay_rate ** jnp.where(finite, exponent, 1)",
        MASKED,
    ),
]
