"""The example of snapshot ensembles: its table and picture, and what ensembles gain."""

import jax
import numpy as np
import pytest

from examples import snapshot_ensemble
from tests.examples import need

need("sklearn", "matplotlib")


@pytest.mark.slow
def test_prints_a_table_and_writes_a_picture(capsys, tmp_path):
    out = tmp_path / "ensemble.png"
    run = "--steps 64 --cycles 4 --last 3 --seeds 2 --out"
    assert snapshot_ensemble.main([*run.split(), str(out)]) == 0
    wrote, _, *rows = capsys.readouterr().out.splitlines()
    assert wrote == f"wrote {out}"
    assert [row[:24].strip() for row in rows] == list(snapshot_ensemble.METHODS)
    assert all(0 < float(row[24:].split()[0]) < 90 for row in rows)
    assert all("±" in row for row in rows[2:])
    assert out.read_bytes().startswith(b"\x89PNG")


def test_differences_are_paired():
    names = dict.fromkeys(snapshot_ensemble.METHODS, np.array([1.0, 3.0]))
    found = {**names, "single cosine run": np.array([2.0, 3.0])}
    lines = snapshot_ensemble.table(found).splitlines()
    assert lines[1].split() == ["snapshot", "ensemble", "2.00"]
    # The differences are 1 and 0: 0.5, with a standard error of 0.707 / √2.
    assert lines[4].split() == ["single", "cosine", "run", "2.50", "+0.50", "±", "0.50"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "1"], "--seeds must be at least 2"),
        (["--last", "7"], "between 1 and --cycles"),
        (["--steps", "50"], "16 per cycle"),
    ],
)
def test_refuses(capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        snapshot_ensemble.main(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_ensembles_err_less_than_their_mean_member():
    keys = jax.random.split(jax.random.key(1), 10)
    found = snapshot_ensemble.compare(snapshot_ensemble.load_digits(0.5), 1200, 6, 4, keys)
    gain = found["mean member"] - found["snapshot ensemble"]
    assert gain.mean() > 3 * gain.std(ddof=1) / np.sqrt(10) > 0
