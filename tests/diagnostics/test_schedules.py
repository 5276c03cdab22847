"""Plots and tables of schedules."""

import importlib
import sys

import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import diagnostics


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    plt = importlib.import_module("matplotlib.pyplot")
    yield plt.subplots()[1]
    plt.close("all")


CURVES = {
    "cosine": optcore.cosine_decay_schedule(1.0, 50),
    "plain": lambda count: 1.0 / (1 + jnp.asarray(count, jnp.float32)),
}


def test_a_plot_shows_the_values(axes):
    made = diagnostics.plot_schedule(CURVES, 80, axes=axes)
    assert made is axes
    assert [line.get_label() for line in axes.lines] == list(CURVES)
    x, y = axes.lines[0].get_data()
    np.testing.assert_array_equal(x, np.arange(80))
    np.testing.assert_allclose(y, CURVES["cosine"](jnp.arange(80)))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "value")
    assert axes.get_legend() is not None


def test_a_long_plot_is_thinned_and_one_curve_needs_no_legend(axes):
    diagnostics.plot_schedule(CURVES["cosine"], 10**6, axes=axes, log=True)
    x, _ = axes.lines[0].get_data()
    assert len(x) == 2000
    assert x[0] == 0
    assert x[-1] == 10**6 - 1
    assert axes.get_legend() is None
    assert axes.get_yscale() == "log"


def test_a_table():
    lines = diagnostics.schedule_table(CURVES, 50, rows=3).splitlines()
    assert [line.split() for line in lines] == [
        ["step", "cosine", "plain"],
        ["0", "1", "1"],
        ["24", "0.5314", "0.04"],
        ["49", "0.0009866", "0.02"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_bars_show_both_signs():
    table = diagnostics.schedule_table(lambda t: jnp.asarray(t, jnp.float32) - 2, 5)
    assert [line.count("#") for line in table.splitlines()[1:]] == [0, 10, 20, 30, 40]
    flat = diagnostics.schedule_table(lambda t: 0.0, 3)
    assert "#" not in flat


def test_what_is_not_finite_is_shown():
    def broken(count):
        return jnp.array([1.0, jnp.nan, jnp.inf, 2.0])[count]

    lines = diagnostics.schedule_table(broken, 4).splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["1", "nan", "inf", "2"]
    assert [line.count("#") for line in lines] == [20, 0, 0, 40]


def test_a_plot_needs_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'optcore\[plot\]'"):
        diagnostics.plot_schedule(CURVES, 10)


@pytest.mark.parametrize("show", [diagnostics.plot_schedule, diagnostics.schedule_table])
def test_bad_arguments(show):
    with pytest.raises(TypeError, match=r"'a' must be a function of the step count, got 0\.1"):
        show({"a": 0.1}, 10)
    with pytest.raises(ValueError, match=r"steps must lie in \[1, 2\*\*31\], got 0"):
        show(CURVES, 0)
    for wrong in (10.5, True):
        with pytest.raises(TypeError, match="steps must be an int, got"):
            show(CURVES, wrong)
    with pytest.raises(ValueError, match=r"one number for each step, got the shape \(2,\)"):
        show(lambda count: jnp.ones(2), 10)
