"""The public surface: registry, exports, words, and optax's names, orders and defaults."""

import ast
import importlib
import inspect
import pathlib
import re
import typing

import pytest

import optcore
from optcore._core import REGISTRY, GradientTransformation
from optcore._core._marks import ScheduleMark
from tests.rules import for_each

ROOT = pathlib.Path(__file__).parents[1]
OPTAX = ROOT / "optcore" / "optax"
INITS = sorted(
    path
    for path in (ROOT / "optcore").rglob("__init__.py")
    # Its names are optax's, with which `tests/optax` compares them.
    if not path.is_relative_to(OPTAX)
)
OWN = {f.name: f for key, f in REGISTRY.items() if key.startswith("optcore:")}

EXCEPTIONS = {
    ("scale_by_learning_rate", "learning_rate"): "a missing rate is an error, not the identity",
    ("add_noise", "seed"): "deprecated in optax",
    ("noisy_sgd", "seed"): "deprecated in optax",
    ("scale_by_factored_rms", "decay_rate_fn"): "absent is None, and then it is declared data",
    ("differentially_private_aggregate", "key"): "randomness has no default",
    ("differentially_private_aggregate", "seed"): "deprecated in optax",
    ("dpsgd", "seed"): "a typed key is given, as everywhere",
    ("dpsgd", "key"): "in the place of the seed",
    ("adadelta", "learning_rate"): "the paper's 1; with optax's `None` the sign is missing too",
    ("nadam", "nesterov"): "without it this is adam",
    ("nadamw", "nesterov"): "without it this is adamw",
    ("monitor", "measures"): "ours has a list of its own, which needs both sides of `inner`",
    ("monitor", "inner"): "a wrapper, which sees gradients before and updates after",
}
"""Where a signature departs from optax's, and why; strict: each must depart."""


OPTAX_NAMES_THE_FIRST = {"lookahead"}
"""Wrappers whose first argument has optax's name, which another test compares."""


PUBLIC = {name: value for name, value in vars(optcore).items() if not name.startswith("_")}


def exported(path):
    """The names that a chapter imports."""
    tree = ast.parse(path.read_text())
    return {a.asname for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}


def chapter_exports():
    """What each chapter exports, by its name."""
    chapters = {path.parent.name: path for path in INITS if path.parent.parent == ROOT / "optcore"}
    return {n: exported(path) for n, path in chapters.items() if not n.startswith("_")}


def makes(function):
    """Whether a function is annotated to return a transformation or a schedule."""
    result = typing.get_type_hints(function, include_extras=True).get("return")
    marks = getattr(result, "__metadata__", ())
    return result is GradientTransformation or any(isinstance(m, ScheduleMark) for m in marks)


def test_every_public_factory_is_registered():
    factories = {
        name
        for chapter, names in chapter_exports().items()
        for name in names
        if inspect.isfunction(value := getattr(importlib.import_module(f"optcore.{chapter}"), name))
        and makes(value)
    }
    # Bodies of optimizers call it; it is not one.
    assert factories - {"descend"} == set(OWN)


@for_each(lambda: OWN)
def test_registered_factory_is_exported(factory):
    """From its chapter, and perhaps at the top, and they are the same."""
    module = importlib.import_module(factory.function.__module__)
    folder = module.__name__.rpartition(".")[0]
    chapter = ".".join(folder.split(".")[:2])
    value = getattr(module, factory.name)
    assert getattr(importlib.import_module(folder), factory.name) is value
    assert getattr(importlib.import_module(chapter), factory.name) is value
    assert PUBLIC.get(factory.name, value) is value


def top():
    """The names at the top by the groups that CONTRIBUTING lists."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (block,) = re.findall(r"```top\n(.*?)```", text, re.S)
    groups = dict(re.split(r":\s+", group, maxsplit=1) for group in block.strip().split("\n\n"))
    return {group: set(names.split()) for group, names in groups.items()}


def test_the_top_is_what_the_rule_says():
    listed = top()
    kinds = ("optimizer", "wrapper")
    every = {kind: {f.name for f in OWN.values() if f.kind == kind} for kind in kinds}
    imported = {name for name in chapter_exports() if name != "testing"}
    assert listed.pop("optimizers") == {"all"}
    assert listed.pop("wrappers") == {"all"}
    assert listed.pop("chapters") == {"all", "but", "testing", "and", "optax"}
    groups = [*listed.values(), *every.values(), imported]
    assert sum(map(len, groups)) == len(set().union(*groups)), "a name is in two groups"
    assert set().union(*groups) == PUBLIC.keys() - {"optax", "testing"}
    assert not [name for name in PUBLIC if name.endswith("State") and name not in listed["types"]]
    schedules = {f.name for f in OWN.values() if f.kind == "schedule"}
    assert listed["schedules"] <= schedules
    parts = {f.name for f in OWN.values() if f.kind in ("transform", "direction")}
    assert listed["parts of a chain"] <= parts
    assert (
        not (schedules | parts) & PUBLIC.keys() - listed["schedules"] - listed["parts of a chain"]
    )


def reexports():
    """Every name that a chapter gives, as its import, by chapter and name."""
    return {
        f"{path.parent.relative_to(ROOT)}, line {alias.lineno}, {alias.name}": alias
        for path in INITS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@for_each(reexports)
def test_reexports_are_explicit(alias):
    """`X as X`: the import is the list, which type checkers can read."""
    assert alias.asname in (alias.name, f"_{alias.name}")


@for_each(lambda: {str(path.relative_to(ROOT)): path for path in INITS})
def test_chapters_hold_only_imports(path):
    docstring, *rest = ast.parse(path.read_text()).body
    assert isinstance(docstring, ast.Expr)
    if path.parent.name == "optcore":
        # Names that went say where.
        assert isinstance(rest.pop(), ast.If)
    assert all(isinstance(node, ast.ImportFrom) for node in rest)


def words():
    """The closed list of state fields."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition("| Field |")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \| \S.*\|$", section, re.MULTILINE)


