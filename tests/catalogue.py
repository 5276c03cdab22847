"""The catalogue of the optimizers' guide; `python -m tests.catalogue` writes it.

It is made from the registry, and from what the chapters export.
"""

import inspect
import pathlib

from optcore._core import REGISTRY, Factory
from tests.named import places

GUIDE = pathlib.Path(__file__).parents[1] / "optcore" / "optimizers" / "README.md"
BEGIN, END = "<!-- catalogue:begin -->\n", "<!-- catalogue:end -->\n"
KINDS = ("optimizer", "direction", "transform", "wrapper", "schedule")


def exported() -> dict[str, str]:
    """The full name of each exported factory, by its key; the top's where it is there."""
    found: dict[str, str] = {}
    for place in places():
        for name, value in vars(place).items():
            factory = getattr(value, "declared_by", None)
            if isinstance(factory, Factory):
                found.setdefault(factory.key, f"{place.__name__}.{name}")
    return found


def factories() -> list[Factory]:
    """The library's own factories, kind by kind, each kind in the order of the alphabet."""
    own = [factory for key, factory in REGISTRY.items() if key.startswith("optcore:")]
    return sorted(own, key=lambda factory: (KINDS.index(factory.kind), factory.name))


def table() -> str:
    """The catalogue as a Markdown table."""
    names = exported()
    lines = ["| Name | Kind | What it does | Needs |", "|---|---|---|---|"]
    for factory in factories():
        summary = (inspect.getdoc(factory.function) or "").partition("\n")[0].replace("|", "\\|")
        needs = ", ".join(f"`{need}`" for need in factory.needs)
        lines.append(f"| `{names[factory.key]}` | {factory.kind} | {summary} | {needs} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    """The catalogue that is in the guide."""
    return GUIDE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the catalogue into the guide."""
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    GUIDE.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
