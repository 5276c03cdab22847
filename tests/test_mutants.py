"""The mutants themselves, and that the tests of the algorithms kill them."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests.mutants.modules import ALGORITHMS, SAMPLE, chosen, find
from tests.mutants.modules import WHOLE as CHAPTERS
from tests.mutants.mutate import mutants
from tests.mutants.results import Results

ROOT = pathlib.Path(__file__).parents[1]

SOURCE = '''
class SumState(NamedTuple):
    """Doc."""

    mu: Updates
    nu: Updates


def unused():
    return 1 + 2


def helper(x):
    """2 + 2 is not code."""
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


PER_LEAF = """
@transformation("direction", example={})
def scale_by_two(b1, b2):
    def init(params):
        return TwoState(count(), slots(params), slots(params))

    def corrections(t):
        return debias(b1, t), debias(b2, t)

    def leaf(g, m, v, c1, c2):
        return over(m, v), m, v

    return per_leaf(init, leaf, ("mu", "nu"), scalars=corrections)
"""


@pytest.mark.parametrize("handed", ["init, leaf, ", "init, leaf=leaf, slots="])
def test_slots_of_a_function_that_is_handed_to_per_leaf(handed):
    source = PER_LEAF.replace("init, leaf, ", handed)
    found = [m.description for m in mutants(source, "source.py")]
    before = "return (over(m, v), m, v)"
    assert [text for text in found if ".leaf: " in text] == [
        f"scale_by_two.leaf: {before} → return (over(m, v), old_m, v)",
        f"scale_by_two.leaf: {before} → return (over(m, v), v, m)",
        f"scale_by_two.leaf: {before} → return (over(m, v), m, old_v)",
    ]
    before = "return (debias(b1, t), debias(b2, t))"
    assert f"scale_by_two.corrections: {before} → {before.replace('b1', 'b2')}" in found


def test_the_slot_that_came_in_is_kept_under_its_own_name():
    (mutant,) = [m for m in mutants(PER_LEAF, "source.py") if "(over(m, v), m, old_v)" in str(m)]
    names = {
        "transformation": lambda *args, **kwargs: lambda f: f,
        "per_leaf": lambda init, leaf, slots, scalars: leaf,
        "over": lambda m, v: m / v,
    }
    exec(mutant.code, names)
    assert names["scale_by_two"](0.9, 0.99)(1.0, 4.0, 2.0, None, None) == (2.0, 4.0, 2.0)


WHOLE = """
SIZE = 1 + 2


def helper(x):
    return np.where(x)


class Box:
    depth: int = 3

    def grown(self, by=2):
        return self.depth + by

    class Inside:
        def __call__(self):
            return not self.full
"""


def test_every_function_and_method_of_a_whole_module():
    assert not list(mutants(WHOLE, "source.py"))
    assert [m.description for m in mutants(WHOLE, "source.py", whole=True)] == [
        "Box.grown: by=2 → by=3",
        "Box.grown: return self.depth + by → return self.depth - by",
        "Box.Inside.__call__: return not self.full → return self.full",
    ]


def test_a_mutant_leaves_nothing_behind():
    """They share a tree, into which each puts its change and takes it out again."""
    source = "def f(x):\n    return (x + 1) * 3 - (x if x > 2 else 0)\n"
    one_by_one = [m.code for m in mutants(source, "source.py", whole=True)]
    assert one_by_one == [m.code for m in list(mutants(source, "source.py", whole=True))]
    assert len(one_by_one) == len(set(one_by_one)) > 6


def test_a_mutant_is_the_module_with_one_change():
    source = '@schedule(example={})\ndef f(x):\n    """Doc."""\n    y = x + 1\n    return y * 3\n'
    values = []
    for mutant in mutants(source, "source.py"):
        names = {"schedule": lambda example: lambda f: f}
        exec(mutant.code, names)
        values.append((mutant.line, names["f"](5)))
    assert values == [(4, 12), (4, 21), (5, 2), (5, 24)]


def test_the_sample_of_what_holds_no_algorithms():
    modules = find([])
    taken = chosen(modules, named=False)
    sample = {m.name: [x.description for x in found] for m, found in taken.items() if m.whole}
    assert sum(map(len, sample.values())) == SAMPLE
    assert {name.split(".")[1] for name, found in sample.items() if found} == set(CHAPTERS)
    again = chosen(modules[::-1], named=False)
    assert {m.name: [x.description for x in f] for m, f in again.items() if m.whole} == sample
    for module, found in taken.items():
        if not module.whole:
            assert found == module.mutants()
    (norm,) = find(["norm"])
    assert chosen([norm], named=True)[norm] == norm.mutants()
    assert len(norm.mutants()) > len(sample[norm.name])


def test_the_tests_of_a_module():
    for module in find([]):
        assert all(path.exists() for path in module.tests)
        assert bool(module.tests)
    (norm,) = find(["norm"])
    folder = ROOT / "tests" / "core"
    assert norm.tests[0] == folder / "test_norm.py"
    assert sorted(norm.tests) == sorted(folder.glob("test_*.py"))


def test_results_are_read_again(tmp_path):
    (adam,) = find(["adam"])
    first, second, third = adam.mutants()[:3]
    path = tmp_path / "found.jsonl"
    results = Results(path)
    assert results.get(adam, first) is None
    results.add(adam, first, survived=False)
    results.add(adam, second, survived=True)
    path.write_text(path.read_text() + '{"module": "cut o')
    results = Results(path)
    assert [results.get(adam, m) for m in (first, second, third)] == [False, True, None]
    results.add(adam, third, survived=True)
    results = Results(path)
    assert [results.get(adam, m) for m in (first, second, third)] == [False, True, True]
    changed = re.sub(r'("source": ")\w+', r"\1other", path.read_text())
    path.write_text(changed)
    assert Results(path).get(adam, first) is None


def run(*arguments, timeout):
    """The command, in a process in which JAX has not started any thread."""
    command = [sys.executable, "-m", "tests.mutants", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.mark.slow
def test_a_planted_mutant_of_adam_is_killed_once(tmp_path):
    planted = "m = b1 * m + (1 - b1) * g → m = b1 * m + (1 - b2) * g"
    out = tmp_path / "found.jsonl"
    arguments = ("--only", "adam", "--mutant", planted, "--trust", "--out", str(out))
    done = run(*arguments, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    row = ["optcore.optimizers.diagonal._adam", "1", "1", "0", "100.0%"]
    table = out.with_suffix(".txt")
    for text in (done.stdout, table.read_text()):
        assert row in [line.split() for line in text.splitlines()]
    # Mutants in the file are not run again, whatever their results.
    out.write_text(out.read_text().replace("false", "true"))
    done = run(*arguments, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"SURVIVED: scale_by_adam.leaf: {planted}" in table.read_text()


@pytest.mark.slow
def test_every_module_kills_a_sample_of_its_mutants():
    """All of them take more than an hour: `python -m tests.mutants`."""
    chapters = [word for chapter in ALGORITHMS for word in ("--only", chapter)]
    done = run(*chapters, "--sample", "1", "--trust", timeout=3000)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
