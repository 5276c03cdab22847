"""From the source of a module to its mutants."""

import ast
import contextlib
import dataclasses
from collections.abc import Iterator
from types import CodeType
from typing import Any

DECORATORS = {"transformation", "schedule"}
LIFTS = {"map_leaves": 0, "per_leaf": 1}
"""What makes a function for one array one for trees, and which argument that function is."""

DECAYS = {"decay", "momentum", "dampening", "alpha"}
FLAGS = {
    "bias_correction",
    "centered",
    "debias",
    "eps_in_sqrt",
    "flip_sign",
    "nesterov",
    "staircase",
}
PARTNERS = {"b1": "b2", "b2": "b1", "b3": "b2", "eps": "eps_root", "eps_root": "eps"}
EXTREMES = {"max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum"}
OPERATORS: dict[type[ast.AST], Any] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Pow: ast.Mult, ast.FloorDiv: ast.Mod, ast.Mod: ast.FloorDiv,
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
IDENTITIES = (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)


@dataclasses.dataclass(frozen=True)
class _Edit:
    """A node in place of another: in a field of `parent`, or in an item of a list there."""

    parent: Any
    field: str
    index: int | None
    new: Any

    def swap(self) -> "_Edit":
        """Make the change and return the one that undoes it."""
        held = getattr(self.parent, self.field)
        if self.index is None:
            setattr(self.parent, self.field, self.new)
            return dataclasses.replace(self, new=held)
        old, held[self.index] = held[self.index], self.new
        return dataclasses.replace(self, new=old)


@contextlib.contextmanager
def _made(edits: list[_Edit]) -> Iterator[None]:
    """Change the tree, and change it back."""
    undo = [edit.swap() for edit in edits]
    try:
        yield
    finally:
        for edit in reversed(undo):
            edit.swap()


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One wrong change.

    Attributes:
      line: in the source.
      description: the function, its statement before, and after; the same in every run.
    """

    line: int
    description: str
    _tree: ast.Module = dataclasses.field(repr=False)
    _edits: list[_Edit] = dataclasses.field(repr=False)
    _filename: str = dataclasses.field(repr=False)

    @property
    def code(self) -> CodeType:
        """The module with the change, compiled."""
        with _made(self._edits):
            return compile(ast.fix_missing_locations(self._tree), self._filename, "exec")


@dataclasses.dataclass(frozen=True)
class _Default:
    """The default of one argument, which stands for a statement."""

    name: str
    holder: list[ast.expr]
    index: int
    lineno: int


def is_factory(node: ast.AST) -> bool:
    """Whether a definition carries the decorator of a registered factory."""
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(d, ast.Call) and getattr(d.func, "id", "") in DECORATORS
        for d in node.decorator_list
    )


def mutants(source: str, filename: str, *, whole: bool = False) -> Iterator[Mutant]:
    """Every mutant of the factories in a module and of the functions that they call.

    With `whole`, of all functions and methods.
    """
    tree = ast.parse(source)
    fields = _state_fields(tree)
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    seen = set()
    functions = _functions(tree.body) if whole else (("", f) for f in _algorithms(tree))
    for outer, function in functions:
        for where, statement, edits in _sites(function, fields, outer):
            before = _headline(statement)
            with _made(edits):
                after = _headline(statement)
            description = f"{where}: {before} → {after}"
            known = all(_is_known(edit.new, arguments) for edit in edits)
            if known and description not in seen and before != after:
                seen.add(description)
                yield Mutant(statement.lineno, description, tree, edits, filename)


def _is_known(new: ast.AST, arguments: set[str]) -> bool:
    """Whether a hyper-parameter that was put in exists: an unknown name is not a mistake."""
    name = getattr(new, "id", "")
    return name not in PARTNERS or name in arguments


def _algorithms(tree: ast.Module) -> list[ast.FunctionDef]:
    """The factories, and the module's functions that their bodies lead to."""
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    reached = {name for name, node in functions.items() if is_factory(node)}
    waiting = list(reached)
    while waiting:
        body = functions[waiting.pop()].body
        for node in (n for statement in body for n in ast.walk(statement)):
            if isinstance(node, ast.Name) and node.id in functions.keys() - reached:
                reached.add(node.id)
                waiting.append(node.id)
    return [node for name, node in functions.items() if name in reached]


