"""The benchmark runs and prints what it promises; no timing is asserted."""

import json
import math

import jax
import pytest

from tests.benchmarks import __main__ as benchmarks

pytest.importorskip("optax", reason="optax, the peer, cannot be imported")


@pytest.fixture(autouse=True)
def _standard_promotion():
    """optax's Adam cannot run under strict promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def run(monkeypatch, tmp_path, *arguments):
    path = tmp_path / "rows.json"
    monkeypatch.setattr(
        "sys.argv", ["benchmarks", *arguments, "--repeats", "4", "--json", str(path)]
    )
    benchmarks.main()
    return json.loads(path.read_text())["rows"]


@pytest.mark.parametrize(
    ("arguments", "names", "peers"),
    [
        (
            ["large", "--size", "4096", "--rows", "large: 1 × adam,"],
            [
                "1 × adam, Nesterov",
                "1 × adam, clip, schedule",
                "1 × adam, Nesterov, clip, schedule",
            ],
            {"optax", "floor"},
        ),
        pytest.param(
            ["many", "--rows", "30 leaves"],
            [
                "30 leaves, trace + lower",
                "30 leaves, compile",
                "30 leaves, time to first step",
                "30 leaves, step",
            ],
            {"optax"},
            marks=pytest.mark.slow,
        ),
        (["eager", "--rows", "declared"], ["declared chain"], {"optax"}),
        (
            ["sparse", "--size", "262144", "--rows", "adagrad"],
            ["4096 × 64, batch of 1024, adagrad"],
            {"dense", "optax"},
        ),
    ],
)
def test_rows_are_ratios_to_peers(monkeypatch, tmp_path, capsys, arguments, names, peers):
    rows = run(monkeypatch, tmp_path, *arguments)
    printed = capsys.readouterr().out
    assert [row["name"] for row in rows] == names
    assert all(f"| {name} |" in printed for name in names)
    for row in rows:
        assert peers <= set(row["ratios"])
        assert all(math.isfinite(r) and r > 0 for r in row["ratios"].values())


def test_no_temporary_has_the_size_of_the_parameters(monkeypatch, tmp_path):
    rows = run(
        monkeypatch, tmp_path, "memory", "--rows", "× adamw, clip", "--rows", "× adagrad, clip"
    )
    assert len(rows) == 4
    # The XLA of older versions stores the clipped gradient.
    limit = 0.01 if jax.__version_info__ >= (0, 10) else 1.1
    for row in rows:
        assert row["ours"] < limit, row


@pytest.mark.parametrize("arguments", [["sizes"], ["--repeats", "1"]])
def test_bad_options(monkeypatch, capsys, arguments):
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stop:
        benchmarks.main()
    assert stop.value.code == 2
    assert "error" in capsys.readouterr().err
