"""The range test: on quadratics, whose largest stable rate is known, and on digits."""

import importlib
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.tuning import lr_range_test, plot_range_test
from optcore.tuning._phases import blow_up, noise, phases, smoothed, stable_limit, suggest

KEY = jax.random.key(0)


def quadratic(curvatures, noisy):
    """A loss and batches of noise: `½ Σ λ w² + noise · √λ w`."""
    curvatures = jnp.asarray(curvatures, jnp.float32)

    def loss(w, batch):
        return jnp.sum(curvatures * w**2 / 2 + noisy * jnp.sqrt(curvatures) * w * batch)

    shape = curvatures.shape
    return loss, lambda key: jax.random.normal(key, shape)


def examined(tx, curvatures, noisy=0.0, **arguments):
    loss, batches = quadratic(curvatures, noisy)
    top = max(curvatures)
    given = {"lowest": 1e-4 / top, "highest": 100 / top, "steps": 100, **arguments}

    def start(key):
        return jax.random.normal(key, (len(curvatures),))

    return lr_range_test(loss, start, tx, batches, key=KEY, progress=False, **given)


@pytest.mark.parametrize(
    ("curvatures", "noisy", "steps"),
    [
        ((1.0, 10.0, 100.0), 0.0, 100),
        ((1.0, 10.0, 100.0), 0.1, 100),
        ((1.0, 10.0, 100.0), 1.0, 100),
        ((0.01, 0.1, 1.0, 10.0), 0.0, 300),
        (tuple(np.geomspace(0.01, 100, 50)), 0.1, 100),
    ],
)
@pytest.mark.sample(2)
def test_the_largest_stable_rate_of_gradient_descent_is_two_over_the_curvature(
    curvatures, noisy, steps
):
    found = examined(optcore.sgd(1.0), curvatures, noisy, steps=steps)
    stable = 2 / max(curvatures)
    assert found.limit == pytest.approx(stable, rel=0.05)
    made = found.suggestions
    assert 0 < made.steepest < stable
    assert 0 < made.tenth_of_minimum < stable
    base, top = made.cyclical
    assert 0 < base < top < stable
    assert found.rates[found.phases.divergence - 1] < 1.05 * stable
    assert found.phases.descent <= found.phases.minimum < found.phases.divergence


def test_the_loss_goes_on_falling_beyond_the_stable_rate():
    """Why the limit is estimated: the lowest loss of a quadratic lies far above it."""
    found = examined(optcore.sgd(1.0), (1.0, 10.0, 100.0))
    assert found.rates[found.curve.argmin()] > 5 * 2 / 100


def test_momentum_may_go_further_and_the_suggestions_stay_below():
    found = examined(optcore.sgd(1.0, momentum=0.9), (1.0, 10.0, 100.0), 0.1)
    stable = 2 * (1 + 0.9) / 100
    assert 0.4 * stable < found.limit < stable
    assert max(found.suggestions.steepest, *found.suggestions.cyclical) < stable


def test_losses_are_those_after_the_step_at_each_rate():
    found = lr_range_test(
        lambda w: 0.5 * w**2, jnp.float32(1.0), optcore.sgd(9.0), None, 0.1, 0.9, 20, "linear",
        key=KEY, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(found.rates, np.linspace(0.1, 0.9, 20), rtol=1e-6)
    positions = np.cumprod(1 - np.linspace(0.1, 0.9, 20))
    np.testing.assert_allclose(found.losses, np.tile(positions**2 / 2, (5, 1)), rtol=1e-4)
    assert found.limit is None
    assert found.phases.divergence == 20


def test_rates_grow_by_a_factor():
    found = examined(optcore.adam(1.0), (1.0,), steps=21, lowest=1e-4, highest=1e-2)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1e-2, 21), rtol=1e-5)


def test_stops_when_the_loss_diverges():
    found = examined(optcore.sgd(1.0), (1.0, 100.0), 0.1, steps=200)
    assert len(found.rates) < 180
    assert found.losses.shape == (5, len(found.rates)) == (5, len(found.curve))


def test_smoothing_is_corrected_for_its_start_and_ends_at_what_is_no_number():
    losses = np.array([[2.0, 2.0, 5.0], [1.0, np.nan, 1.0]])
    got = smoothed(losses, 0.5)
    # Weights 1/8, 1/4 and 1/2 of what was seen.
    np.testing.assert_allclose(got[0], [2.0, 2.0, (2 / 8 + 2 / 4 + 5 / 2) / (7 / 8)])
    assert got[1].tolist() == [1.0, np.inf, np.inf]
    assert smoothed(losses, 0.0)[1].tolist() == [1.0, np.inf, np.inf]


def test_noise_of_the_median_curve():
    rng = np.random.default_rng(0)
    losses = 3.0 - np.linspace(0, 2, 4000) + 0.1 * rng.normal(size=(5, 4000))
    curve = np.median(smoothed(losses, 0.8), axis=0)
    measured = np.std(curve[100:] - (3.0 - np.linspace(0, 2, 4000))[100:])
    assert noise(losses, 0.8) == pytest.approx(measured, rel=0.15)


