"""Documentation runs: docstrings' examples, the READMEs' code, links, catalogue and commands."""

import contextlib
import doctest
import functools
import importlib
import importlib.util
import inspect
import math
import pathlib
import pkgutil
import re
import tomllib
import types

import jax
import pytest

import optcore
from optcore._core import REGISTRY
from tests import catalogue
from tests.rules import all_hold, for_each
from tests.typing.readme import readmes

pytestmark = pytest.mark.usefixtures("broadcasting")

ROOT = pathlib.Path(__file__).parents[1]
READMES = readmes()
README = READMES["readme"].read_text()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
CLIENTS = ("flax", "equinox", "optax", "orbax")


@contextlib.contextmanager
def registry_restored():
    """Examples may declare factories; the registry forgets them afterwards."""
    before = dict(REGISTRY)
    try:
        yield
    finally:
        REGISTRY.clear()
        REGISTRY.update(before)


@pytest.fixture(autouse=True)
def _registry():
    with registry_restored():
        yield


@functools.cache
def modules():
    found = pkgutil.walk_packages(optcore.__path__, "optcore.")
    return [optcore, *(importlib.import_module(module.name) for module in found)]


def members(owner):
    """The functions and classes that are defined in a module or class, with their names."""
    for name, value in vars(owner).items():
        if isinstance(owner, types.ModuleType):
            if getattr(value, "__module__", None) != owner.__name__:
                continue
        elif getattr(value, "__qualname__", "").rpartition(".")[0] != owner.__qualname__:
            continue
        if inspect.isfunction(value) or inspect.isclass(value):
            yield name, value


@functools.cache
def documented():
    """Every module, function, class and method whose docstring has examples, by full name."""
    found = {}

    def visit(name, value, module):
        if ">>>" in (getattr(value, "__doc__", None) or ""):
            found[name] = (value, module)
        if inspect.ismodule(value) or inspect.isclass(value):
            for member, inner in members(value):
                visit(f"{name}.{member}", inner, module)

    for module in modules():
        visit(module.__name__, module, module)
    return found


class Checker(doctest.OutputChecker):
    """Numbers with a point may differ in their last digits: compilers round differently."""

    number = re.compile(r"-?\d+\.\d*(?:e[-+]?\d+)?")

    def check_output(self, want, got, optionflags):
        if super().check_output(want, got, optionflags):
            return True
        wanted, found = self.number.findall(want), self.number.findall(got)
        return (
            len(wanted) == len(found)
            and all(map(self.close, wanted, found))
            and super().check_output(
                self.number.sub("#", want), self.number.sub("#", got), optionflags
            )
        )

    @staticmethod
    def close(wanted, found):
        # Three units in the last place of float32.
        return math.isclose(float(wanted), float(found), rel_tol=3.6e-7)


def run_examples(source, namespace, name):
    """Run the examples of a docstring in a namespace."""
    test = doctest.DocTestParser().get_doctest(source, {}, name, name, 0)
    test.globs = namespace
    report = []
    runner = doctest.DocTestRunner(Checker(), optionflags=FLAGS)
    runner.run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def test_checker_forgives_last_digits_only():
    checker = Checker()
    assert checker.check_output("[0.2, x]\n", "[0.20000000298, x]\n", FLAGS)
    assert not checker.check_output("[0.2, x]\n", "[0.200001, x]\n", FLAGS)
    assert not checker.check_output("[0.2, x]\n", "[0.2, y]\n", FLAGS)


PACKAGES = sorted(
    {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "optcore").rglob("*.py")
        if ">>>" in path.read_text()
    }
)


def package(module):
    return module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]


def test_every_docstring_is_in_a_package():
    assert {package(module) for _, module in documented().values()} == set(PACKAGES)


@pytest.mark.parametrize("chapter", PACKAGES)
@pytest.mark.sample(5)
def test_docstrings(chapter):
    """In JAX's own settings, which are those of the reader."""

    def examples_run(item):
        name, (value, module) = item
        with jax.numpy_dtype_promotion("standard"), registry_restored():
            run_examples(value.__doc__, {**vars(module), "__name__": "__main__"}, name)

    inside = [item for item in documented().items() if package(item[1][1]) == chapter]
    all_hold({item[0]: item for item in inside}, examples_run)


def public():
    """The public functions and classes, by the name they are imported under."""
    chapters = [
        module
        for module in modules()
        if hasattr(module, "__path__") and "._" not in module.__name__
    ]
    found = {}
    for chapter in chapters:
        for name, value in vars(chapter).items():
            ours = getattr(value, "__module__", "").partition(".")[0] == "optcore"
            # Under optax's names stands what optax documents.
            ours &= getattr(getattr(value, "declared_by", None), "classes", None) is None
            if not name.startswith("_") and ours and callable(value):
                found[f"{chapter.__name__}.{name}"] = value
    return found


@for_each(public)
def test_public_has_docstring_with_example(value):
    if inspect.isclass(value):
        assert value.__doc__, "no docstring"
        if hasattr(value, "_fields") or getattr(value, "_is_protocol", False):
            return
    elif not inspect.isfunction(value):
        return  # an annotation
    assert ">>>" in (value.__doc__ or ""), "no docstring with an example"


