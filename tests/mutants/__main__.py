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
from collections.abc import Iterable
from types import CodeType, ModuleType

# What the tests import besides the library is imported once, before the forks. No backend of
# JAX is initialised here: its threads would not survive them.
import chex  # noqa: F401
import hypothesis.extra.numpy  # noqa: F401
import jax  # noqa: F401
import optax  # noqa: F401
import pytest

from .explained import EXPLAINED
from .mutate import Mutant, mutants

ROOT = pathlib.Path(__file__).parents[2]
LIBRARY = "optcore"
CHAPTERS = ("schedules", "transforms", "optimizers")
REQUIRED = 0.95
LIMIT = 300.0
SURVIVED = int(pytest.ExitCode.OK)
BROKEN = {
    int(pytest.ExitCode.INTERNAL_ERROR),
    int(pytest.ExitCode.USAGE_ERROR),
    int(pytest.ExitCode.NO_TESTS_COLLECTED),
}


@dataclasses.dataclass(frozen=True)
class Module:
    """A module of the library and its test file, found by the path rule."""

    source: pathlib.Path

    @property
    def name(self) -> str:
        """Dotted."""
        return ".".join(self.source.relative_to(ROOT).with_suffix("").parts)

    @property
    def tests(self) -> pathlib.Path:
        """`optcore/x/_y.py` is tested by `tests/x/test_y.py`."""
        folder = ROOT / "tests" / self.source.parent.relative_to(ROOT / LIBRARY)
        return folder / f"test{self.source.name}"

    def mutants(self) -> list[Mutant]:
        """All of them."""
        return list(mutants(self.source.read_text(), str(self.source)))


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
        options = ["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider"]
        code = int(pytest.main([str(job.module.tests), *options]))
    finally:
        os._exit(code)


def _run(jobs: list[Job], width: int) -> None:
    """Work through the jobs, `width` at a time; what takes too long is ended."""
    waiting, running = list(reversed(jobs)), {}
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
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                job.code = os.waitstatus_to_exitcode(status)
                del running[pid]
            elif job.took > job.limit:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def find(names: Iterable[str]) -> list[Module]:
    """The modules with mutants; those whose dotted name ends in one of `names`, if any."""
    found = []
    for chapter in CHAPTERS:
        for source in sorted((ROOT / LIBRARY / chapter).rglob("_*.py")):
            module = Module(source)
            words = {module.name, module.name.removeprefix(f"{LIBRARY}."), source.stem.strip("_")}
            if source.name != "__init__.py" and (not names or words & set(names)):
                found.append(module)
    return [module for module in found if module.mutants()]


def _spread(found: list[Mutant], most: int) -> list[Mutant]:
    """At most so many of them, evenly over the module."""
    if len(found) <= most:
        return found
    return [found[(2 * i + 1) * len(found) // (2 * most)] for i in range(most)]


def _report(module: Module, jobs: list[Job]) -> tuple[int, int, list[str]]:
    """How many mutants count, how many of those were killed, and what to say of the rest."""
    reasons = {text: why for name, text, why in EXPLAINED if name == module.name}
    notes, counted, killed = [], 0, 0
    for job in jobs:
        text = job.mutant.description
        if job.survived and text in reasons:
            notes.append(f"  line {job.mutant.line} lives, explained: {text}: {reasons[text]}")
            continue
        counted, killed = counted + 1, killed + (not job.survived)
        if job.survived:
            notes.append(f"  line {job.mutant.line} SURVIVED: {text}")
    return counted, killed, notes


def _rotten(modules: list[Module], jobs: list[Job]) -> list[str]:
    """Explained mutants that are gone or killed."""
    alive = {(job.module.name, job.mutant.description) for job in jobs if job.survived}
    chosen = {module.name for module in modules}
    return [
        f"explained, but does not survive: {name}: {text}"
        for name, text, _ in EXPLAINED
        if name in chosen and (name, text) not in alive
    ]


def main() -> int:
    """Parse the command line, run, print, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="a module, such as adam")
    parser.add_argument("--mutant", default="", help="a part of the description of the mutants")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--sample", type=int, help="so many mutants of each module, spread evenly")
    parser.add_argument("--trust", action="store_true", help="skip the run without a mutation")
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    options = parser.parse_args()
    modules = find(options.only)
    if not modules:
        parser.error(f"no module is called {', '.join(options.only)}")
    chosen = {m.name: [x for x in m.mutants() if options.mutant in x.description] for m in modules}
    if options.sample:
        chosen = {name: _spread(found, options.sample) for name, found in chosen.items()}
    if options.list:
        for name, found in chosen.items():
            for mutant in found:
                print(f"{name}:{mutant.line}: {mutant.description}")
        return 0

    os.chdir(ROOT)
    begun, done, failed, totals = time.monotonic(), [], False, (0, 0)
    print(f"{'module':44} {'mutants':>8} {'killed':>8} {'survived':>9}")
    for module in modules:
        limit = LIMIT
        if not options.trust:
            plain = Job(module, None, LIMIT)
            _run([plain], 1)
            if not plain.survived:
                print(f"without a mutation these must pass: {module.tests}")
                return 2
            limit = 20 + 4 * plain.took
        jobs = [Job(module, mutant, limit) for mutant in chosen[module.name]]
        _run(jobs, options.jobs)
        if odd := [job.mutant.description for job in jobs if job.code in BROKEN]:
            print("pytest could not run:", *odd, sep="\n  ")
            return 2
        counted, killed, notes = _report(module, jobs)
        part = killed / counted if counted else 1.0
        failed |= part < REQUIRED and not options.sample
        totals = (totals[0] + counted, totals[1] + killed)
        row = f"{module.name:44} {counted:8} {killed:8} {counted - killed:9} {part:7.1%}"
        print(row, *notes, sep="\n", flush=True)
        done += jobs
    failed |= totals[1] < REQUIRED * totals[0]
    rotten = [] if options.mutant or options.sample else _rotten(modules, done)
    print(*rotten, f"{len(done)} mutants in {time.monotonic() - begun:.0f} s", sep="\n")
    return int(failed or bool(rotten))


if __name__ == "__main__":
    sys.exit(main())
