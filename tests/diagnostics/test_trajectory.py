"""The classical losses, and the paths of optimizers on them."""

import importlib
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import diagnostics

LOSSES = ("bowl", "rosenbrock", "beale", "saddle", "plateau", "cliff")


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("bowl", (2.0, 3.0), 0.5 * (4 + 20 * 9)),
        ("rosenbrock", (-1.2, 1.0), 24.2),
        ("beale", (0.0, 0.0), 1.5**2 + 2.25**2 + 2.625**2),
        ("beale", (1.0, 2.0), 2.5**2 + 5.25**2 + 9.625**2),
        ("saddle", (2.0, 3.0), -5.0),
        ("plateau", (1.0, 1.0), 1 - np.exp(-1)),
        ("cliff", (1.0, 2.0), 0.5 + 2.0),
    ],
)
def test_values(name, point, value):
    assert getattr(diagnostics, name)(jnp.array(point)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "minimum"),
    [("bowl", (0, 0)), ("rosenbrock", (1, 1)), ("beale", (3, 0.5)), ("plateau", (0, 0))],
)
def test_minima(name, minimum):
    loss_fn, point = getattr(diagnostics, name), jnp.array(minimum, jnp.float32)
    np.testing.assert_allclose(jax.grad(loss_fn)(point), 0, atol=1e-6)
    assert jnp.linalg.eigvalsh(jax.hessian(loss_fn)(point))[0] > 0


def test_path_on_the_saddle_is_known():
    path = diagnostics.trajectory(
        diagnostics.saddle, jnp.array([1.0, -0.001]), optcore.sgd(0.02), 180
    )
    t = np.arange(181)
    np.testing.assert_allclose(path.points[:, 0], 0.96**t, rtol=1e-4)
    np.testing.assert_allclose(path.points[:, 1], -0.001 * 1.04**t, rtol=1e-4)
    np.testing.assert_allclose(
        path.losses, path.points[:, 0] ** 2 - path.points[:, 1] ** 2, atol=1e-6
    )
    slopes = 2 * np.linalg.norm(path.points, axis=1)
    np.testing.assert_allclose(path.gradient_norms, slopes, rtol=1e-5)


def test_any_optimizer_on_any_tree():
    start = {"w": jnp.ones(3), "b": jnp.float32(2.0)}

    def loss(params):
        return jnp.sum(params["w"] ** 2) + params["b"] ** 2

    key = jax.random.key(0)
    for tx, extra in (
        (optcore.polyak_sgd(1.0), {}),
        (optcore.sophia(0.1), {"key": key}),
        (optcore.monitor(optcore.adamw(0.1)), {}),
        (optcore.sam(optcore.sgd(0.1), rho=0.1), {}),
        (optcore.with_average(optcore.sgd(0.1), "tail"), {}),
    ):
        path = diagnostics.trajectory(loss, start, tx, 3, **extra)
        assert path.points["w"].shape == (4, 3)
        assert path.losses.shape == path.gradient_norms.shape == (4,)
        assert path.losses[-1] < path.losses[0] == 7
        chex.assert_trees_all_equal(jax.tree.map(lambda x: x[0], path.points), start)


def test_a_path_is_that_of_a_loop():
    tx = optcore.adam(optcore.linear_schedule(0.1, 0.0, 5))
    w = jnp.array([-1.2, 1.0])
    path = diagnostics.trajectory(diagnostics.rosenbrock, w, tx, 4)
    state = tx.init(w)
    for step in range(4):
        np.testing.assert_allclose(path.points[step], w, rtol=1e-6)
        u, state = tx.update(jax.grad(diagnostics.rosenbrock)(w), state, w)
        w = optcore.apply_updates(w, u)
    np.testing.assert_allclose(path.points[4], w, rtol=1e-6)


