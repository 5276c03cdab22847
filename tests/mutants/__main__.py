"""`python -m tests.mutants`: which mutants do the tests of each module kill?"""

import argparse
import dataclasses
import importlib.abc
import importlib.util
import os
import pathlib
import signal
import sys
import time
from collections.abc import Callable, Iterable
from types import CodeType, ModuleType

# What the tests import besides the library is imported once, before the forks. No backend of
# JAX is initialised here: its threads would not survive them.
import chex  # noqa: F401
import hypothesis.extra.numpy  # noqa: F401
import jax  # noqa: F401
import optax  # noqa: F401
import pytest

from .explained import EXPLAINED
from .modules import ROOT, Module, chosen, find, spread
from .mutate import Mutant
from .results import Results, table_beside

REQUIRED = 0.95
LIMIT = 600.0
PLAIN_LIMIT = 1800.0
SURVIVED = int(pytest.ExitCode.OK)
BROKEN = {
    int(pytest.ExitCode.INTERNAL_ERROR),
    int(pytest.ExitCode.USAGE_ERROR),
    int(pytest.ExitCode.NO_TESTS_COLLECTED),
}


@dataclasses.dataclass
class Job:
    """A mutant (or none) on its way through the tests."""

    module: Module
    mutant: Mutant | None
    limit: float
    pid: int = 0
    begun: float = 0.0
    took: float = 0.0
    code: int | None = None

    @property
    def survived(self) -> bool:
        """Whether no test failed."""
        return self.code == SURVIVED


class _Replacing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import one module from code that is not in its file."""

    def __init__(self, module: Module, code: CodeType):
        self.module, self.code = module, code

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.module.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.module.source, loader=self)

    def create_module(self, spec):
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def _child(job: Job) -> None:
    """Run the tests of a module in this process, and end it with their exit status."""
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        out = os.open(os.devnull, os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        if job.mutant is not None:
            sys.meta_path.insert(0, _Replacing(job.module, job.mutant.code))
        options = ["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "--all-cases"]
        code = int(pytest.main([*map(str, job.module.tests), *options]))
    finally:
        os._exit(code)


def _run(jobs: list[Job], width: int, ended: Callable[[Job], None] = lambda job: None) -> None:
    """Work through the jobs, `width` at a time; what takes too long is killed."""
    waiting, running = list(reversed(jobs)), {}
    try:
        while waiting or running:
            while waiting and len(running) < width:
                job = waiting.pop()
                job.begun = time.monotonic()
                job.pid = os.fork()
                if job.pid == 0:
                    _child(job)
                running[job.pid] = job
            for pid, job in list(running.items()):
                job.took = time.monotonic() - job.begun
                gone, status = os.waitpid(pid, os.WNOHANG)
                if gone:
                    job.code = os.waitstatus_to_exitcode(status)
                    del running[pid]
                    ended(job)
                elif job.took > job.limit:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of the mutants of one module."""

    module: Module
    counted: int
    killed: int
    notes: list[str]

    def __str__(self) -> str:
        part = self.killed / self.counted if self.counted else 1.0
        survived = self.counted - self.killed
        line = f"{self.module.name:44} {self.counted:8} {self.killed:8} {survived:9} {part:7.1%}"
        return "\n".join([line, *self.notes])


HEADER = f"{'module':44} {'mutants':>8} {'killed':>8} {'survived':>9}"


def _row(module: Module, found: list[Mutant], results: Results) -> Row:
    """Explained mutants that survive do not count."""
    reasons = {text: why for name, text, why in EXPLAINED if name == module.name}
    notes, counted, killed = [], 0, 0
    for mutant in found:
        survived, text = results.get(module, mutant), mutant.description
        if survived and text in reasons:
            notes.append(f"  line {mutant.line} lives, explained: {text}: {reasons[text]}")
            continue
        counted, killed = counted + 1, killed + (not survived)
        if survived:
            notes.append(f"  line {mutant.line} SURVIVED: {text}")
    return Row(module, counted, killed, notes)


