"""Losses along lines and in planes, directions, and sharpness."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optcore import diagnostics

pytestmark = pytest.mark.usefixtures("broadcasting")

KEY = jax.random.key(1)


@pytest.fixture
def plt():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    pyplot = importlib.import_module("matplotlib.pyplot")
    yield pyplot
    pyplot.close("all")


def square(params):
    return sum(jnp.sum(p.astype(jnp.float32) ** 2) for p in jax.tree.leaves(params))


def test_a_line_passes_through_both_ends():
    first = {"w": jnp.array([1.0, 2.0]), "b": jnp.array(0.0)}
    second = {"w": jnp.array([3.0, -2.0]), "b": jnp.array(1.0)}
    line = diagnostics.loss_line(square, first, second, points=7, margin=0.5)
    np.testing.assert_allclose(line.positions, np.linspace(-0.5, 1.5, 7), rtol=1e-6)
    t = np.linspace(-0.5, 1.5, 7)
    expected = (1 + 2 * t) ** 2 + (2 - 4 * t) ** 2 + t**2
    np.testing.assert_allclose(line.losses, expected, rtol=1e-5)


def test_a_line_keeps_dtypes_and_integers():
    seen = []

    def loss(params):
        seen.append({k: v.dtype for k, v in params.items()})
        return square(params["w"]) + params["step"].astype(jnp.float32)

    first, second = (
        {"w": jnp.full(2, x, jnp.bfloat16), "step": jnp.int32(n)} for x, n in ((1, 3), (2, 9))
    )
    line = diagnostics.loss_line(loss, first, second, points=3, margin=0.0)
    np.testing.assert_allclose(line.losses, [2 + 3, 2 * 1.5**2 + 3, 8 + 3])
    assert seen[0] == {"w": jnp.bfloat16, "step": jnp.int32}


def test_a_wall_between_two_minima():
    def two_wells(w):
        return (w**2 - 1) ** 2

    line = diagnostics.loss_line(two_wells, jnp.float32(-1), jnp.float32(1), points=5, margin=0.0)
    np.testing.assert_allclose(line.losses, [0, 0.5625, 1, 0.5625, 0], atol=1e-6)


def kernel(seed, shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_every_filter_has_its_length(axis):
    params = {"conv": kernel(0, (3, 2, 4, 5)), "dense": kernel(1, (6, 3)), "bias": kernel(2, (3,))}
    d = diagnostics.filter_directions(params, KEY, output_axis=axis)
    for name in ("conv", "dense"):
        axes = tuple(i for i in range(params[name].ndim) if i != axis % params[name].ndim)
        lengths = [np.sqrt(np.sum(np.square(x[name]), axis=axes)) for x in (d, params)]
        np.testing.assert_allclose(*lengths, rtol=1e-5)
        # It is a direction of its own, not that of the weights.
        assert abs(np.corrcoef(d[name].ravel(), params[name].ravel())[0, 1]) < 0.6
    np.testing.assert_array_equal(d["bias"], 0)


def test_directions_depend_on_the_key():
    w = {"a": kernel(0, (4, 3)), "b": kernel(0, (4, 3)), "zero": jnp.zeros((2, 2))}
    d, same, other = (diagnostics.filter_directions(w, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(d["a"], same["a"])
    assert not np.allclose(d["a"], other["a"])
    assert not np.allclose(d["a"], d["b"])
    np.testing.assert_array_equal(d["zero"], 0)


def test_a_surface_has_a_row_per_second_coordinate():
    along = jnp.array([2.0, 0.0]), jnp.array([0.0, 1.0])
    plane = diagnostics.loss_surface(
        diagnostics.bowl, jnp.array([1.0, 0.0]), along, points=3, reach=0.5
    )
    np.testing.assert_allclose(plane.positions, [-0.5, 0, 0.5])
    a, b = np.meshgrid([-0.5, 0, 0.5], [-0.5, 0, 0.5])
    np.testing.assert_allclose(plane.losses, 0.5 * ((1 + 2 * a) ** 2 + 20 * b**2), rtol=1e-6)


def test_sharpness_of_a_quadratic_is_known():
    """One filter of length ℓ moves by radius · ℓ: the rise is ½ λ (radius ℓ)²."""
    w = jnp.zeros((50, 2)).at[0].set(jnp.array([1.0, 3.0]))

    def loss(v):
        return 0.5 * jnp.sum(jnp.array([4.0, 2.0]) * (v - w) ** 2)

    found = diagnostics.sharpness(loss, w, KEY, radius=0.2, directions=4)
    assert found.rise == pytest.approx(0.5 * (4 * 0.2**2 + 2 * 0.6**2), rel=1e-4)
    assert found.error < 1e-6


def test_sharpness_ignores_a_rescaling_of_layers():
    x, y = kernel(3, (30, 4)), kernel(4, (30, 2))
    params = {"first": kernel(5, (4, 8)), "second": kernel(6, (8, 2))}

    def loss(p):
        return jnp.mean((jax.nn.relu(x @ p["first"]) @ p["second"] - y) ** 2)

    other = {"first": 8 * params["first"], "second": params["second"] / 8}
    found, again = (diagnostics.sharpness(loss, p, KEY) for p in (params, other))
    assert again.rise == pytest.approx(float(found.rise), rel=1e-3)
    assert found.error > 0


def test_one_direction_has_no_error():
    assert np.isnan(diagnostics.sharpness(square, jnp.ones((2, 2)), KEY, directions=1).error)


def test_pictures(plt):
    line = diagnostics.LossLine(np.linspace(0, 1, 5), np.arange(1.0, 6.0))
    axes = diagnostics.plot_loss_line({"a": line, "b": line}, log=True)
    np.testing.assert_array_equal(axes.lines[0].get_data(), line)
    assert axes.get_yscale() == "log"
    assert axes.get_legend() is not None
    assert "1: second point" in axes.get_xlabel()
    assert diagnostics.plot_loss_line(line).get_legend() is None
    positions = np.linspace(-1, 1, 9)
    bowl = positions**2 + 2 * positions[:, None] ** 2 + 1
    for log in (False, True):
        axes = diagnostics.plot_loss_surface(diagnostics.LossSurface(positions, bowl), log=log)
        assert len(axes.collections) == 3
        assert axes.texts, "some contours are labelled"
        axes.figure.canvas.draw()
    flat = diagnostics.LossSurface(positions, np.ones((9, 9)))
    assert not diagnostics.plot_loss_surface(flat).collections
    with pytest.raises(ValueError, match="smaller reach"):
        diagnostics.plot_loss_surface(diagnostics.LossSurface(positions, bowl * np.nan))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: diagnostics.loss_line(square, 1.0, 2.0, points=1), ValueError, "points must be"),
        (lambda: diagnostics.loss_line(square, 1.0, 2.0, margin=-1), ValueError, "margin must be"),
        (
            lambda: diagnostics.loss_line(square, jnp.ones(2), jnp.ones(3)),
            ValueError,
            "must be parameters of the same model",
        ),
        (
            lambda: diagnostics.loss_surface(square, 1.0, (1.0, 1.0), reach=0),
            ValueError,
            "reach must be positive, got 0",
        ),
        *(
            (
                lambda wrong=wrong: diagnostics.loss_surface(square, jnp.ones(2), wrong),
                ValueError,
                "directions must be a pair of trees like the parameters",
            )
            for wrong in ((jnp.ones(2), 1.0), (jnp.ones(2),), jnp.ones(2))
        ),
        (lambda: diagnostics.sharpness(square, 1.0, 0), TypeError, "key must be a typed"),
        (lambda: diagnostics.filter_directions(1.0, 0), TypeError, "key must be a typed"),
        (
            lambda: diagnostics.sharpness(square, 1.0, KEY, radius=0.0),
            ValueError,
            "radius must be positive",
        ),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
