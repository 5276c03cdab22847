"""Sweeps: like a loop over the settings, in chunks or not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.tuning import sweep
from optcore.tuning._memory import live_bytes

SETTINGS = {"learning_rate": [0.01, 0.1, 0.3], "weight_decay": [0.0, 0.1], "seed": [3, 4]}


def train(learning_rate, weight_decay, seed):
    """Final parameters and loss of a few steps on a quadratic."""
    w = jax.random.normal(jax.random.key(seed), (3,))
    tx = optcore.adamw(learning_rate, weight_decay=weight_decay)
    state = tx.init(w)
    for _ in range(3):
        updates, state = tx.update(2 * w, state, params=w)
        w = optcore.apply_updates(w, updates)
    return {"loss": jnp.sum(w**2), "params": w}


@pytest.mark.parametrize("options", [{}, {"chunk": 5}, {"chunk": 100}, {"memory": 1}], ids=repr)
def test_is_a_loop(options):
    found = sweep(train, SETTINGS, objective="loss", **options)
    rows = list(zip(*found.settings.values(), strict=True))
    assert len(rows) == len(set(rows)) == 12
    assert [row[2] for row in rows[:3]] == [3, 4, 3]
    for i, row in enumerate(rows):
        alone = train(*(x.item() for x in row))
        np.testing.assert_allclose(found.results["loss"][i], alone["loss"], rtol=2e-5)
        np.testing.assert_allclose(found.results["params"][i], alone["params"], atol=1e-5)
    losses = found.table["loss"]
    best = rows[int(losses.argmin())]
    assert found.best == dict(zip(SETTINGS, (x.item() for x in best), strict=True))
    assert isinstance(found.best["seed"], int)


@pytest.mark.parametrize(("chunk", "expected"), [(None, 1), (2, 1), (5, 1)])
def test_is_traced_once(chunk, expected):
    traces = []

    def counted(x):
        traces.append(1)
        return x

    sweep(counted, {"x": range(7)}, chunk=chunk)
    assert len(traces) == expected


def test_memory_decides_the_chunk():
    """A run that needs 4 MB for a matrix is not made a hundredfold in 20 MB."""
    sizes = []

    def hungry(x):
        sizes.append(1)
        a = x + jnp.arange(1e6, dtype=jnp.float32).reshape(1000, 1000)
        return jnp.linalg.norm(a @ a)

    found = sweep(hungry, {"x": np.zeros(10)}, memory=20_000_000)
    np.testing.assert_allclose(found.results["result"], float(hungry(0.0)), rtol=1e-4)
    # Traced for all, for as many as fit, and in the line above.
    assert len(sizes) == 3


def test_what_lives_at_once():
    """Two arrays of 4 kB at a time; in a scan the carry of each step, not of all."""

    def chained(x):
        for _ in range(5):
            x = jnp.sin(x)
        return x.sum()

    def scanned(x):
        return jax.lax.scan(lambda c, _: (jnp.sin(jnp.cos(c)), None), x, length=50)[0]

    x = jnp.zeros(1000)
    assert live_bytes(jax.make_jaxpr(chained)(x).jaxpr) == 8000
    assert 4000 <= live_bytes(jax.make_jaxpr(scanned)(x).jaxpr) <= 12100


def test_gradient_descent_is_stable_below_two_over_the_curvature():
    def final(learning_rate):
        tx = optcore.sgd(learning_rate)

        def body(carry, _):
            w, state = carry
            updates, state = tx.update(100 * w, state)
            return (w + updates, state), None

        w = jnp.float32(1.0)
        return jax.lax.scan(body, (w, tx.init(w)), length=200)[0][0] ** 2

    found = sweep(final, {"learning_rate": [0.0101, 0.0199, 0.0201]})
    assert (found.results["result"] > 1).tolist() == [False, False, True]
    assert found.best == {"learning_rate": pytest.approx(0.0101)}


def test_what_is_no_number_is_never_best():
    def broken(x):
        return jnp.where(x < 2, jnp.nan, x)

    settings = {"x": [3.0, 1.0, 2.0]}
    assert sweep(broken, settings).best == {"x": 2.0}
    assert sweep(broken, settings, maximize=True).best == {"x": 3.0}
    assert str(sweep(broken, settings)).splitlines()[-1].split() == ["1", "nan"]
    with pytest.raises(ValueError, match="no run gave a finite 'result'"):
        _ = sweep(broken, {"x": [0.0, 1.0]}).best


def test_prints_a_table():
    def results(a, b):
        return {"sum": a + b, "curve": jnp.arange(3)}

    found = sweep(results, {"a": [1.0, 2.0], "b": [0.5]})
    assert str(found).splitlines() == ["a    b  sum", "1  0.5  1.5", "2  0.5  2.5"]
    assert found.table["curve"].shape == (2, 3)


@pytest.mark.parametrize(
    ("settings", "options", "error", "message"),
    [
        ({"x": ["adam"]}, {}, TypeError, r"x must be a sequence of numbers, got \['adam'\]"),
        ({"x": 0.1}, {}, TypeError, "x must be a sequence of numbers, got 0.1"),
        ({"x": []}, {}, ValueError, "x must have at least one value"),
        ({}, {}, ValueError, "at least one argument"),
        ({"x": [1.0]}, {"chunk": 0}, ValueError, "chunk must be at least 1, got 0"),
        ({"x": [1.0]}, {"objective": "loss"}, ValueError, "one of the scalar results 'result'"),
        ({"seed": [2**31]}, {}, ValueError, "seed must hold integers that fit in int32"),
    ],
)
def test_refuses(settings, options, error, message):
    with pytest.raises(error, match=message):
        sweep(lambda x: x, settings, **options)


def test_a_run_that_returns_nothing_is_refused():
    with pytest.raises(ValueError, match=r"results \(there is none\), got None"):
        sweep(lambda x: None, {"x": [1.0]})
