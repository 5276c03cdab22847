"""The factored second moment against section 3 of arXiv 1804.04235 and optax."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles


def factored_1804_04235(w, grads, decay_rate=0.8, offset=0, eps=1e-30, factored=True, decays=None):
    """Algorithms 4 and 5 with sums, as in the paper; for `w ← w + U`."""
    rows = columns = v = 0.0
    for t, g in enumerate(grads, start=1):
        b = 1 - float(max(t - offset, 1)) ** -decay_rate if decays is None else decays[t - 1]
        square = np.abs(g) ** 2 + eps
        if factored and w.ndim == 2:
            rows = b * rows + (1 - b) * square.sum(1)
            columns = b * columns + (1 - b) * square.sum(0)
            v = np.outer(rows, columns) / rows.sum()
        else:
            v = b * v + (1 - b) * square
        w = w + g / np.sqrt(v)
        yield w


@pytest.mark.parametrize("factored", [True, False])
@pytest.mark.parametrize(
    "options", [{}, {"decay_rate": 0.5, "eps": 0.3}, {"decay_rate": 0.9, "offset": 2}]
)
def test_scale_by_factored_rms(factored, options):
    ours = dict(options)
    if "eps" in ours:
        ours["epsilon"] = ours.pop("eps")
    if "offset" in ours:
        ours["step_offset"] = ours.pop("offset")
    tx = optcore.optimizers.scale_by_factored_rms(factored, min_dim_size_to_factor=3, **ours)
    oracles.agrees(tx, functools.partial(factored_1804_04235, factored=factored, **options))


def test_arrays_with_a_short_axis_are_not_factored():
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=4)
    oracles.agrees(tx, functools.partial(factored_1804_04235, factored=False))


def _slowly_longer(step, rate):
    step = jnp.maximum(step, 0).astype(jnp.float32)
    return jnp.minimum(rate * step / (step + 1), 0.7)


def test_decay_rate_fn():
    tx = optcore.optimizers.scale_by_factored_rms(
        decay_rate=0.9, step_offset=2, min_dim_size_to_factor=2, decay_rate_fn=_slowly_longer
    )
    decays = [0.0, 0.0, *(min(0.9 * s / (s + 1), 0.7) for s in range(18))]
    oracles.agrees(tx, functools.partial(factored_1804_04235, decays=decays))


@pytest.mark.parametrize("options", [{}, {"decay_rate": 0.6, "epsilon": 1e-2}])
def test_like_optax(options):
    rng = np.random.default_rng(0)
    shapes = {"matrix": (3, 5), "stack": (4, 2, 6), "small": (2, 7), "vector": (4,)}

    def tree():
        return oracles.single({k: rng.normal(size=s) for k, s in shapes.items()})

    params = tree()
    ours = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=3, **options)
    theirs = optax.scale_by_factored_rms(min_dim_size_to_factor=3, **options)
    state, their_state = ours.init(params), theirs.init(params)
    for _ in range(3):
        g = tree()
        u, state = ours.update(g, state)
        with jax.numpy_dtype_promotion("standard"):
            expected, their_state = theirs.update(g, their_state, params)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=5e-6), u, expected)


def test_defaults():
    ours = oracles.defaults(optcore.optimizers.scale_by_factored_rms)
    theirs = oracles.defaults(optax.scale_by_factored_rms)
    assert ours.pop("decay_rate_fn") is None
    assert theirs.pop("decay_rate_fn")(4, 0.7) == pytest.approx(1 - 5.0**-0.7)
    assert ours.pop("factor_axes") == "largest"
    assert ours == theirs


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((8, 2, 4), "largest", [(1, 2, 4), (8, 2, 1)]),
        ((8, 2, 4), "last", [(8, 2, 1), (8, 1, 4)]),
        ((4, 4, 1), "largest", [(4, 1, 1), (1, 4, 1)]),
    ],
)
def test_which_axes_are_factored(shape, axes, expected):
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2, factor_axes=axes)
    state = tx.init(jnp.zeros(shape))
    assert [state.nu_row.shape, state.nu_col.shape, state.nu] == [*expected, None]


def test_stacked_matrices_are_matrices_by_themselves():
    rng = np.random.default_rng(0)
    stack = rng.normal(size=(5, 2, 3)).astype(np.float32)
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2, factor_axes="last")
    together, _ = tx.update(stack, tx.init(stack))
    for one, expected in zip(stack, together, strict=True):
        np.testing.assert_allclose(tx.update(one, tx.init(one))[0], expected, rtol=2e-6)


def test_memory():
    params = {"large": jnp.zeros((128, 200)), "narrow": jnp.zeros((127, 200)), "z": jnp.zeros(3)}
    state = optcore.optimizers.scale_by_factored_rms().init(params)
    assert jax.tree.map(jnp.shape, state._replace(count=None)) == (
        None,
        {"large": (128, 1), "narrow": None, "z": None},
        {"large": (1, 200), "narrow": None, "z": None},
        {"large": None, "narrow": (127, 200), "z": (3,)},
    )


def test_what_never_moved_stays_without_epsilon():
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2, epsilon=0.0)
    g = jnp.array([[0.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    for grads in (g, jnp.zeros((2, 3))):
        u, _ = tx.update(grads, tx.init(g))
        assert np.isfinite(u).all()
        np.testing.assert_array_equal(u == 0, grads == 0)
