"""The known results of mutants, so that an interrupted run continues where it stopped."""

import hashlib
import json
import pathlib

from .modules import Module
from .mutate import Mutant


class Results:
    """Which mutants survived, in a file of one JSON object per line, or in memory alone.

    What was found of a module that has been changed since does not count. What a change of the
    tests would change is not noticed: start a new file.
    """

    def __init__(self, path: pathlib.Path | None):
        self.path = path
        self._known: dict[tuple[str, str, str], bool] = {}
        if path is None or not path.exists():
            return
        text = path.read_text()
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                key = (entry["module"], entry["source"], entry["mutant"])
                self._known[key] = bool(entry["survived"])
            except (ValueError, KeyError):
                # The line that was being written when the run was cut off.
                continue
        if text and not text.endswith("\n"):
            self._write("\n")

    def get(self, module: Module, mutant: Mutant) -> bool | None:
        """Whether it survived; `None` if nobody knows yet."""
        return self._known.get(self._key(module, mutant))

    def add(self, module: Module, mutant: Mutant, survived: bool) -> None:
        """Remember it, in the file too."""
        key = self._key(module, mutant)
        self._known[key] = survived
        entry = dict(zip(("module", "source", "mutant"), key, strict=True))
        line = {**entry, "line": mutant.line, "survived": survived}
        self._write(json.dumps(line, ensure_ascii=False) + "\n")

    def _key(self, module: Module, mutant: Mutant) -> tuple[str, str, str]:
        source = hashlib.sha256(module.source.read_bytes()).hexdigest()[:16]
        return module.name, source, mutant.description

    def _write(self, text: str) -> None:
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(text)


def table_beside(path: pathlib.Path) -> pathlib.Path:
    """Where the table of these results is written: `x.jsonl` has its table in `x.txt`."""
    return path.with_suffix(".txt") if path.suffix != ".txt" else path.with_suffix(".table.txt")
