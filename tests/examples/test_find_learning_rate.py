"""The example of the range test: what it prints and writes, and whether the rates are good."""

import numpy as np
import pytest

from examples import find_learning_rate
from tests.examples import need

need("sklearn", "matplotlib")


@pytest.mark.slow
def test_prints_a_table_and_writes_a_picture(capsys, tmp_path):
    out = tmp_path / "rates.png"
    run = "--optimizers adam --steps 40 --train-steps 20 --seeds 1 --out"
    assert find_learning_rate.main([*run.split(), str(out)]) == 0
    wrote, head, row = capsys.readouterr().out.splitlines()
    assert wrote == f"wrote {out}"
    assert head.split()[:2] == ["optimizer", "suggestion"]
    name, suggestion, accuracy, best, _ = row.split()
    assert name == "adam"
    assert 1e-4 < float(suggestion) < 1
    assert float(accuracy.rstrip("%")) > 50
    assert min(abs(np.log(float(best) / find_learning_rate.GRID))) < 0.05
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--steps", "5"], "at least 20"), (["--optimizers", "adamm"], "invalid choice")],
)
def test_refuses(capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        find_learning_rate.main(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", find_learning_rate.OPTIMIZERS)
def test_the_suggestion_is_within_a_point_of_the_best_of_twelve_rates(name):
    data = find_learning_rate.load_digits()
    test = find_learning_rate.range_test(name, data[0], 200, seed=0)
    suggestion = test.suggestions.steepest
    rates = [suggestion, *find_learning_rate.GRID]
    found = find_learning_rate.accuracies(name, rates, data, steps=400, seeds=3)
    assert len(found) == 13
    # A diverged network answers one in ten.
    assert found.min() < 50 < found[0]
    assert found[0] >= found[1:].max() - 1
