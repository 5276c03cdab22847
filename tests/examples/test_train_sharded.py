"""The sharded transformer: one run on one device, on eight, and by two processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from examples import train_sharded
from tests.examples import need

need("sklearn", "matplotlib")

LAST_LINE = re.compile(
    r"(\d+) × (\d+) devices \(fsdp × tensor\), (\d+) process\(es\): (\S+)% of parameters and state "
    r"on each; test loss (\S+) nats per character, (\d+) characters/s"
)


@pytest.fixture(autouse=True)
def _as_a_script(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["examples/train_sharded.py"])


def told(text):
    return LAST_LINE.fullmatch(text.splitlines()[-1]).groups()


def test_on_eight_devices(capsys, tmp_path):
    out = tmp_path / "run.png"
    assert train_sharded.main(["--steps", "3", "--out", str(out)]) == 0
    cut, tensor, processes, share, loss, _ = told(capsys.readouterr().out)
    assert (int(cut), int(tensor), int(processes)) == (jax.device_count() // 2, 2, 1)
    # Only the scales and the counts are whole on each.
    assert 12 < float(share) < 20
    # Three steps know more than nothing: all characters alike.
    assert float(loss) < np.log(train_sharded.load_text().kinds)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tensor", "3"), "must divide 8 devices and 4 heads"),
        (("--batch-size", "6"), "must divide --batch-size"),
        (("--steps", "0"), "expected int from 1"),
    ],
)
def test_bad_options(capsys, options, message):
    with pytest.raises(SystemExit) as stop:
        train_sharded.main(list(options))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def as_a_script(folder, *options):
    root = Path(train_sharded.__file__).parents[1]
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, train_sharded.__file__, "--steps", "20", *options],
        cwd=folder,
        env={**environment, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "train_sharded.png").exists()
    return told(done.stdout)


@pytest.mark.slow
def test_the_loss_does_not_depend_on_the_devices(tmp_path):
    one = as_a_script(tmp_path, "--devices", "1")
    eight = as_a_script(tmp_path, "--devices", "8")
    two = as_a_script(tmp_path, "--processes", "2", "--devices", "2")
    assert one[:3] == ("1", "1", "1")
    assert eight[:3] == ("4", "2", "1")
    assert two[:3] == ("2", "2", "2")
    losses = [float(found[4]) for found in (one, eight, two)]
    assert max(losses) - min(losses) <= 0.002
    assert max(losses) < 3.2


@pytest.mark.slow
def test_a_process_that_fails_ends_the_others(tmp_path, capfd):
    assert train_sharded.main(["--processes", "2", "--batch-size", "3", "--steps", "2"]) != 0
    assert "must divide --batch-size" in capfd.readouterr().err
