"""The reference of the API as web pages: `python -m tests.reference build/docs` makes them.

pdoc draws them from the docstrings. Two things are told to it first. A chapter only imports its
names, so each name gets its entry in one chapter, and links elsewhere. An equation goes to
MathJax as it is, without Markdown.
"""

import argparse
import ast
import html
import importlib
import inspect
import pathlib
import pkgutil
import re
import sys
import textwrap
import types

import pdoc

import optcore
from optcore._core import REGISTRY
from optcore._core._help import Named, shown_signature

OPTAX = "optcore.optax"
OPTAX_OWN = ["as_optax"]
"""Names that are not optax's: optax documents the others."""

MATH_BLOCK = re.compile(r"^\.\. math::(?P<first>.*)(?P<rest>(?:\n|\n[ ]+.*)*)$", re.MULTILINE)
MATH_ROLE = re.compile(r":math:`([^`]+)`")
SPECIAL = re.compile(r"[\\`*_{}\[\]()#+.!-]")
"""Characters that a backslash protects in Markdown."""


def chapters() -> list[types.ModuleType]:
    """The public packages below the top, outer ones first; of optax's mirrors only one."""
    found = pkgutil.walk_packages(optcore.__path__, "optcore.")
    names = [m.name for m in found if "._" not in m.name and not m.name.startswith(f"{OPTAX}.")]
    outer_first = sorted(names, key=lambda name: (name.count("."), name))
    return [importlib.import_module(name) for name in outer_first]


def given(module: types.ModuleType) -> list[str]:
    """The public names that a chapter imports, without modules."""
    if module.__name__ == OPTAX:
        return OPTAX_OWN
    imports = [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, ast.ImportFrom)
    ]
    names = [alias.asname or alias.name for node in imports for alias in node.names]
    return [n for n in names if n[0] != "_" and not inspect.ismodule(getattr(module, n))]


def homes() -> dict[str, tuple[list[str], list[str]]]:
    """For each module the names with an entry there, and the full names that it links to.

    The entry of a name is in the outermost chapter that gives it, or at the top if none does.
    """
    home: dict[tuple[str, int], str] = {}
    for module in [*chapters(), optcore]:
        for name in given(module):
            home.setdefault((name, id(getattr(module, name))), module.__name__)
    found = {}
    for module in [optcore, *chapters()]:
        places = {n: home[n, id(getattr(module, n))] for n in given(module)}
        own = [n for n, place in places.items() if place == module.__name__]
        linked = [f"{place}.{n}" for n, place in places.items() if place != module.__name__]
        found[module.__name__] = own, sorted(linked)
    return found


def prepare() -> None:
    """Tell pdoc what has an entry in which module, and what the entries of variables say."""
    names = homes()
    for factory in REGISTRY.values():
        # pdoc looks at the body below the decorator.
        vars(factory.function)["__signature__"] = shown_signature(factory.function)
    for module in [optcore, *chapters()]:
        own, linked = names[module.__name__]
        inside = [n for n in names if n.rpartition(".")[0] == module.__name__]
        module.__all__ = [n.rpartition(".")[2] for n in inside] + own
        if linked:
            links = ", ".join(f"`{n}`" for n in linked)
            module.__doc__ = f"{module.__doc__}\n\nAlso here, with its entry there: {links}."
        if module.__name__ == OPTAX:
            module.__doc__ += "\n\nThe reference of all other names is optax's."
        described = pdoc.doc.Module.from_name(module.__name__)
        described.__dict__["_var_docstrings"] = {n: t for n, t in texts().items() if n in own}


def texts() -> dict[str, str]:
    """The text below each variable in the private module that defines it, by the name."""
    found = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith("optcore._core.") or re.match(r"optcore\.(storage|testing)\._", name):
            found.update(pdoc.doc_ast.walk_tree(module).var_docstrings)
    return found


def with_mathematics(text: str) -> str:
    """A docstring whose equations come through Markdown as they are."""

    def block(match: re.Match[str]) -> str:
        body = textwrap.dedent(match["rest"]).strip()
        parts = [part for part in (match["first"].strip(), *re.split(r"\n\s*\n", body)) if part]
        equations = "\n".join(f"<p>$$\n{html.escape(part)}\n$$</p>" for part in parts)
        return f'<div class="math">\n{equations}\n</div>\n\n'

    text = MATH_BLOCK.sub(block, text)
    return MATH_ROLE.sub(lambda match: SPECIAL.sub(r"\\\g<0>", rf"\({match[1]}\)"), text)


def write(folder: pathlib.Path) -> None:
    """Write the pages."""
    prepare()
    pdoc.render.configure(docformat="google", math=True)
    convert = pdoc.docstrings.convert
    pdoc.docstrings.convert = lambda text, *how: convert(with_mathematics(text), *how)
    evaluated = pdoc.doc.safe_eval_type
    # The name of an annotation, such as `Decay`, is what `help` shows too.
    pdoc.doc.safe_eval_type = lambda t, *how: t if isinstance(t, Named) else evaluated(t, *how)
    pdoc.pdoc("optcore", output_directory=folder)


def main() -> None:
    """Write the pages into the folder that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path, help="to write to, such as build/docs")
    folder = parser.parse_args().folder
    write(folder)
    print(f"wrote {folder / 'optcore.html'}")


if __name__ == "__main__":
    main()
