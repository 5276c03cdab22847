"""Tables of the chapter's guide, of which each row has a check."""

import pathlib

import optcore

README = (pathlib.Path(optcore.__file__).parent / "optax" / "README.md").read_text()


class Table:
    """The first table behind a heading, and the checks of its rows by their first cells."""

    def __init__(self, heading):
        self.heading = heading
        self.checks = {}

    def row(self, where):
        """The decorated function checks the row of this name."""

        def decorate(check):
            assert where not in self.checks, f"two checks for {where!r}"
            self.checks[where] = check
            return check

        return decorate

    def written(self):
        """The first cells."""
        behind = README.partition(f"{self.heading}\n")[2]
        lines = ("\n| " + behind.partition("\n| ")[2]).partition("\n\n")[0].splitlines()
        return [line.split(" | ")[0].removeprefix("| ") for line in lines[3:]]

    def check_rows(self):
        """Raise where rows and checks differ."""
        assert self.checks
        assert self.written() == list(self.checks)
