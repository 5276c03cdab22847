"""The layout: layers, file sizes, private modules, mirrored tests, run-time imports."""

import ast
import pathlib
import re
import sys

from tests.rules import for_each

ROOT = pathlib.Path(__file__).parents[1]
SOURCE = ROOT / "optcore"
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    {"_core"},
    {"linalg"},
    {"schedules"},
    {"transforms"},
    {"compose"},
    {"hyper"},
    {"groups", "safety", "storage", "linesearch"},
    {"tree"},
    {"optimizers"},
    {"averaging", "tuning", "diagnostics", "serialize", "sharding"},
    {"testing", "optax"},
)
FAMILIES = ({"momentum"}, {"diagonal"}, {"scalar", "matrix", "quasi_newton"})
RUN_TIME = {"jax", "jaxlib", "numpy", "chex"}
INSIDE_FUNCTIONS = {"matplotlib", "tqdm"}
MIRRORED = (
    "linalg",
    "transforms",
    "schedules",
    "compose",
    "groups",
    "safety",
    "hyper",
    "storage",
    "tree",
    "optimizers",
)


def by_name(paths):
    return {str(path.relative_to(ROOT)): path for path in paths}


def rank(layers, name):
    """The layer that a package belongs to."""
    found = [number for number, layer in enumerate(layers) if name in layer]
    assert found, f"{name} is in no layer: add it to the layers of this test"
    return found[0]


def parts(path):
    """The module's full name, as a tuple; a package's own module is the package."""
    inside = path.relative_to(ROOT).with_suffix("").parts
    return inside[:-1] if inside[-1] == "__init__" else inside


def imports(path):
    """Every imported module, as a tuple of names, and whether it is imported inside a function."""
    package = parts(path) if path.name == "__init__.py" else parts(path)[:-1]
    tree = ast.parse(path.read_text())
    inner = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split(".")), id(node) in inner
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = (*base, *(node.module or "").split(".")) if node.module else base
            for alias in node.names:
                yield (*module, alias.name), id(node) in inner


@for_each(lambda: by_name(FILES))
def test_imports_point_down(path):
    here = parts(path)[1:]
    if not here:
        return  # the top package imports every chapter
    for module, _ in imports(path):
        if module[0] != "optcore":
            continue
        there = module[1:]
        assert there, "the top package is above every module"
        message = f"{'.'.join(module)} is not below"
        if there[0] == here[0] == "optimizers":
            if len(here) > 1 and len(there) > 1 and here[1] != there[1]:
                assert rank(FAMILIES, there[1]) < rank(FAMILIES, here[1]), message
        elif there[0] != here[0]:
            assert rank(LAYERS, there[0]) < rank(LAYERS, here[0]), message


def modules():
    """Every module by its name, with those of the library that it imports, also in functions."""
    known = {parts(path) for path in FILES}
    return {
        parts(path): {
            there
            for module, _ in imports(path)
            for there in (module, module[:-1])
            if there in known and there != parts(path)
        }
        for path in FILES
        if path.name != "__init__.py"
    }


def test_no_module_imports_itself_through_others():
    """Cycles inside a chapter; between chapters imports point down."""
    graph = modules()
    done, path = set(), []

    def visit(module):
        if module in path:
            cycle = [*path[path.index(module) :], module]
            raise AssertionError("a cycle: " + " > ".join(".".join(m) for m in cycle))
        if module in done or module not in graph:
            return
        path.append(module)
        for there in sorted(graph[module]):
            visit(there)
        path.pop()
        done.add(module)

    for module in graph:
        visit(module)


def packages(folder):
    return {path.parent.name for path in folder.glob("*/__init__.py")}


def test_layers_in_contributing():
    """CONTRIBUTING lists the chapters that exist, in an order that the layers allow."""
    (block,) = re.findall(r"```layers\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    listed = [line.partition(":")[0] for line in block.splitlines()]
    assert set(listed) == packages(SOURCE)
    assert listed == sorted(listed, key=lambda chapter: rank(LAYERS, chapter))
    (families,) = re.findall(r"optimizers: (.*)", block)
    ordered = [family for group in families.split(" < ") for family in group.split(", ")]
    assert set(ordered) == packages(SOURCE / "optimizers")
    assert ordered == sorted(ordered, key=lambda family: rank(FAMILIES, family))


@for_each(lambda: by_name(FILES))
def test_one_screenful_of_ideas(path):
    assert len(path.read_text().splitlines()) <= 400


@for_each(lambda: by_name(FILES))
def test_modules_are_private(path):
    """Packages are public chapters, and only they, but for the modules that optax has."""
    public = path.is_relative_to(SOURCE / "optax")
    assert public or path.name == "__init__.py" or path.name.startswith("_")
    assert (path.parent / "__init__.py").exists()


@for_each(lambda: by_name(FILES))
def test_run_time_imports(path):
    for module, inside in imports(path):
        name = module[0]
        allowed = name == "optcore" or name in RUN_TIME or name in sys.stdlib_module_names
        allowed |= name == "optax" and path.is_relative_to(SOURCE / "optax")
        assert allowed or (inside and name in INSIDE_FUNCTIONS), f"imports {name}"


def exported(package):
    """The private modules that a package's `__init__` takes public names from."""
    tree = ast.parse((package / "__init__.py").read_text())
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def algorithms():
    """The modules of algorithms: those that give their chapter a public name."""
    for path in FILES:
        inside = path.relative_to(SOURCE)
        if inside.parts[0] in MIRRORED and path.stem in exported(path.parent):
            yield path


@for_each(lambda: by_name(algorithms()))
def test_tests_mirror_the_library(path):
    inside = path.relative_to(SOURCE)
    expected = ROOT / "tests" / inside.parent / f"test_{path.stem.removeprefix('_')}.py"
    assert expected.exists()


BY_PLATFORM = {
    "_core/_agreement.py": "sharding/test_shard_map.py",
    "_core/_checks.py": "sharding/test_shard_map.py",
    "_core/_examples.py": "sharding/test_shard_map.py",
    "_core/_norm.py": "core/test_norm.py",
    "_core/_slots.py": "sharding/test_shard_map.py",
    "tuning/_memory.py": "tuning/test_memory.py",
}
"""What depends on where it runs, and the tests that run every case of it on a CPU."""


def test_what_depends_on_the_platform():
    words = r"default_backend|manual_axes|platform|memory_stats|device_kind"
    found = {str(p.relative_to(SOURCE)) for p in FILES if re.search(words, p.read_text())}
    assert found == set(BY_PLATFORM), "test every case, and say where"
    assert all((ROOT / "tests" / path).exists() for path in BY_PLATFORM.values())


def texts():
    """Every file that people read."""
    folders = [SOURCE, ROOT / "tests", ROOT / "examples", ROOT / ".ci"]
    inside = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    top = [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml")]
    return sorted(p for p in (*inside, *top) if p.suffix in (".py", ".md", ".toml", ".json", ""))


@for_each(lambda: by_name(texts()))
def test_nothing_left_over(path):
    """No notes to oneself, and no paths of one machine."""
    text = path.read_text()
    assert not re.findall(r"\b(?:TO[D]O|FIX[M]E|XX[X])\b", text)
    assert not re.findall(r"(?<![\w.])/(?:home|root|tmp|work|mnt|Users)/\w+", text)
