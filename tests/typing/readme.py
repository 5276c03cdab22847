"""Write the README's code as modules that a type checker can read."""

import pathlib
import re
import shutil

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = ROOT / "build" / "readme"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def write() -> None:
    """One module for each block, which knows the names of those before; lines keep their numbers.

    In one module for all, a name would have one type over all its assignments.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    text = (ROOT / "README.md").read_text()
    before = ""
    for number, block in enumerate(BLOCK.finditer(text), start=1):
        lines = block[1].splitlines()
        if lines[0].startswith(">>>"):
            lines = [line[4:] if line.startswith((">>>", "...")) else "" for line in lines]
        above = text[: block.start(1)].count("\n")
        name = f"readme_{number:02}"
        padding = [before, *[""] * (above - 1)]
        (FOLDER / f"{name}.py").write_text("\n".join([*padding, *lines, ""]))
        before = f"from {name} import *"


if __name__ == "__main__":
    write()