def test_foreign_optimizers():
    optax = pytest.importorskip("optax", reason="optax is not installed")
    start = jnp.array([1.0, 1.0])
    theirs, ours = (
        diagnostics.trajectory(diagnostics.bowl, start, library.sgd(0.05), 5)
        for library in (optax, optcore)
    )
    np.testing.assert_allclose(theirs.points, ours.points, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tx": optcore.sgd}, TypeError, "tx must be an optimizer"),
        ({"steps": -1}, ValueError, "steps must be at least 0, got -1"),
        ({"start": jnp.array([1, 2])}, TypeError, "write 1.0 for 1"),
        ({"loss_fn": lambda w: w}, ValueError, r"must return a scalar, got shape \(2,\)"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {
        "loss_fn": diagnostics.bowl, "start": jnp.ones(2), "tx": optcore.sgd(0.1), "steps": 2,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        diagnostics.trajectory(**{**arguments, **change})


STILL = {"still": diagnostics.Trajectory(np.zeros((2, 2)), np.zeros(2), np.zeros(2))}
WINDOW = {"x": (-2.0, 2.0), "y": (-1.5, 3.0)}


def paths(steps=20):
    start = jnp.array([-1.2, 1.0])
    return {
        name: diagnostics.trajectory(diagnostics.rosenbrock, start, tx, steps)
        for name, tx in (("sgd", optcore.sgd(1e-3)), ("thrown out", optcore.sgd(1.0)))
    }


@pytest.mark.parametrize("log", [False, True])
def test_the_picture_shows_the_paths(plt, log):
    axes = plt.subplots()[1]
    drawn = paths()
    made = diagnostics.plot_trajectories(
        diagnostics.rosenbrock, drawn, axes=axes, log=log, **WINDOW
    )
    assert made is axes
    line = axes.lines[0]
    np.testing.assert_array_equal(np.transpose(line.get_data()), drawn["sgd"].points)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("first parameter", "second parameter")
    assert (axes.get_xlim(), axes.get_ylim()) == (WINDOW["x"], WINDOW["y"])
    assert [t.get_text() for t in axes.get_legend().get_texts()] == list(drawn)
    # A point that is not finite ends the path.
    assert all(np.isfinite(line.get_data()).all() for line in axes.lines)
    axes.figure.canvas.draw()


@pytest.mark.parametrize("name", LOSSES)
def test_every_landscape_has_contours(plt, name):
    axes = diagnostics.plot_trajectories(
        getattr(diagnostics, name), {}, log=name in ("rosenbrock", "beale"), **WINDOW
    )
    assert len(axes.collections) == 2


@pytest.mark.parametrize("log", [False, True])
def test_contours_where_the_loss_is_a_number(plt, log):
    def loss(w):
        return jnp.sum(jnp.sqrt(w))

    axes = diagnostics.plot_trajectories(loss, {}, log=log, **WINDOW)
    drawn = [path.get_extents() for path in axes.collections[-1].get_paths() if len(path.vertices)]
    assert len(drawn) > 10
    assert min(box.xmin for box in drawn) >= 0


@pytest.mark.slow
def test_a_moving_picture(plt, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    file = diagnostics.animate_trajectories(
        diagnostics.rosenbrock, paths(), tmp_path / "paths.gif", frames=4, per_second=5, **WINDOW
    )
    with image.open(file) as gif:
        assert gif.format == "GIF"
        assert gif.n_frames == 4
        assert gif.info["duration"] == 200
    assert not plt.get_fignums()


def test_pictures_refuse(tmp_path):
    wide = {
        "sgd": diagnostics.trajectory(lambda w: jnp.sum(w**2), jnp.ones(3), optcore.sgd(1.0), 1)
    }
    with pytest.raises(ValueError, match=r"path 'sgd' must have two parameters, .* \(2, 3\)"):
        diagnostics.plot_trajectories(diagnostics.bowl, wide, **WINDOW)
    with pytest.raises(TypeError, match=r"must map labels to paths, .* got Trajectory"):
        diagnostics.plot_trajectories(diagnostics.bowl, STILL["still"], **WINDOW)
    with pytest.raises(ValueError, match="x must be an interval"):
        diagnostics.plot_trajectories(diagnostics.bowl, {}, x=(1.0, 1.0), y=(0.0, 1.0))
    for drawn, frames, message in ((STILL, 1, "frames must be at least 2"), ({}, 2, "got none")):
        with pytest.raises(ValueError, match=message):
            diagnostics.animate_trajectories(
                diagnostics.bowl, drawn, tmp_path / "a.gif", frames=frames, **WINDOW
            )


@pytest.mark.parametrize(
    "draw",
    [
        lambda: diagnostics.plot_trajectories(diagnostics.bowl, {}, **WINDOW),
        lambda: diagnostics.animate_trajectories(diagnostics.bowl, STILL, "a.gif", **WINDOW),
        lambda: diagnostics.plot_loss_line(diagnostics.LossLine(np.ones(2), np.ones(2))),
        lambda: diagnostics.plot_loss_surface(diagnostics.LossSurface(np.ones(2), np.ones((2, 2)))),
    ],
)
def test_pictures_need_matplotlib(monkeypatch, draw):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"needs matplotlib: pip install 'optcore\[plot\]'"):
        draw()
