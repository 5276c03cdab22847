"""The figures of optimizers: what they write, what they say, and whether it is so."""

import sys

import jax
import numpy as np
import pytest

import optcore
from examples import compare_optimizers
from tests.examples import need

need("sklearn", "matplotlib", "PIL")

from comparison import digits, paths, signals, sweep  # noqa: E402
from comparison.sheet import Options  # noqa: E402
from small_network import cross_entropy  # noqa: E402

SHORT = Options(steps=20, seeds=1, optimizers=("sgd",))


def run(capsys, out, *options):
    assert compare_optimizers.main([*options, "--out", str(out)]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_quick_figures_are_written(capsys, tmp_path):
    said = run(capsys, tmp_path / "new", "--figures", "momentum,sensitivity", "--steps", "10",
               "--seeds", "1", "--optimizers", "sgd")  # fmt: skip
    files = {path.name for path in (tmp_path / "new").iterdir()}
    assert files == {"momentum.png", "sensitivity.png", "sensitivity.md"}
    assert (tmp_path / "new" / "momentum.png").read_bytes().startswith(b"\x89PNG")
    assert "| `sgd` |" in (tmp_path / "new" / "sensitivity.md").read_text()
    assert "momentum 0.9 ends at 3.0" in said
    assert said.count("wrote ") == 2


@pytest.mark.slow
def test_all_figures_are_written(capsys, tmp_path):
    said = run(capsys, tmp_path, "--steps", "20", "--seeds", "2", "--optimizers", "sgd,dpsgd")
    files = {path.name for path in tmp_path.iterdir()}
    pictures = {f"{name}.png" for name in compare_optimizers.FIGURES}
    assert files == {*pictures, "saddle.gif", "sensitivity.md"}
    assert said.count("wrote ") == len(pictures)


def test_the_saddle_holds_gradient_descent_longest():
    words = paths.saddle(SHORT).words
    steps = {name.strip(): int(n) for name, _, n in (line.partition(": ") for line in words[1:])}
    assert list(steps) == ["gradient descent", "momentum 0.9", "Nesterov 0.9", "RMSProp", "Adam"]
    assert steps["gradient descent"] > 100 > 2 * max(n for n in steps.values() if n < 100)


def test_a_clip_tames_the_cliff():
    far = [float(line.rpartition(" ")[2]) for line in paths.clipping(SHORT).words]
    assert far[0] > 5
    assert far[1] == pytest.approx(1.6)


def test_momentum_crosses_the_stretch_and_overshoots():
    stuck, heavy, nesterov = paths.momentum(SHORT).words
    assert stuck.endswith("ends at -1.00")
    assert "overshoots" in heavy
    assert "overshoots" in nesterov


def test_folk_claims_that_fail():
    found = paths.denominators(400)
    growing, settled = (np.asarray(x) for x in found.values())
    assert growing[-1] / growing[24] == pytest.approx(4, rel=0.2)
    assert settled[-1] == pytest.approx(1, rel=0.3)
    assert paths.coasting(optcore.adagrad(0.1)) == 0
    assert paths.coasting(optcore.sgd(0.1, 0.9)) == pytest.approx(-0.09)


def test_the_burst_and_its_cure():
    def floor(tx):
        path = paths.walks(paths.valley, paths.START, {"": tx}, 400)[""]
        return np.abs(np.asarray(path.points)[:, 1])

    bursting, cured = floor(paths.mean_adagrad(0.3)), floor(optcore.adagrad(0.3, 0.0))
    quiet = np.flatnonzero(bursting < 1e-6)[0]
    assert bursting[quiet:].max() > 1
    assert cured[np.flatnonzero(cured < 1e-6)[0] :].max() < 1e-6


def test_an_average_lags():
    series = np.arange(200, dtype=np.float32)
    behind = series - signals.averaged(optcore.ema(0.9), series)
    assert behind[-1] == pytest.approx(9, rel=1e-3)


def test_every_optimizer_with_a_rate_is_swept():
    known = set(sweep.swept(()))
    assert known >= {"sgd", "adam", "dpsgd", "sophia", "noisy_sgd", "polyak_sgd"}
    assert known <= set(optcore.registry("optimizer"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dpsgd", "sophia", "noisy_sgd", "polyak_sgd"])
def test_what_needs_more_than_gradients_is_swept_too(name):
    found = sweep.sweep(sweep.swept((name,))[name], 30, 2)
    assert found.losses.shape == (9, 2)
    assert found.losses[found.best].mean() < np.log(10)


@pytest.mark.slow
def test_a_sweep_is_that_of_single_runs():
    tx = optcore.sgd(0.1)
    found = sweep.sweep(tx, 10, 2)
    assert found.rates[4] == pytest.approx(0.1)
    params, rows = digits.starts(10, 2)
    for seed in range(2):
        first = jax.tree.map(lambda x, i=seed: x[i], params)
        last, _ = digits.train(tx, first, rows[seed])
        expected = cross_entropy(last, digits.data()[0])
        assert found.losses[4, seed] == pytest.approx(float(expected), rel=1e-4)
    assert np.isinf(found.reached[0]).all()


def test_a_table_of_the_best():
    losses = np.array([[0.5, 0.7], [0.1, 0.3], [np.inf, 0.2]])
    reached = np.array([[np.inf, np.inf], [100.0, 120.0], [10.0, np.inf]])
    good = sweep.Sweep(np.array([0.01, 0.1, 1.0]), losses, reached)
    bad = sweep.Sweep(np.array([0.01, 0.1, 1.0]), losses[::-1] + 1, np.full((3, 2), np.inf))
    lines = sweep.table({"worse": bad, "better": good}, 50, 2).splitlines()
    assert lines[2] == "| `better` | 0.1 | 0.2 ± 0.1 | 110 ± 10 |"
    assert lines[3].startswith("| `worse` | 0.1 | 1.2 ±")
    assert lines[3].endswith("| - |")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--figures", "saddel"], "got 'saddel'"),
        (["--steps", "9"], "--steps must be at least 10"),
        (["--seeds", "0"], "--seeds at least 1"),
        (["--optimizers", "adamm"], "unknown optimizers ['adamm']"),
    ],
)
def test_a_bad_option_is_refused(options, message, capsys):
    with pytest.raises(SystemExit) as stop:
        compare_optimizers.main(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_sweeps_run_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(sweep.watched({"a": 1})) == [("a", 1)]


@pytest.mark.parametrize(
    ("module", "package"), [("matplotlib", "matplotlib"), ("sklearn.datasets", "scikit-learn")]
)
def test_a_missing_package_names_the_extra(capsys, monkeypatch, tmp_path, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as stop:
        compare_optimizers.main(["--figures", "saddle", "--out", str(tmp_path)])
    assert stop.value.code == 2
    assert f"{package} is missing: pip install 'optcore[examples]'" in capsys.readouterr().err
