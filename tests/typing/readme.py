"""Write the code of every README as modules that a type checker can read."""

import pathlib
import re
import shutil

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "build" / "readme"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def readmes() -> dict[str, pathlib.Path]:
    """The top README as `readme`, and the guide of each chapter by the chapter's name."""
    guides = sorted((ROOT / "optcore").glob("*/README.md"))
    return {"readme": ROOT / "README.md", **{guide.parent.name: guide for guide in guides}}


def write() -> None:
    """One module for each block, which knows the names of those before; lines keep their numbers.

    In one module for all, a name would have one type over all its assignments.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for prefix, path in readmes().items():
        write_one(prefix, path.read_text())


def write_one(prefix: str, text: str) -> None:
    """The modules of one README, called by a prefix and the number of the block."""
    before = ""
    for number, block in enumerate(BLOCK.finditer(text), start=1):
        lines = block[1].splitlines()
        if lines[0].startswith(">>>"):
            lines = [line[4:] if line.startswith((">>>", "...")) else "" for line in lines]
        above = text[: block.start(1)].count("\n")
        name = f"{prefix}_{number:02}"
        padding = [before, *[""] * (above - 1)]
        (FOLDER / f"{name}.py").write_text("\n".join([*padding, *lines, ""]))
        before = f"from {name} import *"


if __name__ == "__main__":
    write()
