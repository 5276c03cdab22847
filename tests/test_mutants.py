"""The mutants themselves, and that the tests of the algorithms kill them."""

import pathlib
import subprocess
import sys

import pytest

from tests.mutants.mutate import mutants

ROOT = pathlib.Path(__file__).parents[1]

SOURCE = '''
class SumState(NamedTuple):
    """Doc."""

    mu: Updates
    nu: Updates


def unused():
    return 1 + 2


def helper(x):
    """2 + 2 is no code."""
    return max(x, 0)


@transformation("direction", example={"b1": 0.5})
def scale_by_sum(b1: Annotated[float, 3 + 4] = 0.5, nesterov: bool = False):
    if b1 < 0:
        raise ValueError(f"{1 + b1} < 0" + "!")

    def update(updates, state, params=None):
        def leaf(g, m, v):
            m = helper(m) * -g
            return m if nesterov else g, m, v

        updates, m, v = map_leaves(leaf, updates, (state.mu, state.nu))
        return updates, SumState(m, v)

    return update
'''


def test_what_is_mutated():
    found = [m.description for m in mutants(SOURCE, "source.py")]
    assert sorted(found) == sorted(
        [
            "helper: return max(x, 0) → return min(x, 0)",
            "helper: return max(x, 0) → return max(x, 1)",
            "scale_by_sum: b1=0.5 → b1=0.25",
            "scale_by_sum: nesterov=False → nesterov=True",
            "scale_by_sum: if b1 < 0 → if b1 > 0",
            "scale_by_sum: if b1 < 0 → if b1 < 1",
            "scale_by_sum: if b1 < 0 → if not b1 < 0",
            "scale_by_sum.update.leaf: m = helper(m) * -g → m = helper(m) / -g",
            "scale_by_sum.update.leaf: m = helper(m) * -g → m = helper(m) * g",
            "scale_by_sum.update.leaf: return (m if nesterov else g, m, v) → "
            "return (m if not nesterov else g, m, v)",
            "scale_by_sum.update.leaf: return (m if nesterov else g, m, v) → "
            "return (m if nesterov else g, old_m, v)",
            "scale_by_sum.update.leaf: return (m if nesterov else g, m, v) → "
            "return (m if nesterov else g, m, old_v)",
            "scale_by_sum.update.leaf: return (m if nesterov else g, m, v) → "
            "return (m if nesterov else g, v, m)",
            "scale_by_sum.update: return (updates, SumState(m, v)) → "
            "return (updates, SumState(state.mu, v))",
            "scale_by_sum.update: return (updates, SumState(m, v)) → "
            "return (updates, SumState(m, state.nu))",
            "scale_by_sum.update: return (updates, SumState(m, v)) → "
            "return (updates, SumState(v, m))",
        ]
    )


STARRED = """
@transformation("direction", example={})
def scale_by_sums(betas):
    def update(updates, state, params=None):
        def leaf(g, *v):
            v = tuple(b * v_i + g for b, v_i in zip(betas, v, strict=True))
            return sum(v), *v

        updates, *v = map_leaves(leaf, updates, state.trace)
        return updates, v

    return update
"""


def test_several_slots_in_one_name_stay_as_they_came():
    found = [m.description for m in mutants(STARRED, "source.py")]
    before = "return (sum(v), *v)"
    assert f"scale_by_sums.update.leaf: {before} → return (sum(v), *old_v)" in found


def test_a_mutant_is_the_module_with_one_change():
    source = '@schedule(example={})\ndef f(x):\n    """Doc."""\n    y = x + 1\n    return y * 3\n'
    values = []
    for mutant in mutants(source, "source.py"):
        names = {"schedule": lambda example: lambda f: f}
        exec(mutant.code, names)
        values.append((mutant.line, names["f"](5)))
    assert values == [(4, 12), (4, 21), (5, 2), (5, 24)]


def run(*arguments, timeout):
    """The command, in a process in which JAX has not started any thread."""
    command = [sys.executable, "-m", "tests.mutants", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )


def test_a_planted_mutant_of_adam_is_killed():
    planted = "m = b1 * m + (1 - b1) * g → m = b1 * m + (1 - b2) * g"
    done = run("--only", "adam", "--mutant", planted, "--trust", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    table = [line.split() for line in done.stdout.splitlines()]
    assert ["optcore.optimizers.diagonal._adam", "1", "1", "0", "100.0%"] in table


@pytest.mark.slow
def test_every_module_kills_a_sample_of_its_mutants():
    """All of them take more than an hour: `python -m tests.mutants`."""
    done = run("--sample", "1", "--trust", timeout=3000)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