def code_blocks(text):
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def run_block(block, namespace, name):
    if block.startswith(">>>"):
        run_examples(block, namespace, name)
    else:
        exec(compile(block, name, "exec"), namespace)


@pytest.mark.parametrize("name", READMES)
@pytest.mark.sample(None)
def test_readme_code(name):
    """Each README in a namespace of its own, and in JAX's own settings."""
    if name == "optax":
        pytest.importorskip("optax")
    namespace, missing = {"__name__": f"readme_{name}"}, set()
    for number, block in enumerate(code_blocks(READMES[name].read_text()), start=1):
        clients = [c for c in CLIENTS if re.search(rf"^(import|from) {c}\b", block, re.MULTILINE)]
        absent = {client for client in clients if importlib.util.find_spec(client) is None}
        missing |= absent
        if not absent:
            with jax.numpy_dtype_promotion("standard"):
                run_block(block, namespace, f"README of {name}, block {number}")
    if missing:
        pytest.skip(f"all ran but the code for {', '.join(sorted(missing))}: not installed")


def test_readme_is_short():
    assert len(README.splitlines()) <= 250


def prose(path):
    """A README without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def links(path):
    """The targets of its links and pictures; text inside backticks is code."""
    return re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "`", prose(path)))


def pictures(path):
    return re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", prose(path))


def anchors(path):
    """What GitHub makes of its headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@for_each(lambda: READMES)
def test_readme_links_lead_somewhere(path):
    """To a file in the repository, and to a heading in it; other sites are not asked."""
    for link in links(path):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert there.exists(), f"{link} leads to no file"
        assert not anchor or anchor in anchors(there), f"{link} leads to no heading"


def test_links_are_found(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# A `b`, c-d\n[x](y.md#z) `[0](1)`\n[`m`](n)\n```python\n[a](b)\n# c\n```\n")
    assert links(path) == ["y.md#z", "n"]
    assert pictures(path) == []
    assert anchors(path) == {"a-b-c-d"}


def test_links_of_the_top_readme_work_everywhere():
    """On PyPI there are no files beside it; of a picture there is its description."""
    path = READMES["readme"]
    relative = [link for link in links(path) if not re.match(r"https?://|#", link)]
    assert relative == pictures(path)


def test_readmes_are_installed():
    """Every file of a chapter's folder comes with the package."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["optcore"]
    installed = {path for pattern in patterns for path in (ROOT / "optcore").glob(pattern)}
    assert set((ROOT / "optcore").rglob("README.md")) <= installed


def chapters():
    """The folders of the public chapters."""
    folders = (path.parent for path in (ROOT / "optcore").glob("*/__init__.py"))
    return {folder.name: folder for folder in folders if not folder.name.startswith("_")}


@for_each(chapters)
def test_every_chapter_has_a_guide_and_says_what_it_is_for(folder):
    assert (folder / "README.md").exists()
    chapter = importlib.import_module(f"optcore.{folder.name}")
    docstring = chapter.__doc__ or ""
    assert 3 <= len(docstring.strip().splitlines()) <= 14
    assert "README.md" in docstring
    named = re.findall(r"`(\w+)", docstring)
    assert [name for name in named if hasattr(chapter, name) or folder.name == "optax"]


def test_the_top_readme_names_every_guide():
    guides = {str(path.relative_to(ROOT)) for path in READMES.values()} - {"README.md"}
    assert set(re.findall(r"`(optcore/\w+/README\.md)`", README)) == guides


@for_each(lambda: READMES)
def test_readme_names_what_there_is(path):
    """Every `optcore.name`, in code and in prose."""
    for name in re.findall(r"\boptcore(?:\.[A-Za-z_]\w*)+", path.read_text()):
        if name.startswith("optcore.optax") and importlib.util.find_spec("optax") is None:
            continue
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError):
            raise AssertionError(f"there is no {name}") from None


def test_catalogue_is_current():
    assert catalogue.written() == catalogue.table(), "run: python -m tests.catalogue"


def commands():
    return re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_commands_set_themselves_up_on_one_line():
    """Each makes its virtual environment, installs from the checkout by extras, and runs."""
    main, tests = (command.rstrip("\n") for command in commands())
    setup = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[{}]' && "
    assert main == setup.format("examples") + ".venv/bin/python examples/train_digits.py"
    assert tests == setup.format("test") + ".venv/bin/pytest -n auto"
    assert (ROOT / "examples" / "train_digits.py").exists()


def test_ci_runs_the_test_command():
    """`.ci/run` takes the command out of the README by this pattern."""
    script = (ROOT / ".ci" / "run").read_text()
    (pattern,) = re.findall(r"grep -m 1 '(.*)' README.md", script)
    found = [line for line in README.splitlines() if re.search(pattern, line)]
    assert found == [commands()[1].rstrip("\n")]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_contributing_shows_adam_as_it_stands():
    """The closures of the direction, and what the ready optimizer returns."""
    source = (ROOT / "optcore" / "optimizers" / "diagonal" / "_adam.py").read_text()
    blocks = re.findall(r"```adam\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert len(blocks) == 2
    for block in blocks:
        assert block in source


def test_contributing_names_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("\n## How an update runs\n")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]*_\w+\.py)`", section)
    assert len(named) > 10
    for name in named:
        folder = ROOT / "optcore" / ("" if "/" in name else "_core")
        assert (folder / name).exists(), name