def test_phases_by_hand():
    curve = np.array([2.0, 2.0, 2.0, 1.9, 1.5, 0.6, 0.5, 0.0, 0.1, 0.9, 1.3, 8.0])
    rates = np.geomspace(1e-4, 1e7, 12)
    assert blow_up(curve, 0.0) == (2.0, 7, 10)
    assert phases(rates, curve, 0.0, None) == (4, 7, 10)
    made = suggest(rates, curve, phases(rates, curve, 0.0, None), None)
    # The loss falls most between 1.9 and 0.6.
    assert made.steepest == rates[4]
    assert made.tenth_of_minimum == pytest.approx(rates[7] / 10)
    assert made.cyclical == (rates[4], rates[7])
    # Beyond a limit nothing is searched, however low the loss.
    limit = 1.5 * rates[5]
    assert phases(rates, curve, 0.0, limit) == (4, 5, 6)
    half = suggest(rates, curve, phases(rates, curve, 0.0, limit), limit)
    assert half.cyclical == pytest.approx((rates[4], limit / 2))


@pytest.mark.parametrize("stable", [0.02, 0.5])
def test_the_limit_by_the_law_of_gradient_descent(stable):
    """Of a loss that grows by `(2 η / η_max - 1)²` at each rate."""
    rates = np.geomspace(stable / 1e3, 20 * stable, 100)
    loss = np.cumprod(np.square(2 * rates / stable - 1)) + np.geomspace(1, 1e-3, 100)
    assert stable_limit(rates, loss, loss, 0.0) == pytest.approx(stable, rel=1e-2)


def test_noise_is_no_progress():
    rng = np.random.default_rng(1)
    losses = 2.0 + 0.1 * rng.normal(size=(5, 200))
    curve = np.median(smoothed(losses, 0.8), axis=0)
    assert phases(np.geomspace(1e-5, 1, 200), curve, noise(losses, 0.8), None) is None


def test_no_rate_lowers_the_loss():
    found = examined(optcore.sgd(1.0), (1.0, 1.0), lowest=1e-9, highest=1e-8, noisy=1.0, steps=20)
    with pytest.raises(ValueError, match=r"no rate from 1e-09 to 1e-08 lowers the loss"):
        _ = found.suggestions
    found = examined(optcore.sgd(1.0), (1.0, 1.0), lowest=10.0, highest=100.0, steps=20)
    with pytest.raises(ValueError, match=r"may diverge from the first step on"):
        _ = found.suggestions


def test_is_compiled_once_and_changes_nothing_of_the_callers():
    traces = []
    params = {"w": jnp.ones(3), "n": jnp.int32(1)}
    before = jax.tree.map(np.array, params)

    def loss(params, batch):
        traces.append(1)
        return jnp.sum(params["w"] ** 2) + batch.sum()

    tx = optcore.adam(optcore.cosine_decay_schedule(1e-3, 10))
    batches = jnp.zeros((7, 2))
    lr_range_test(loss, params, tx, batches, 1e-3, 1.0, 40, key=KEY, progress=False)
    assert len(traces) == 1
    chex.assert_trees_all_equal(jax.tree.map(np.array, params), before)
    assert not batches.is_deleted()


def seen_batches(batches, steps=24, **arguments):
    found = lr_range_test(
        lambda w, batch: 0 * w + batch, jnp.float32(0.0), optcore.sgd(1.0), batches, 1e-3, 1.0,
        steps, key=KEY, progress=False, smoothing=0.0, **arguments,
    )  # fmt: skip
    return found.losses


@pytest.mark.parametrize(
    "batches", [jnp.arange(25.0), list(range(25)), iter(np.arange(30.0))], ids=type
)
def test_every_seed_has_its_own_order(batches):
    if isinstance(batches, list):
        batches = [np.float32(x) for x in batches]
    elif not isinstance(batches, jax.Array):
        batches = iter([np.float32(x) for x in batches])
    losses = seen_batches(batches, seeds=6)
    assert losses.shape == (6, 24)
    assert len({tuple(row) for row in losses.tolist()}) == 6
    # All but the first batch, whose loss comes before any step.
    assert all(len(set(row)) == 24 and set(row) <= set(range(25)) for row in losses.tolist())


def test_initial_parameters_from_a_key_differ():
    found = lr_range_test(
        lambda w: w**2, jax.random.normal, optcore.sgd(1.0), None, 1e-3, 1e-2, 20,
        key=KEY, progress=False,
    )  # fmt: skip
    assert len(set(found.losses[:, 0].tolist())) == 5


COMPOSED = optcore.chain(
    optcore.clip_by_global_norm(1.0),
    optcore.named_chain(
        ("rms", optcore.scale_by_rms(decay=0.99)),
        ("rate", optcore.scale_by_learning_rate(optcore.linear_schedule(1.0, 0.0, 5))),
    ),
)


