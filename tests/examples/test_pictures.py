"""The pictures that are kept in the repository: small, named in a README, and made by a command."""

import importlib
import pathlib
import shlex

import pytest

from tests.examples import need
from tests.typing.readme import readmes

need("sklearn", "matplotlib", "PIL")

from PIL import Image  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
FOLDER = "examples/pictures"

COMMANDS = {
    "saddle": f"python examples/compare_optimizers.py --figures saddle --out {FOLDER}",
    "schedules": "python examples/plot_schedules.py --panels decays "
    '"warm-up, stable, decay" "warm restarts" "one cycle" '
    f"--out {FOLDER}/schedules.png",
    "range_test": "python examples/find_learning_rate.py --optimizers adam "
    f"--out {FOLDER}/range_test.png",
}
"""What makes each picture again."""

QUICK = {
    "saddle": [],
    "schedules": ["--steps", "60"],
    "range_test": ["--steps", "20", "--train-steps", "1", "--seeds", "1"],
}
"""What makes the command short; the picture keeps its size."""


def size(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


def test_every_picture_has_a_command():
    found = {path.stem for path in (ROOT / FOLDER).glob("*.png")}
    assert found == COMMANDS.keys() == QUICK.keys()
    assert len(found) <= 4


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.sample(None)
def test_a_picture_is_small(name):
    path = ROOT / FOLDER / f"{name}.png"
    assert path.stat().st_size < 100_000
    assert 700 <= size(path)[0] <= 900


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.sample(None)
def test_a_readme_names_the_picture_and_its_command(name):
    texts = [path.read_text() for path in readmes().values()]
    naming = [text for text in texts if f"{FOLDER}/{name}.png" in text]
    assert naming
    for text in naming:
        assert COMMANDS[name] in " ".join(text.replace("\\\n", " ").split())


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.sample(None)
def test_the_command_makes_the_picture(name, tmp_path, capsys):
    _, script, *options = shlex.split(COMMANDS[name].replace(FOLDER, str(tmp_path)))
    main = importlib.import_module(f"examples.{pathlib.Path(script).stem}").main
    assert main([*options, *QUICK[name]]) == 0
    assert str(tmp_path / f"{name}.png") in capsys.readouterr().out
    new, old = (folder / f"{name}.png" for folder in (tmp_path, ROOT / FOLDER))
    assert size(new) == size(old)