def states():
    return {
        name: value
        for chapter, names in chapter_exports().items()
        for name in names
        if name.endswith("State")
        and inspect.isclass(value := getattr(importlib.import_module(f"optcore.{chapter}"), name))
        and hasattr(value, "_fields")
    }


@for_each(states)
def test_state_fields_are_in_the_list(state):
    unknown = set(state._fields) - set(words())
    assert not unknown, f"CONTRIBUTING does not list {unknown}"


def test_every_word_is_in_use():
    assert set(words()) == {field for state in states().values() for field in state._fields}


def test_every_state_is_public():
    """A state that an example makes is a class that users can import, or a plain container."""
    import jax.numpy as jnp

    def classes(state):
        if hasattr(state, "_fields"):
            yield type(state)
        if isinstance(state, dict):
            state = tuple(state.values())
        if isinstance(state, tuple):
            for inner in state:
                yield from classes(inner)

    public = {**states(), "EmptyState": optcore.EmptyState}
    for factory in OWN.values():
        if factory.kind != "schedule":
            for found in classes(factory.example().init(jnp.zeros(2))):
                assert public[found.__name__] is found


@for_each(lambda: OWN)
def test_first_arguments(factory):
    names = list(factory.signature.parameters)
    if factory.kind == "optimizer":
        # Polyak's step has only an upper bound of it.
        assert names[0] in ("learning_rate", "max_learning_rate")
    if factory.kind == "direction":
        assert "learning_rate" not in names
    if factory.kind == "wrapper":
        first = factory.signature.parameters[names[0]]
        wrapped = [name for name, role in factory.roles.items() if role.kind == "transformation"]
        several = first.kind is first.VAR_POSITIONAL or len(wrapped) > 1
        assert wrapped[0] == names[0]
        # Objects with optax's name have optax's arguments, which another test compares.
        assert several or names[0] == "inner" or factory.name in OPTAX_NAMES_THE_FIRST


@for_each(lambda: OWN)
def test_steps_are_static(factory):
    for name, role in factory.roles.items():
        if name.endswith("_steps") or name == "every":
            static = (role.kind, role.base) == ("static", int)
            assert static or role.or_int, f"{name} is no static int, nor a schedule of it"
        if name.endswith("_dtype"):
            assert role.kind == "dtype"


def departures(factory, optax):
    """The arguments in which a signature departs from optax's, each with the difference."""
    ours = list(factory.signature.parameters.values())
    theirs = list(inspect.signature(getattr(optax, factory.name)).parameters.values())
    found = {}
    mine = {p.name: p for p in ours}
    position = {p.name: i for i, p in enumerate(ours)}
    for i, parameter in enumerate(theirs):
        name = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            if ours[i].kind is not parameter.VAR_POSITIONAL:
                found[name] = "optax stars it"
        elif name not in mine:
            found[name] = "optax has it"
        elif mine[name].default != parameter.default:
            found[name] = f"default {mine[name].default}, optax {parameter.default}"
        elif parameter.kind is not parameter.KEYWORD_ONLY and position[name] != i:
            found[name] = f"position {position[name]}, optax {i}"
        elif mine[name].kind is not parameter.kind:
            found[name] = f"{mine[name].kind}, optax {parameter.kind}"
    foreign = {p.name for p in theirs}
    for parameter in ours:
        extra = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if extra and parameter.name not in foreign:
            found[parameter.name] = "not in optax, and not keyword-only"
    return found


def in_optax():
    optax = pytest.importorskip("optax", reason="signatures are compared with optax's")
    return {name: factory for name, factory in OWN.items() if hasattr(optax, name)}


@pytest.mark.filterwarnings("ignore:optax:DeprecationWarning")
@for_each(in_optax)
def test_signature_is_that_of_optax(factory):
    import optax

    known = {name: reason for (owner, name), reason in EXCEPTIONS.items() if owner == factory.name}
    found = departures(factory, optax)
    unexplained = {name: how for name, how in found.items() if name not in known}
    assert not unexplained, unexplained
    assert known.keys() <= found.keys(), "an exception that is none: remove it"