def test_finds_the_rate_inside_a_composed_optimizer():
    wrapped = optcore.with_average(COMPOSED, "ema", decay=0.9)
    made = [examined(tx, (1.0, 10.0), 0.1) for tx in (COMPOSED, wrapped)]
    by_factory = examined(
        None,
        (1.0, 10.0),
        0.1,
        factory=lambda rate: optcore.chain(
            optcore.clip_by_global_norm(1.0),
            optcore.scale_by_rms(decay=0.99),
            optcore.scale_by_learning_rate(rate),
        ),
    )
    for found in made:
        np.testing.assert_allclose(found.curve, by_factory.curve, rtol=1e-4)


def test_a_rate_in_the_state_is_raised_too():
    clipped = optcore.chain(optcore.clip(1e30), optcore.sgd(0.1))
    plain, held = (examined(tx, (1.0, 10.0, 100.0)) for tx in (clipped, optcore.inject(clipped)))
    np.testing.assert_allclose(held.losses, plain.losses, rtol=1e-5)
    assert held.limit == pytest.approx(0.02, rel=0.05)
    optax = pytest.importorskip("optax", reason="injects an optimizer of optax")
    foreign = optcore.hyper.inject_foreign(optax.sgd, {"learning_rate": 0.1})
    with pytest.raises(ValueError, match=r"inject_foreign.* keeps its learning_rate in its state"):
        examined(optcore.chain(optcore.clip(1.0), foreign), (1.0, 10.0))


def test_foreign_optimizers_come_as_a_factory():
    optax = pytest.importorskip("optax", reason="tests a rate of optax")
    with jax.numpy_dtype_promotion("standard"):
        found = examined(None, (1.0, 10.0), 0.1, factory=optax.sgd)
    expected = examined(optcore.sgd(1.0), (1.0, 10.0), 0.1)
    np.testing.assert_allclose(found.curve, expected.curve, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lowest": 0.0}, ValueError, "0 < lowest < highest must hold, got lowest=0.0"),
        ({"lowest": 2.0, "highest": 1.0}, ValueError, "0 < lowest < highest must hold"),
        ({"steps": 10}, ValueError, "steps must be an int of at least 20, got 10"),
        ({"growth": "cubic"}, ValueError, "growth must be 'exponential' or 'linear'"),
        ({"seeds": 1}, ValueError, "seeds must be at least 5, got 1"),
        ({"smoothing": 1.0}, ValueError, "smoothing must lie in"),
        ({"key": 0}, TypeError, "key must be one typed random key"),
        ({"tx": optcore.clip(1.0)}, ValueError, "must have one learning_rate, .* has 0"),
        (
            {"tx": optcore.graft(optcore.sgd(1.0), optcore.sgd(1.0))},
            ValueError,
            "has 2, among magnitude.learning_rate",
        ),
        ({"tx": optcore.GradientTransformation(None, None)}, TypeError, "factory=lambda rate"),
        ({"factory": optcore.sgd}, ValueError, "give tx or factory, not both"),
        ({"loss_fn": lambda w: w * jnp.inf}, ValueError, "not finite at the start"),
    ],
)
def test_refuses(arguments, error, message):
    given = {
        "loss_fn": jnp.square, "params": jnp.float32(1.0), "tx": optcore.sgd(1.0),
        "batches": None, "lowest": 1e-3, "highest": 1.0, "steps": 20, "key": KEY, **arguments,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        lr_range_test(**given, progress=False)


@pytest.fixture
def axes():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    plt = importlib.import_module("matplotlib.pyplot")
    yield plt.subplots()[1]
    plt.close("all")


def test_the_plot_shows_curve_phases_and_suggestions(axes):
    found = examined(optcore.sgd(1.0), (1.0, 100.0), 0.1)
    assert plot_range_test(found, axes=axes) is axes
    shown = np.isfinite(found.curve)
    x, y = axes.lines[0].get_data()
    np.testing.assert_array_equal(x, found.rates[shown])
    np.testing.assert_array_equal(y, found.curve[shown])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "smoothed loss")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    steepest = f"steepest: {found.suggestions.steepest:.2g}"
    assert {"median of 5 seeds", "no progress", "fast descent", "divergence", steepest} <= set(
        labels
    )
    low, high = axes.get_ylim()
    assert low < found.curve.min()
    assert high < 10 * found.curve[0]


def test_a_test_without_progress_is_drawn_too(axes):
    found = examined(optcore.sgd(1.0), (1.0, 1.0), lowest=1e-9, highest=1e-8, noisy=1.0, steps=20)
    plot_range_test(found, axes=axes)
    assert len(axes.lines) == 1


def test_a_plot_needs_matplotlib_and_a_result(monkeypatch):
    found = examined(optcore.sgd(1.0), (1.0,), steps=20)
    with pytest.raises(TypeError, match="result must come from lr_range_test, got list"):
        plot_range_test([1.0])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install 'optcore\[plot\]'"):
        plot_range_test(found)
