"""The example with a table: what it prints, and that dense gradients give the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples import embeddings

LAST_LINE = re.compile(r"train loss (\S+) nats, test accuracy (\S+)%, (\d+) steps/s")
SMALL = ("--table-rows", "4096", "--steps", "4", "--batch-size", "8")


def run(capsys, *options):
    status = embeddings.main([*SMALL, *options])
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    return lines[:-1], LAST_LINE.fullmatch(lines[-1]).groups()


@pytest.mark.slow
def test_as_a_script(tmp_path):
    root = Path(embeddings.__file__).parents[1]
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, embeddings.__file__, *SMALL],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert LAST_LINE.fullmatch(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_says_what_is_saved(capsys):
    (_, table, batch, _), _ = run(capsys, "--optimizer", "adam")
    assert table == "table of 4096 × 32: 0.5243 MB, and 2 as large in the state"
    seen, each, dense = re.search(
        r"sees (\d+) rows.*: (\S+) MB of table.* (\S+) MB, and", batch
    ).groups()
    assert float(dense) == pytest.approx(3 * 2 * 4096 * 32 * 4e-6, rel=1e-3)
    assert float(each) == pytest.approx(float(dense) * int(seen) / 4096, rel=1e-2)
    assert 8 < int(seen) <= 8 * embeddings.WIDTH


@pytest.mark.slow
def test_dense_gradients_give_the_same_with_adagrad(capsys):
    _, (loss, share, _) = run(capsys, "--optimizer", "adagrad")
    _, (dense_loss, dense_share, _) = run(capsys, "--optimizer", "adagrad", "--dense")
    assert float(loss) == pytest.approx(float(dense_loss), rel=2e-3)
    assert float(share) == pytest.approx(float(dense_share), abs=0.1)


def test_a_line_is_words_and_pairs():
    assert embeddings.words_of("if a.b:") == ["if", "a", ".", "b", ":", "if a", "a .", ". b", "b :"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", sorted(embeddings.OPTIMIZERS))
def test_learns(capsys, optimizer):
    assert embeddings.main(["--optimizer", optimizer]) == 0
    share = LAST_LINE.fullmatch(capsys.readouterr().out.splitlines()[-1])[2]
    # The largest module has an eighth of the lines.
    assert float(share) > 60


@pytest.mark.parametrize(
    "options", [("--optimizer", "adamm"), ("--steps", "0"), ("--batch-size", "x")]
)
def test_bad_options(capsys, options):
    with pytest.raises(SystemExit) as stop:
        embeddings.main(list(options))
    assert stop.value.code == 2
    assert options[1] in capsys.readouterr().err
