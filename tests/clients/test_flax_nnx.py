"""`nnx.Optimizer` around optcore's optimizers."""

import jax
import jax.numpy as jnp
import pytest

import optcore

from . import Traces, arrays, assert_close, both_kinds, floats, load, regression

nnx = load("flax.nnx")
needs_data = pytest.mark.skipif(not hasattr(nnx, "data"), reason="this flax has no nnx.data")


def _model():
    return nnx.Linear(3, 1, rngs=nnx.Rngs(0))


def _optimizer(model, kind, tx):
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    if kind is arrays:
        # The constructor keeps `tx` static; only an assignment makes it data.
        optimizer.tx = nnx.data(arrays(tx))
    return optimizer


def _step(model, optimizer, x, y):
    loss, grads = nnx.value_and_grad(lambda m: jnp.mean((m(x) - y) ** 2))(model)
    optimizer.update(model, grads)
    return loss


@needs_data
@both_kinds
def test_trains_like_a_hand_written_loop(kind):
    model, tx = _model(), optcore.adamw(0.05)
    params = {"bias": model.bias[...], "kernel": model.kernel[...]}
    optimizer, step = _optimizer(model, kind, tx), nnx.jit(_step)
    losses = [float(step(model, optimizer, *regression())) for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]

    x, y = regression()
    state = tx.init(params)
    for _ in range(30):
        grads = _gradient(params, x, y)
        updates, state = tx.update(grads, state, params)
        params = optcore.apply_updates(params, updates)
    assert_close({"bias": model.bias[...], "kernel": model.kernel[...]}, params, 2e-4)


def _gradient(params, x, y):
    error = 2 * (x @ params["kernel"] + params["bias"] - y) / len(y)
    return {"bias": error.sum(0), "kernel": x.T @ error}


def test_a_static_attribute_refuses_arrays():
    with pytest.raises(ValueError, match=r"(?s)static attribute 'tx'.*nnx\.data"):
        nnx.Optimizer(_model(), arrays(optcore.adam(0.1)), wrt=nnx.Param)


@needs_data
def test_the_constructor_takes_no_data():
    with pytest.raises((TypeError, AttributeError)):
        nnx.Optimizer(_model(), nnx.data(optcore.adam(0.1)), wrt=nnx.Param)


def _traces_of_three_rates(kind):
    traces = Traces()
    step = nnx.jit(traces.counted(_step))
    for rate in (0.1, 0.2, 0.2, 0.3):
        model = _model()
        step(model, _optimizer(model, kind, optcore.sgd(rate)), *regression())
    return traces.count


def test_jit_retraces_per_float():
    assert _traces_of_three_rates(floats) == 3


@needs_data
def test_jit_traces_once_for_arrays():
    assert _traces_of_three_rates(arrays) == 1


@needs_data
@both_kinds
def test_the_rate_can_be_read(kind):
    model = _model()
    optimizer = _optimizer(model, kind, optcore.sgd(optcore.linear_schedule(1.0, 0.0, 4)))
    for _ in range(2):
        nnx.jit(_step)(model, optimizer, *regression())
    # The leaves of nnx's state are variables around arrays.
    rate = optcore.read(optimizer.tx, optimizer.opt_state, "learning_rate")
    assert float(rate[...]) == 0.75


def _routed():
    return optcore.route(
        ("layers/0/*", optcore.FREEZE),
        ("*/bias", optcore.sgd(0.1)),
        (optcore.has_ndim(2), optcore.adamw(0.05)),
    )


def test_routes_by_the_paths_of_a_state():
    """The paths are those of the model's attributes: what a variable holds has none of its own."""
    model = nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Linear(2, 1, rngs=nnx.Rngs(1)))
    before = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
    optimizer = nnx.Optimizer(model, _routed(), wrt=nnx.Param)
    for _ in range(3):
        nnx.jit(_step)(model, optimizer, *regression())
    after = nnx.state(model, nnx.Param)
    moved = [
        bool((a != b).all()) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True)
    ]
    assert moved == [False, False, True, True]
    adam = optimizer.opt_state.inner[2]
    assert sorted(x.shape for x in jax.tree.leaves(adam)) == [(), (2, 1), (2, 1)]
    table = optcore.describe(_routed(), before)
    assert [line.split()[0] for line in table.splitlines()[1:5]] == [
        "layers/0/bias",
        "layers/0/kernel",
        "layers/1/bias",
        "layers/1/kernel",
    ]
