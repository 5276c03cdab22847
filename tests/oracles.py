"""Comparing an optimizer with numbers that were computed without it."""

import contextlib
import functools
import inspect
import json
import pathlib

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np

import optcore

quick = hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)
"""Few examples, and the same ones in every run."""

single = functools.partial(
    jax.tree.map,
    lambda x: np.asarray(x, np.complex64 if np.iscomplexobj(x) else np.float32),
)
double = functools.partial(
    jax.tree.map,
    lambda x: np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64),
)


def start(seed=1):
    """A real matrix and a complex vector."""
    rng = np.random.default_rng(seed)
    real, imag = rng.normal(size=(2, 5))
    return single({"w": rng.normal(size=(3, 4)), "z": real + 1j * imag})


def gradients(steps=20, seed=2):
    """Random gradients of `start()`."""
    return [start(seed * 1000 + t) for t in range(steps)]


def run(tx, params, grads):
    """The positions after every step, added up in float64: what is off is off in the updates."""
    state = tx.init(single(params))
    position = double(params)
    for g in grads:
        updates, state = tx.update(g, state, single(position))
        position = jax.tree.map(lambda p, u: p + u, position, double(updates))
        yield position


def close(got, expected, origin, tolerance=2e-6):
    """Compare positions leaf by leaf, relative to the largest movement away from `origin`."""
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for path, want in jax.tree.leaves_with_path(expected):
        begin, have = (functools.reduce(lambda t, k: t[k.key], path, x) for x in (origin, got))
        moved = np.abs(want - np.asarray(begin)).max()
        assert moved > 0, f"{path} did not move"
        error = np.abs(have - want).max() / moved
        assert error <= tolerance, f"{path} is off by {error:.2g} of the movement"


def agrees(tx, oracle, *, tolerance=2e-6, params=None, grads=None):
    """Compare every step of `tx` with `oracle(w, gradients)`, a generator of float64 positions.

    The oracle runs on every leaf by itself.
    """
    params = start() if params is None else params
    grads = gradients() if grads is None else grads
    paths = {k: oracle(double(params[k]), [double(g[k]) for g in grads]) for k in params}
    expected = [dict(zip(paths, step, strict=True)) for step in zip(*paths.values(), strict=True)]
    assert len(expected) == len(grads)
    for got, want in zip(run(tx, params, grads), expected, strict=True):
        close(got, want, params, tolerance)


@functools.cache
def _golden():
    path = pathlib.Path(__file__).parent / "golden" / "optimizers.json"
    return json.loads(path.read_text())["data"]


def golden(key):
    """The parameters that a reference implementation reached, by step."""
    return {
        int(step): {name: double(np.asarray(x)) for name, x in tree.items()}
        for step, tree in _golden()[key].items()
    }


def golden_problem():
    """Parameters and the ten gradients of the golden trajectories."""
    i, j = np.ogrid[:6, :4]
    k = np.arange(5)
    params = {"W": np.sin(1 + 0.7 * i + 1.3 * j), "b": np.cos(0.5 + 0.9 * k)}
    grads = [
        {
            "W": np.cos(0.3 * t + 0.5 * i - 0.9 * j) + 0.1 * (i - j),
            "b": np.sin(0.4 * t + 0.8 * k),
        }
        for t in range(1, 11)
    ]
    return single(params), [single(g) for g in grads]


def matches_golden(tx, key, tolerance=1e-5, still=0):
    """Compare with the parameters that a reference implementation reached.

    The first `still` steps go nowhere.
    """
    params, grads = golden_problem()
    stored = golden(key)
    assert set(stored) == {1, 2, 3, 10}
    for step, got in enumerate(run(tx, params, grads), start=1):
        if step <= still:
            jax.tree.map(np.testing.assert_array_equal, (got, stored[step]), 2 * (double(params),))
        elif step in stored:
            close(got, stored[step], params, tolerance)


def defaults(function):
    """The default values of a function's arguments by name."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def same_defaults(ours, theirs):
    """An import can be swapped: every default of `theirs` is that of `ours`."""
    expected, got = defaults(theirs), defaults(ours)
    assert {name: got.get(name, "missing") for name in expected} == expected


def takes_rows(tx):
    """Of row-sparse updates it gives those rows of what it gives of the dense ones."""
    g = optcore.RowSparse(jnp.array([2, 0]), jnp.array([[3.0, -4.0], [0.5, 12.0]]), (4, 2))
    params = jnp.ones(g.shape)
    rows, _ = tx.update(g, tx.init(params), params)
    dense, _ = tx.update(g.todense(), tx.init(params), params)
    np.testing.assert_allclose(rows.values, dense[rows.indices], rtol=1e-6)


def double_precision(enabled=True):
    """JAX's x64 mode, under the name that this version of JAX has for it."""
    return (jax if hasattr(jax, "enable_x64") else jax.experimental).enable_x64(enabled)


@contextlib.contextmanager
def count_compilations():
    """The names of the functions that XLA compiles meanwhile."""
    names = []

    def listen(event, duration, fun_name="", **context):
        if "backend_compile" in event:
            names.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.clear_event_listeners()
