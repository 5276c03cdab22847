"""The guide's table of deviations is what the script computes, and ours are rounding."""

import json
import pathlib

import pytest

import optcore
from tests import deviations

pytest.importorskip("optax", reason="the table compares with optax")

# optax warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore")

ROWS = [pytest.param(row, id=row.name) for row in deviations.ROWS]


def lines():
    """The rows of the guide's table by name, cell by cell."""
    cells = [line.strip("| \n").split(" | ") for line in deviations.written().splitlines()[2:]]
    return {name.strip("`"): rest for name, *rest in cells}


def agrees(cell, value):
    """Whether a cell says what was computed: as rounding, or to two digits."""
    if value is None or cell == "-":
        return value is None and cell == "-"
    if max(value, float(cell)) <= 2 * deviations.ROUNDING:
        return True
    # Two digits are within 5 % of the value, and another compiler rounds a little differently.
    return abs(float(cell) - value) <= 0.06 * value


def test_every_row_is_written_once_and_in_order():
    assert len({row.name for row in deviations.ROWS}) == len(deviations.ROWS)
    assert list(lines()) == [row.name for row in deviations.ROWS], "run: python -m tests.deviations"


def test_every_optimizer_has_a_row():
    """Its own name, or behind a comma what is special about the row."""
    names = {row.name.partition(",")[0] for row in deviations.ROWS}
    assert set(optcore.registry("optimizer")) <= names


def test_every_stored_trajectory_is_compared():
    """By the tests of the one whose it is, and at every step that is stored."""
    tests = pathlib.Path(__file__).parent
    sources = "".join(path.read_text() for path in tests.rglob("test_*.py"))
    stored = json.loads((tests / "golden" / "optimizers.json").read_text())["data"]
    assert [key for key in stored if f'"{key}"' not in sources] == []


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    source, *cells = lines()[row.name]
    assert source == deviations.source(row)
    ours, theirs = deviations.deviations(row)
    assert ours <= deviations.ROUNDING, f"{row.name} is off by {ours:.2g} of the movement"
    assert agrees(cells[0], ours), "run: python -m tests.deviations"
    assert agrees(cells[1], theirs), "run: python -m tests.deviations"


def test_a_deviation_is_relative_to_the_movement():
    """A learning rate that is 3 % too large moves 3 % too far."""
    reference = "torch.optim/Adam(lr=.01)"
    assert deviations.deviation(optcore.adam(0.0103), reference) == pytest.approx(0.03, rel=1e-3)


def test_a_reference_may_be_a_function():
    def descent(w, grads):
        """Gradient descent, by hand.

        More about it.
        """
        for g in grads:
            w = w - 0.5 * g
            yield w

    row = deviations.Row("sgd", descent, lambda lib: lib.sgd(0.5))
    assert deviations.source(row) == "Gradient descent, by hand"
    assert max(deviations.deviations(row)) < 1e-6
    assert deviations.deviation(optcore.sgd(1.0), descent) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "cell"), [(3.2e-8, "3e-8"), (0.0, "0"), (0.1349, "0.13"), (2.31e-4, "0.00023")]
)
def test_cells(value, cell):
    assert deviations.shown(value) == cell
    assert agrees(cell, value)
    assert not agrees(cell, 1.1 * value + 3e-5)
    assert not agrees("-", value)
    assert not agrees(cell, None)


def test_optax_lacks_it():
    assert deviations.shown(None) == "-"
    assert agrees("-", None)
