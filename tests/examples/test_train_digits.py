"""The digits example: what it prints, what it writes, what it refuses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples import train_digits
from tests.examples import need

need("sklearn", "matplotlib")

LAST_LINE = re.compile(r"train loss (\S+) nats, test accuracy (\S+)%, (\d+) steps/s")


@pytest.fixture(autouse=True)
def _as_a_script(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["examples/train_digits.py"])


def _run(capsys, out: Path, *options: str) -> tuple[int, str]:
    status = train_digits.main([*options, "--out", str(out)])
    return status, capsys.readouterr().out.splitlines()[-1]


def _refused(capsys, *options: str) -> str:
    with pytest.raises(SystemExit) as stop:
        train_digits.main(list(options))
    captured = capsys.readouterr()
    assert stop.value.code == 2
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("train_digits.py: error: ")
    return line


@pytest.mark.slow
def test_as_a_script(tmp_path):
    root = Path(train_digits.__file__).parents[1]
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, train_digits.__file__, "--steps", "4"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1])
    assert (tmp_path / "train_digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_seed_0_reaches_97_percent(capsys, tmp_path):
    status, line = _run(capsys, tmp_path / "run.png")
    assert status == 0
    assert float(LAST_LINE.fullmatch(line)[2]) >= 97


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_every_seed_reaches_97_percent(capsys, tmp_path, seed):
    _, line = _run(capsys, tmp_path / "run.png", "--seed", str(seed))
    assert float(LAST_LINE.fullmatch(line)[2]) >= 97


@pytest.mark.slow
def test_a_seed_fixes_the_numbers(capsys, tmp_path):
    def numbers(seed):
        _, line = _run(capsys, tmp_path / "run.png", "--steps", "6", "--seed", seed)
        return LAST_LINE.fullmatch(line).groups()[:2]

    assert numbers("3") == numbers("3") != numbers("4")


UNFIT = {
    "ftrl": "its weights start at 0, where all units of a layer are alike",
    "lars": "its steps are a thousandth of the weights, for long runs",
}
QUICK = {"adam"}


def test_what_needs_more_than_a_gradient_is_not_offered():
    known = set(train_digits.known_optimizers())
    assert known >= QUICK | set(UNFIT)
    assert not known & {"dpsgd", "noisy_sgd", "polyak_sgd", "sophia"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in train_digits.known_optimizers()
        if name not in UNFIT
    ],
)
def test_every_registered_optimizer_learns_at_its_default_rate(capsys, tmp_path, name):
    status, line = _run(capsys, tmp_path / "run.png", "--optimizer", name, "--steps", "100")
    assert status == 0
    # An untrained network answers one in ten.
    assert float(LAST_LINE.fullmatch(line)[2]) > 50


@pytest.mark.parametrize(
    "size",
    [
        pytest.param("1", marks=pytest.mark.slow),
        "7",
        pytest.param("1437", marks=pytest.mark.slow),
        "all",
    ],
)
@pytest.mark.sample(1)
def test_batch_sizes(capsys, tmp_path, size):
    status, line = _run(capsys, tmp_path / "run.png", "--steps", "3", "--batch-size", size)
    assert status == 0
    assert LAST_LINE.fullmatch(line)


def test_metrics_are_those_of_every_step():
    training, _ = train_digits.load_digits()
    tx = train_digits.make_optimizer("composed", 0.1, 6)
    _, metrics, _ = train_digits.train(tx, training, 6, 16, 0)
    assert [len(values) for values in metrics] == [6, 6, 6]
    assert metrics.learning_rate[0] == pytest.approx(0.1)
    assert list(metrics.learning_rate) == sorted(metrics.learning_rate, reverse=True)


def test_minibatches_of_an_epoch_are_disjoint():
    batches = train_digits.minibatches(0, 10, 3)
    for _ in range(2):
        epoch = [row for _ in range(3) for row in next(batches)]
        assert len(set(epoch)) == 9


def test_divergence_is_reported(capsys, tmp_path):
    options = "--steps", "5", "--learning-rate", "1e30"
    status, line = _run(capsys, tmp_path / "run.png", *options)
    assert status == 1
    assert re.fullmatch(r"diverged: loss (nan|inf) after \d updates; lower --learning-rate", line)
    assert (tmp_path / "run.png").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--optimizer", "adamm"), "did you mean adam?"),
        (("--optimizer", "zzz"), "did you mean composed or "),
        (("--steps", "0"), "from 1"),
        (("--steps", "-3"), "got '-3'"),
        (("--steps", "1.5"), "expected int"),
        (("--batch-size", "0"), "from 1 to 1437, got '0'"),
        (("--batch-size", "1438"), "from 1 to 1437, got '1438'"),
        (("--batch-size", "most"), "got 'most'"),
        (("--learning-rate", "-1"), "from 0"),
        (("--learning-rate", "nan"), "got 'nan'"),
        (("--learning-rate", "inf"), "got 'inf'"),
        (("--learning-rate", "fast"), "got 'fast'"),
        (("--seed", "-1"), "from 0"),
        (("--verbose",), "--verbose"),
    ],
)
def test_a_bad_option_is_one_line(capsys, options, expected):
    assert expected in _refused(capsys, *options)


def test_a_bad_out_is_refused_before_training(capsys, tmp_path, monkeypatch):
    monkeypatch.delattr(train_digits, "train")
    assert "No such file" in _refused(capsys, "--out", str(tmp_path / "missing" / "run.png"))
    assert "Is a directory" in _refused(capsys, "--out", str(tmp_path))


def test_the_check_of_out_leaves_no_trace(capsys, tmp_path):
    _refused(capsys, "--out", str(tmp_path / "run.png"), "--steps", "0")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "package"),
    [("sklearn.datasets", "scikit-learn"), ("matplotlib.figure", "matplotlib")],
)
def test_a_missing_package_names_the_extra(capsys, monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    line = _refused(capsys)
    assert package in line
    assert "pip install 'optcore[examples]'" in line


@pytest.mark.slow
def test_runs_without_tqdm(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    status, _ = _run(capsys, tmp_path / "run.png", "--steps", "2")
    assert status == 0
