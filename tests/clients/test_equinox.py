"""Models that are Equinox modules; steps under `filter_jit`."""

import jax
import jax.numpy as jnp
import numpy as np

import optcore
from tests.partial import masked

from . import Traces, arrays, both_kinds, floats, load, regression

eqx = load("equinox")


class Line(eqx.Module):
    weight: jax.Array
    bias: jax.Array
    scale: float = eqx.field(static=True)
    name: str = "line"

    def __call__(self, x):
        return (x @ self.weight + self.bias) * self.scale


def _line():
    return Line(jnp.zeros((3, 1)), jnp.zeros(1), scale=2.0)


def _loss(model, x, y):
    return jnp.mean((model(x) - y) ** 2)


def _step(tx, model, state, x, y):
    loss, grads = eqx.filter_value_and_grad(_loss)(model, x, y)
    updates, state = tx.update(grads, state, params=eqx.filter(model, eqx.is_inexact_array))
    return eqx.apply_updates(model, updates), state, loss


def _initial(tx, model):
    return tx.init(eqx.filter(model, eqx.is_inexact_array))


@both_kinds
def test_trains(kind):
    tx, model = kind(optcore.adam(0.05)), _line()
    state, step = _initial(tx, model), eqx.filter_jit(_step)
    losses = []
    for _ in range(50):
        model, state, loss = step(tx, model, state, *regression())
        losses.append(float(loss))
    assert losses[-1] < 0.1 * losses[0]
    assert (model.scale, model.name) == (2.0, "line")


@both_kinds
def test_what_is_no_array_has_none_for_a_gradient(kind):
    tx, model = kind(optcore.adamw(0.05)), _line()
    grads = eqx.filter_grad(_loss)(model, *regression())
    assert grads.name is None
    updates, _ = tx.update(grads, _initial(tx, model), eqx.filter(model, eqx.is_inexact_array))
    assert updates.name is None
    assert updates.weight.shape == model.weight.shape


@both_kinds
def test_our_apply_updates_takes_a_module(kind):
    tx, model = kind(optcore.sgd(0.1)), _line()
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    grads = eqx.filter_grad(_loss)(model, *regression())
    updates, _ = tx.update(grads, tx.init(params), params)
    ours = eqx.combine(optcore.apply_updates(params, updates), rest)
    np.testing.assert_array_equal(ours.weight, eqx.apply_updates(model, updates).weight)


def _traces_of_three_rates(kind):
    traces, model = Traces(), _line()
    step = eqx.filter_jit(traces.counted(_step))
    for rate in (0.1, 0.2, 0.2, 0.3):
        tx = kind(optcore.sgd(rate))
        step(tx, model, _initial(tx, model), *regression())
    return traces.count


def test_filter_jit_retraces_per_float():
    assert _traces_of_three_rates(floats) == 3


def test_filter_jit_traces_once_for_arrays():
    assert _traces_of_three_rates(arrays) == 1


@both_kinds
def test_routes_by_the_paths_of_a_module(kind):
    model = eqx.nn.MLP(3, 1, 4, 1, key=jax.random.key(0))
    rules = [
        ("layers/0/*", optcore.FREEZE),
        ("*/bias", optcore.sgd(0.1)),
        (optcore.has_ndim(2), optcore.adamw(0.05)),
    ]
    tx = kind(optcore.route(*rules))
    state = _initial(tx, model)
    assert sorted(x.shape for x in jax.tree.leaves(state)) == [(), (1, 4), (1, 4)]

    def loss(model, x, y):
        return jnp.mean((jax.vmap(model)(x) - y) ** 2)

    grads = eqx.filter_grad(loss)(model, *regression())
    params = eqx.filter(model, eqx.is_inexact_array)
    updates, _ = eqx.filter_jit(tx.update)(grads, state, params)
    moved = eqx.apply_updates(model, updates)
    for old, new, frozen in zip(model.layers, moved.layers, (True, False), strict=True):
        assert bool((old.weight == new.weight).all()) is frozen
        assert bool((old.bias == new.bias).all()) is frozen


def test_masks_and_labels_shaped_like_a_callable_module():
    model = eqx.filter(_line(), eqx.is_inexact_array)
    mask = eqx.tree_at(lambda m: (m.weight, m.bias), model, (True, False))
    grads = jax.tree.map(jnp.ones_like, model)
    for tx in (
        masked(optcore.scale(3.0), mask),
        optcore.route(
            ("a", optcore.scale(3.0)),
            ("b", optcore.scale(1.0)),
            labels=eqx.tree_at(lambda m: (m.weight, m.bias), model, ("a", "b")),
        ),
    ):
        updates, _ = tx.update(grads, tx.init(model), model)
        assert (float(updates.weight[0, 0]), float(updates.bias[0])) == (3.0, 1.0)