def _too_few(rows: list[Row], each: bool) -> bool:
    """Whether too few were killed: of all, of those in `WHOLE`, or, if asked, of each module."""
    groups = [rows, [row for row in rows if row.module.whole]]
    groups += [[row] for row in rows if each and not row.module.whole]
    return any(
        sum(row.killed for row in group) < REQUIRED * sum(row.counted for row in group)
        for group in groups
    )


def _rotten(taken: Iterable[Module], results: Results) -> list[str]:
    """Explained mutants that are gone or killed; mutants outside the sample may live."""
    alive = {
        (module.name, mutant.description)
        for module in taken
        for mutant in module.mutants()
        if results.get(module, mutant) is not False
    }
    names = {module.name for module in taken}
    return [
        f"explained, but does not survive: {name}: {text}"
        for name, text, _ in EXPLAINED
        if name in names and (name, text) not in alive
    ]


def _judge(module: Module, found: list[Mutant], results: Results, limit: float, width: int) -> None:
    """Run the tests once per mutant of which nothing is known."""
    jobs = [Job(module, m, limit) for m in found if results.get(module, m) is None]

    def ended(job: Job) -> None:
        if job.code in BROKEN:
            raise SystemExit(f"pytest could not run: {job.mutant.description}")
        results.add(module, job.mutant, job.survived)

    _run(jobs, width, ended)


class _Limits:
    """How long the tests of a module may take: a few times what they take without a mutation."""

    def __init__(self, trust: bool):
        self._trust, self._known = trust, {}

    def __call__(self, module: Module) -> float:
        if self._trust:
            return LIMIT
        tests = frozenset(module.tests)
        if tests not in self._known:
            plain = Job(module, None, PLAIN_LIMIT)
            _run([plain], 1)
            if not plain.survived:
                names = " ".join(map(str, module.tests))
                raise SystemExit(f"without a mutation these must pass: {names}")
            self._known[tests] = 20 + 4 * plain.took
        return self._known[tests]


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], help="a module, such as adam, or a chapter"
    )
    parser.add_argument("--mutant", default="", help="a part of the description of the mutants")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--sample", type=int, help="so many mutants of each module, spread evenly")
    parser.add_argument("--trust", action="store_true", help="skip the run without a mutation")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        help="a file for what is found, read again by the next run, with the table beside it",
    )
    options = parser.parse_args()
    options.modules = find(options.only)
    if not options.modules:
        parser.error(f"no module is called {', '.join(options.only)}")
    return options


def main() -> int:
    """Run, print, and give the exit status."""
    options = _parsed()
    taken = {
        module: [m for m in found if options.mutant in m.description]
        for module, found in chosen(options.modules, named=bool(options.only)).items()
    }
    if options.sample:
        taken = {module: spread(found, options.sample) for module, found in taken.items()}
    taken = {module: found for module, found in taken.items() if found}
    if options.list:
        for module, found in taken.items():
            for mutant in found:
                print(f"{module.name}:{mutant.line}: {mutant.description}")
        return 0

    out = None if options.out is None else options.out.resolve()
    os.chdir(ROOT)
    results, limit, rows = Results(out), _Limits(options.trust), []
    begun = time.monotonic()
    print(HEADER)
    for module, found in taken.items():
        if any(results.get(module, mutant) is None for mutant in found):
            _judge(module, found, results, limit(module), options.jobs)
        rows.append(_row(module, found, results))
        print(rows[-1], flush=True)
        if out is not None:
            table_beside(out).write_text("\n".join([HEADER, *map(str, rows), ""]))
    rotten = [] if options.mutant or options.sample else _rotten(taken, results)
    count = sum(map(len, taken.values()))
    print(*rotten, f"{count} mutants in {time.monotonic() - begun:.0f} s", sep="\n")
    return int(_too_few(rows, each=not options.sample) or bool(rotten))


if __name__ == "__main__":
    sys.exit(main())
