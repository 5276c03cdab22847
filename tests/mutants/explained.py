"""Mutants that survive because they change nothing: (module, mutation, why).

An entry that no longer survives fails the run, so that the list cannot rot.
"""

EXPLAINED: list[tuple[str, str, str]] = []
