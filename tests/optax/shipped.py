"""optax's own tests with their imports rewritten, so that `optax` means `optcore.optax`.

`python -m tests.optax.shipped [NAME ...]` runs them, or those of some files, and prints what fails.
"""

import ast
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
import xml.etree.ElementTree as ET

import optax

ROOT = pathlib.Path(optax.__file__).parent
IN_SCOPE = [
    *(
        f"_src/{name}_test.py"
        for name in (
            "alias",
            "base",
            "combine",
            "transform",
            "update",
            "numerics",
            "factorized",
            "float64",
            "sharding",
            "linesearch",
        )
    ),
    *(
        path.relative_to(ROOT).as_posix()
        for chapter in ("transforms", "schedules", "tree_utils", "contrib")
        for path in sorted((ROOT / chapter).glob("*_test.py"))
    ),
]
"""The files that say how optax's transformations and schedules behave."""


def names_ours(path):
    """Whether a file names anything of which the algorithm is ours.

    The others run optax's own code; that its names are handed on is another test.
    """
    from optcore.optax._door import FACTORIES

    computed = {name for name, made in FACTORIES.items() if not made.declared_by.handed_on}
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return bool(used & computed)


TOOLS = "optax._src.test_utils"
"""What stays optax's: problems and tables of numbers, no transformation."""


def private(name):
    """A module of optax's whose names are those of `optcore.optax`, where it has them."""
    from optcore.optax._mirror import mirror

    module = types.ModuleType(name)
    mirror(vars(module), name)
    return module


class _Imports(ast.NodeTransformer):
    """Imports of optax become imports of `optcore.optax`."""

    def visit_Import(self, node):
        return [self._plain(alias) for alias in node.names]

    def _plain(self, alias):
        if alias.name.partition(".")[0] != "optax" or alias.name == TOOLS:
            return ast.Import([alias])
        if alias.asname is None:
            return ast.parse("import optcore.optax as optax").body[0]
        return ast.parse(_module(alias.name, alias.asname)).body[0]

    def visit_ImportFrom(self, node):
        if node.level or (node.module or "").partition(".")[0] != "optax":
            return node
        return [self._from(node.module, alias) for alias in node.names]

    def _from(self, module, alias):
        name, local = f"{module}.{alias.name}", alias.asname or alias.name
        if name == TOOLS:
            return ast.ImportFrom(module, [alias], 0)
        try:
            importlib.import_module(name)
        except ImportError:
            return ast.parse(f"from optcore.{module} import {alias.name} as {local}").body[0]
        return ast.parse(_module(name, local)).body[0]


def _module(name, local):
    ours = f"optcore.{name}"
    try:
        importlib.import_module(ours)
    except ImportError:
        return (
            f"{local} = __import__('tests.optax.shipped', fromlist=['private']).private({name!r})"
        )
    return f"import {ours} as {local}"


def rewritten(path):
    """The source of one of optax's test files, about `optcore.optax`."""
    tree = _Imports().visit(ast.parse((ROOT / path).read_text()))
    return ast.unparse(ast.fix_missing_locations(tree))


CONFTEST = """
import os
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0 "
    "--xla_cpu_parallel_codegen_split_count=1"
)
"""


def run(paths, *, real=False, workers=None):
    """Run files and return, for each collected id, `None` or why it failed or did not run."""
    with tempfile.TemporaryDirectory() as folder:
        where = pathlib.Path(folder)
        (where / "conftest.py").write_text(CONFTEST)
        for path in paths:
            text = (ROOT / path).read_text() if real else rewritten(path)
            (where / path.replace("/", "__")).write_text(text)
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"--rootdir={where}", "-c", os.devnull, f"--junitxml={where / 'results.xml'}"),
            *(("-n", str(workers)) if workers else ()),
            *(str(where / path.replace("/", "__")) for path in paths),
        ]
        found = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=pathlib.Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
        )
        if not (where / "results.xml").exists():
            raise RuntimeError(found.stdout[-2000:] + found.stderr[-2000:])
        return dict(map(_result, ET.parse(where / "results.xml").iter("testcase")))


def _result(case):
    problems = [child for child in case if child.tag in ("failure", "error", "skipped")]
    name = f"{case.get('classname')}::{case.get('name')}"
    return name, f"{problems[0].tag}: {problems[0].get('message')}" if problems else None


def functions(path):
    """The test functions that a file defines."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    }


if __name__ == "__main__":
    real = "--real" in sys.argv
    chosen = [a for a in sys.argv[1:] if not a.startswith("--")]
    paths = [p for p in IN_SCOPE if not chosen or any(c in p for c in chosen)]
    results = run(paths, real=real, workers=2)
    skipped = [name for name, why in results.items() if why and why.startswith("skipped")]
    failed = {name: why for name, why in results.items() if why and name not in skipped}
    print(json.dumps(failed, indent=1))
    print(
        f"{len(results) - len(failed) - len(skipped)} of {len(results) - len(skipped)} pass, "
        f"{len(skipped)} are skipped by optax"
    )
