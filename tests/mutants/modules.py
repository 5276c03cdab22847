"""The modules that are mutated, the tests of each, and the mutants that are taken."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Iterable

from .mutate import Mutant, mutants

ROOT = pathlib.Path(__file__).parents[2]
LIBRARY = "optcore"
ALGORITHMS = ("schedules", "transforms", "optimizers")
"""Chapters whose factories are mutated; each module has a test file."""

WHOLE = ("_core", "tuning", "serialize", "diagnostics")
"""Chapters of which every function is mutated; each has a folder of tests."""

SAMPLE = 200
"""Mutants that are taken of all modules in `WHOLE` together."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A module of the library and its tests, found by the path rule."""

    source: pathlib.Path

    @property
    def name(self) -> str:
        """Dotted."""
        return ".".join(self.source.relative_to(ROOT).with_suffix("").parts)

    @property
    def whole(self) -> bool:
        """Whether all of its functions are mutated."""
        return self.source.relative_to(ROOT / LIBRARY).parts[0] in WHOLE

    @property
    def tests(self) -> list[pathlib.Path]:
        """`optcore/x/_y.py` is tested by `tests/x/test_y.py`; one of `WHOLE` by all beside it.

        The nearest tests come first, as one failure is enough.
        """
        chapter = self.source.parent.relative_to(ROOT / LIBRARY)
        folder = ROOT / "tests" / str(chapter).removeprefix("_")
        own = folder / f"test{self.source.name}"
        if not self.whole:
            return [own]
        return sorted(folder.glob("test_*.py"), key=lambda path: (path != own, path))

    def mutants(self) -> list[Mutant]:
        """All of them."""
        return list(_mutants(self.source, self.whole))

    def digest(self, mutant: Mutant) -> str:
        """What puts the mutants into an order that nobody chose."""
        return hashlib.sha256(f"{self.name}: {mutant.description}".encode()).hexdigest()


@functools.cache
def _mutants(source: pathlib.Path, whole: bool) -> tuple[Mutant, ...]:
    return tuple(mutants(source.read_text(), str(source), whole=whole))


def find(names: Iterable[str]) -> list[Module]:
    """The modules with mutants; if there are names, those of a chapter or with a dotted name."""
    found = []
    for chapter in (*ALGORITHMS, *WHOLE):
        for source in sorted((ROOT / LIBRARY / chapter).rglob("_*.py")):
            module = Module(source)
            dotted = module.name.removeprefix(f"{LIBRARY}.")
            words = {module.name, dotted, source.stem.strip("_"), chapter}
            if source.name != "__init__.py" and (not names or words & set(names)):
                found.append(module)
    return [module for module in found if module.mutants()]


def chosen(modules: list[Module], named: bool) -> dict[Module, list[Mutant]]:
    """The mutants of each; of all in `WHOLE` together a sample, unless they were named."""
    pool = sorted(m.digest(x) for m in modules if m.whole for x in m.mutants())
    taken = set(pool if named else pool[:SAMPLE])
    return {
        module: [m for m in module.mutants() if not module.whole or module.digest(m) in taken]
        for module in modules
    }


def spread(found: list[Mutant], most: int) -> list[Mutant]:
    """At most so many of them, evenly over the module."""
    if len(found) <= most:
        return found
    return [found[(2 * i + 1) * len(found) // (2 * most)] for i in range(most)]
