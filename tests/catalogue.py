"""The README's catalogue, made from the registry; `python -m tests.catalogue` writes it."""

import inspect
import pathlib

from optcore._core import REGISTRY, Factory

README = pathlib.Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- catalogue:begin -->\n", "<!-- catalogue:end -->\n"
KINDS = ("optimizer", "direction", "transform", "wrapper", "schedule")


def factories() -> list[Factory]:
    """The library's own factories, kind by kind, each kind in the order of the alphabet."""
    own = [factory for key, factory in REGISTRY.items() if key.startswith("optcore:")]
    return sorted(own, key=lambda factory: (KINDS.index(factory.kind), factory.name))


def table() -> str:
    """The catalogue as a Markdown table."""
    lines = ["| Name | Kind | What it does | Needs |", "|---|---|---|---|"]
    for factory in factories():
        summary = (inspect.getdoc(factory.function) or "").partition("\n")[0].replace("|", "\\|")
        needs = ", ".join(f"`{need}`" for need in factory.needs)
        lines.append(f"| `{factory.name}` | {factory.kind} | {summary} | {needs} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    """The catalogue that stands in the README."""
    return README.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the catalogue into the README."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
