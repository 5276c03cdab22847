"""The English of docstrings, comments, messages and Markdown files: no phrases to decode.

The phrases below read like a translation. Each is a regular expression that matches no correct
sentence of this library; beside it are an example of the mistake and the better wording.
"""

import ast
import io
import pathlib
import re
import tokenize
from collections.abc import Iterator

import pytest

from tests.rules import for_each

ROOT = pathlib.Path(__file__).parents[1]

NEGATED = r"(?!longer\b|more\b|fewer\b|less\b|such\b|other\b|different\b)"
NOT_ASKED = r"[^?.|]*\."  # up to the end of a statement: a question is correct English
PHRASES = {
    rf"(?<!there )\bis no {NEGATED}\w+": ("the mask is no tree", "is not a …"),
    rf"(?<!there )\bare no {NEGATED}\w+": ("indices are no integers", "are not …"),
    r"\bslip of the pen\b": ("it may be a slip of the pen", "misspelling"),
    r"\bmeans (it|them|no parameters?)\b": ("the first rule that means it", "matches …"),
    r"\b(that|which) (is|are) meant\b(?! (for|to|as)\b)": (
        "read the one that is meant",
        "name it: the parameter that the pattern matches",
    ),
    r"\bstands? (in(?! for\b)|inside|outside|beside|behind|there|here)\b": (
        "it stands in the state",
        "is in",
    ),
    r"\bstands? (once|twice|several|in several)\b": ("a row stands several times", "occurs"),
    r"\b(must|may|can|cannot|to) (not )?stand (?!for\b)\w+": ("it must stand outside", "must be"),
    r"\bwhat stands\b": ("what stands at a path", "the value at a path"),
    r"\bin the places? of\b": ("zeros in the place of rows", "in place of, instead of"),
    r"\bwhoever\b": ("whoever begins a tape", "the caller that …"),
    r"\b(thereof|therein|whereof|wherefore)\b": ("the first thereof", "the first of them"),
    r"\bbe it\b": ("an array, be it real or not", "whether it is real or not"),
    r"\bas such (that|which)\b": ("the same values, as such that vary", "marked as varying"),
    r"\bthat never were\b": ("average parameters that never were", "that are never used"),
    r"\b(say|says|said) so\b": ("a factory that says so", "declares it"),
    r"\bhand(s|ed)? (it |them )?on to\b": ("it is handed on to others", "passed on to"),
    r"(?<=[.;:] )Else\b": ("It fails. Else it runs", "Otherwise"),
    r"\blies? (on|along|elsewhere|there|where)\b": ("an array lies on a mesh", "is on"),
    r"\bstays? what (it|they) (is|are|was|were)\b": (
        "the norm stays what it was",
        "does not change",
    ),
    r"\banew\b": ("the sequence starts anew", "again: restarts, is recompiled"),
    r"(?:^|[.;] )What (is|are|has|have|cannot) (?!the\b|it\b|wrong\b)\w+" + NOT_ASKED: (
        "What is too small is not quantised.",
        "a noun, as in: Arrays below the minimum size are not quantised.",
    ),
    r"\bof what is no\w*\b": ("the moment of what is not a matrix", "of arrays that are not"),
    r"\bchanged? places\b": ("arguments have changed places", "are swapped"),
    r"\bstopped to\b": ("the loss has stopped to fall", "has stopped falling"),
    r"\bmakes? no use of\b": ("descent makes no use of it", "does not use it"),
    r"\b(is|are) told from\b": ("shapes are told from states", "are derived from"),
    r"\bas (it is|they are), but for\b": ("it leaves them as they are, but for counts", "except"),
    r"\b(someone|somebody|nobody) (has )?(put|says|said)\b": (
        "numbers that someone put there",
        "use the passive: numbers put there by hand",
    ),
}
COMPILED = {re.compile(p, re.IGNORECASE): better for p, (_, better) in PHRASES.items()}


def problems(text: str, first: int = 1) -> Iterator[tuple[int, str, str]]:
    """Line, phrase and better wording of every hit; a phrase may run over the end of a line."""
    ends, words = [], ""
    for line in text.split("\n"):
        words += "".join(f"{word} " for word in line.split())
        ends.append(len(words))
    for phrase, better in COMPILED.items():
        for found in phrase.finditer(words):
            line = first + sum(end <= found.start() + 1 for end in ends)
            yield line, found.group().strip(" .;:"), better


def prose(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a module and its comments, each with its first line."""
    tree = ast.parse(source)
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            texts = (p.value if isinstance(p, ast.Constant) else "X" for p in node.values)
            yield node.lineno, "".join(map(str, texts))
    last, block = 0, []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] != last + 1:
                yield last + 1 - len(block), "\n".join(block)
                block = []
            block.append(token.string.lstrip("# "))
            last = token.start[0]
    if block:
        yield last + 1 - len(block), "\n".join(block)


def report(path: pathlib.Path, hits: Iterator[tuple[int, str, str]]) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{n}: {found!r}: write {better}" for n, found, better in hits]


@pytest.mark.parametrize("folder", ["optcore", "examples"])
def test_python_files_have_none_of_the_phrases(folder):
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for first, text in prose(path.read_text()):
            found += report(path, problems(text, first))
    assert not found, "\n".join(found)


def test_markdown_files_have_none_of_the_phrases():
    # The changelog quotes names and messages of earlier versions.
    files = [*ROOT.glob("*.md"), *(ROOT / "optcore").rglob("*.md"), *ROOT.glob("examples/**/*.md")]
    found = []
    for path in sorted(set(files) - {ROOT / "CHANGELOG.md"}):
        found += report(path, problems(path.read_text()))
    assert not found, "\n".join(found)


@for_each(lambda: {wrong: (wrong, better) for wrong, better in PHRASES.values()})
def test_each_phrase_is_found_in_docstrings_comments_and_messages(case):
    wrong, better = case
    broken = wrong.replace(" ", "\n    ")
    module = f'def f(x):\n    """Do it.\n\n    {broken}\n    """\n    raise X(f"{{x}}. {wrong}")\n'
    module += "".join(f"# {word}\n" for word in wrong.split())
    for at, (first, text) in zip((5, 6, 7), sorted(prose(module))[-3:], strict=True):
        hits = [n for n, _, said in problems(text, first) if said == better]
        assert hits, f"not found near line {at}: {text!r}"


def test_a_hit_names_the_line_where_it_starts():
    assert list(problems("One line.\nThe mask is\nno tree.", 10)) == [
        (11, "is no tree", "is not a …")
    ]


def test_correct_english_passes():
    good = """There is no state. If there is no mask, all decay. It is no longer finite. There are
    no rules. The mean stands for a block. A key meant for others. What does it cost? Whether the
    call is meant to be eager. What is the mask?"""
    assert list(problems(good)) == []
