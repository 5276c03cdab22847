"""The reference of the API: what has an entry, where links lead, and how equations come out."""

import html.parser
import inspect
import os
import pathlib
import pkgutil
import re
import subprocess
import sys
import textwrap

import pytest

import optcore
from optcore._core import REGISTRY
from tests.rules import all_hold

ROOT = pathlib.Path(__file__).parents[1]
OWN = {f.name: f.function for key, f in REGISTRY.items() if key.startswith("optcore:")}

pytestmark = pytest.mark.slow


class Page(html.parser.HTMLParser):
    """A page's anchors, its links, and its text without source code."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.parts, self.code = set(), [], [], 0
        self.feed(path.read_text())
        self.text = "".join(self.parts)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors.add(found.get("id"))
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        self.code += tag == "pre"

    def handle_endtag(self, tag):
        self.code -= tag == "pre"

    def handle_data(self, data):
        if not self.code:
            self.parts.append(data)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages by module, made in a process in which every warning is an error."""
    for package in ("pdoc", "optax"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("reference")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.reference", str(folder)],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = sorted(folder.rglob("*.html"))
    return {path: Page(path) for path in found if path.name != "index.html"}


def modules(pages):
    root = min(pages, key=lambda path: len(path.parts)).parent
    return {".".join(path.relative_to(root).with_suffix("").parts) for path in pages}


def test_every_chapter_has_a_page_and_nothing_private_has_one(pages):
    names = [module.name for module in pkgutil.iter_modules(optcore.__path__)]
    chapters = {f"optcore.{name}" for name in names if not name.startswith("_")}
    assert modules(pages) >= {"optcore", *chapters}
    assert not [name for name in modules(pages) if "._" in name]


def test_every_factory_has_one_entry(pages):
    def one_entry(name):
        assert sum(name in page.anchors for page in pages.values()) == 1

    all_hold({name: name for name in OWN}, one_entry)


def test_signatures_name_their_annotations(pages):
    text = re.sub(r"\s+", " ", "\n".join(page.text for page in pages.values()))
    assert "adam( learning_rate: Rate, b1: Decay = 0.9," in text


def test_links_lead_to_an_entry(pages):
    def leads(link):
        path, href = link
        file, _, anchor = href.partition("#")
        page = pages[(path.parent / file).resolve() if file else path]
        assert not anchor or anchor in page.anchors

    inside = {
        f"{path.name}: {href}": (path, href)
        for path, page in pages.items()
        for href in page.links
        if "://" not in href
    }
    assert len(inside) > 1000
    all_hold(inside, leads)


def equations(docstring):
    """The equations of its blocks, each apart."""
    blocks = re.findall(r"^\.\. math::(.*(?:\n|\n +.*)*)$", docstring, re.MULTILINE)
    parts = [part for block in blocks for part in re.split(r"\n\s*\n|(?<=\S)\n(?=\S)", block)]
    return [textwrap.dedent(part).strip() for part in parts if part.strip()]


def test_equations_come_out_as_mathematics(pages):
    text = "\n".join(page.text for page in pages.values())
    assert "math::" not in text
    assert ":math:" not in text
    adam = r"\hat m_t = m_t / (1 - b_1^t), \quad \hat v_t = v_t / (1 - b_2^t)" + "\n$$"
    assert adam in text
    assert r"With \(F(V)\) the factored form of a matrix" in text
    found = {
        f"{name}, {number}": equation
        for name, function in OWN.items()
        for number, equation in enumerate(equations(inspect.getdoc(function)))
    }
    assert len(found) > 50

    def shown(equation):
        assert f"$$\n{equation}\n$$" in text

    all_hold(found, shown)