def _functions(body: list[ast.stmt], outer: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods, with the names of their classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield outer, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{outer}{node.name}.")


def _state_fields(tree: ast.Module) -> dict[str, list[str]]:
    return {
        node.name: [f.target.id for f in node.body if isinstance(f, ast.AnnAssign)]
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


Site = tuple[str, Any, list[_Edit]]


def _sites(function: ast.FunctionDef, fields: dict[str, list[str]], outer: str) -> Iterator[Site]:
    """Places for a mutation: the function's name, the statement that shows it, and the edits."""
    where = f"{outer}{function.name}"
    arguments = function.args
    positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    for field, named in (("defaults", positional), ("kw_defaults", arguments.kwonlyargs)):
        values = getattr(arguments, field)
        for i, (argument, default) in enumerate(zip(named, values, strict=True)):
            if default is not None:
                shown = _Default(argument.arg, values, i, argument.lineno)
                for edit in _expressions(arguments, field, i):
                    yield where, shown, [edit]
    lifted = set(_lifted(function))
    for statement in _statements(function.body):
        if isinstance(statement, ast.FunctionDef):
            yield from _sites(statement, fields, f"{where}.")
            if statement.name in lifted:
                for edits, changed in _slots_of_leaf(statement):
                    yield f"{where}.{statement.name}", changed, edits
            continue
        for name, value in ast.iter_fields(statement):
            if name in ("body", "orelse", "annotation", "finalbody", "handlers"):
                continue
            for i, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(item, ast.AST):
                    for edit in _expressions(statement, name, i):
                        yield where, statement, [edit]
        if isinstance(statement, ast.Return) and any(a.arg == "state" for a in arguments.args):
            for edits in _slots_of_state(statement, fields):
                yield where, statement, edits


def _lifted(function: ast.FunctionDef) -> Iterator[str]:
    """The names of the functions for one array that are handed to what lifts them to trees."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in LIFTS:
            place = LIFTS[node.func.id]
            named = [keyword.value for keyword in node.keywords if keyword.arg == "leaf"]
            for leaf in (*node.args[place : place + 1], *named):
                if isinstance(leaf, ast.Name):
                    yield leaf.id


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement, also in branches and loops; but no docstrings and no errors."""
    for statement in body:
        text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if text or isinstance(statement, ast.Raise):
            continue
        yield statement
        if not isinstance(statement, ast.FunctionDef):
            for branch in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(statement, branch, []))


def _headline(statement: Any) -> str:
    """A statement as text; of a compound one its first line."""
    if isinstance(statement, _Default):
        return f"{statement.name}={ast.unparse(statement.holder[statement.index])}"
    return ast.unparse(statement).partition(":\n")[0]


def _expressions(parent: Any, field: str, index: int | None) -> Iterator[_Edit]:
    """Edits of one expression and of everything in it."""
    node = getattr(parent, field)
    node = node if index is None else node[index]
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.keyword) and node.arg == "strict"):
        return
    for new in _replacements(node):
        yield _Edit(parent, field, index, new)
    if isinstance(parent, (ast.If, ast.IfExp)) and field == "test" and not _is_identity(node):
        yield _Edit(parent, field, index, ast.UnaryOp(ast.Not(), node))
    for name, value in ast.iter_fields(node):
        if name == "annotation" or (name == "func" and not isinstance(node, ast.Call)):
            continue
        for i, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            compared = isinstance(node, ast.Compare) and _is_identity(node)
            if isinstance(item, ast.AST) and not (compared and isinstance(item, ast.Name)):
                yield from _expressions(node, name, i)


def _is_identity(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and isinstance(node.ops[0], IDENTITIES)


def _replacements(node: Any) -> Iterator[ast.AST]:
    if type(node) in OPERATORS:
        yield OPERATORS[type(node)]()
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield ast.Constant(_other(node.value))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if other := EXTREMES.get(node.id) or PARTNERS.get(node.id):
            yield ast.Name(other, ast.Load())
        if node.id in FLAGS:
            yield ast.UnaryOp(ast.Not(), node)
        if node.id in DECAYS:
            yield ast.BinOp(ast.Constant(1), ast.Sub(), ast.Name(node.id, ast.Load()))
    elif isinstance(node, ast.Attribute) and node.attr in EXTREMES:
        yield ast.Attribute(node.value, EXTREMES[node.attr], ast.Load())
    elif (
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "where"
        and len(node.args) == 3
    ):
        condition, yes, no = node.args
        yield ast.Call(node.func, [condition, no, yes], node.keywords)


def _other(value: bool | float) -> bool | float:
    if isinstance(value, bool):
        return not value
    if value in (0, 1):
        return type(value)(value + 1)
    return value + 1 if isinstance(value, int) else value / 2


def _slots_of_leaf(leaf: ast.FunctionDef) -> Iterator[tuple[list[_Edit], ast.stmt]]:
    """A slot is returned as it came in, or in place of another."""
    start = leaf.body[0]
    starred = [] if leaf.args.vararg is None else [leaf.args.vararg]
    names = [argument.arg for argument in (*leaf.args.args, *starred)]
    for statement in _statements(leaf.body):
        if not isinstance(statement, ast.Return) or not isinstance(statement.value, ast.Tuple):
            continue
        outputs = statement.value
        for i in range(1, min(len(outputs.elts), len(names))):
            name = names[i]
            keep = ast.parse(f"if True:\n old_{name} = {name}").body[0]
            assert isinstance(keep, ast.If)
            keep.body.append(start)
            kept: ast.expr = ast.Name(f"old_{name}", ast.Load())
            if isinstance(outputs.elts[i], ast.Starred):
                kept = ast.Starred(kept, ast.Load())
            old = _Edit(outputs, "elts", i, kept)
            yield [_Edit(leaf, "body", 0, keep), old], statement
            for j in range(i + 1, len(outputs.elts)):
                yield _exchange(outputs, "elts", i, j), statement


def _slots_of_state(statement: ast.Return, fields: dict[str, list[str]]) -> Iterator[list[_Edit]]:
    """A part of the state does not change, or goes to the place of another."""
    for node in ast.walk(statement):
        name = getattr(getattr(node, "func", None), "id", None)
        if name not in fields:
            continue
        for i, field in enumerate(fields[name][: len(node.args)]):
            old = ast.Attribute(ast.Name("state", ast.Load()), field, ast.Load())
            yield [_Edit(node, "args", i, old)]
            for j in range(i + 1, len(node.args)):
                yield _exchange(node, "args", i, j)


def _exchange(parent: Any, field: str, i: int, j: int) -> list[_Edit]:
    items = getattr(parent, field)
    return [_Edit(parent, field, i, items[j]), _Edit(parent, field, j, items[i])]
