"""Averages of the parameters: numbers by hand, torch's recursion, and what may not wrap them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import transformation
from tests.named import is_own


def walk(tx, positions, params=None):
    """The evaluated parameters after each update of a walk through these positions."""
    w = jnp.float32(0.0) if params is None else params
    state, seen = tx.init(w), []
    for p in positions:
        u, state = tx.update(jax.tree.map(lambda x, p=p: x - p, w), state, params=w)
        w = optcore.apply_updates(w, u)
        seen.append(optcore.eval_params(state, w))
    return [float(x) for x in seen] if params is None else (seen, state)


def averaged(*args, **kwargs):
    return optcore.with_average(optcore.sgd(1.0), *args, **kwargs)


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        # torch: a copy of the first, then a lerp. 1; (1 + 2) / 2; (1.5 + 6) / 2; ...
        (averaged("ema", decay=0.5), [1.0, 1.5, 3.75, 2.875, 6.4375]),
        # Weights 1; 1, 2; 1, 2, 4; ...
        (averaged("ema", decay=0.5, debias=True), [1, 5 / 3, 29 / 7, 45 / 15, 205 / 31]),
        # 1 - d_n = 9/11, 9/12, 9/13, 9/14, 9/15, of which the first is not used.
        (averaged("ema", decay=0.9, warmup=True), [1, 1.75, 4.6923077, 2.96153846, 7.1846154]),
        (averaged("ema", decay=0.5, every=2), [1, 2, 2, 2, 2]),
        (averaged("ema", decay=0.5, begin=2), [1, 2, 6, 4, 7]),
        (averaged("tail"), [1, 1.5, 3, 2.75, 4.2]),
        (averaged("tail", begin=3), [1, 2, 6, 2, 6]),
        (averaged("swa", every=2), [1, 2, 2, 2, 2]),
        (averaged("swa", begin=1, every=2), [1, 2, 6, 6, 8]),
        (averaged("lawa", window=2), [1, 1.5, 4, 4, 6]),
        (averaged("lawa", window=2, every=2), [1, 2, 2, 2, 2]),
        (averaged("lawa", window=2, begin=2), [1, 2, 6, 4, 6]),
    ],
    ids=repr,
)
def test_by_hand(tx, expected):
    np.testing.assert_allclose(walk(tx, [1.0, 2.0, 6.0, 2.0, 10.0]), expected, rtol=2e-6)


@pytest.mark.parametrize(
    ("tx", "expected"),
    [
        (averaged("ema", decay=0.5, every=2), [1, 2, 2, 3.5, 3.5, 2.25]),
        (averaged("ema", decay=0.5, debias=True, every=2), [1, 2, 2, 4, 4, 16 / 7]),
        (
            averaged("ema", decay=0.5, debias=True, begin=1),
            [1, 2, 14 / 3, 34 / 7, 114 / 15, 130 / 31],
        ),
        (averaged("ema", decay=0.5, debias=True, begin=1, every=2), [1, 2, 6, 6, 26 / 3, 26 / 3]),
        (averaged("ema", decay=0.9, warmup=True, every=2), [1, 2, 2, 4.25, 4.25, 2]),
        (averaged("swa", every=2), [1, 2, 2, 3.5, 3.5, 8 / 3]),
        (averaged("swa", begin=1, every=2), [1, 2, 6, 6, 8, 8]),
        (averaged("lawa", window=2, every=2), [1, 2, 2, 3.5, 3.5, 3]),
        (averaged("lawa", window=2, begin=2, every=2), [1, 2, 6, 5, 5, 3]),
    ],
    ids=repr,
)
def test_by_hand_where_no_two_that_count_are_equal(tx, expected):
    np.testing.assert_allclose(walk(tx, [1.0, 2.0, 6.0, 5.0, 10.0, 1.0]), expected, rtol=2e-6)


def test_the_recursion_of_torch():
    """`swa_utils`: the first is copied, then `ema.lerp_(p, 1 - decay)`."""
    positions = np.random.default_rng(0).normal(size=30)
    a, expected = None, []
    for p in positions:
        a = p if a is None else a + (1 - 0.97) * (p - a)
        expected.append(a)
    np.testing.assert_allclose(walk(averaged("ema", decay=0.97), positions), expected, rtol=2e-5)


def test_debiased_weights_near_one_are_exact():
    """Of two parameters with d = 0.9999 the later has the weight 1 / (2 - 1e-4)."""
    (_, second) = walk(averaged("ema", decay=0.9999, debias=True), [0.0, 1.0])
    assert second == pytest.approx(1 / (1 + 0.9999), rel=2e-7)


def test_debias_with_warmup_divides_by_the_weights_given_away():
    positions = [1.0, 2.0, 6.0, 2.0]
    m, kept, expected = 0.0, 1.0, []
    for n, p in enumerate(positions, start=1):
        d = min(0.3, (1 + n) / (10 + n))
        m, kept = d * m + (1 - d) * p, kept * d
        expected.append(m / (1 - kept))
    tx = averaged("ema", decay=0.3, debias=True, warmup=True)
    np.testing.assert_allclose(walk(tx, positions), expected, rtol=2e-6)


def test_a_schedule_of_the_decay():
    tx = averaged("ema", decay=optcore.linear_schedule(0.0, 0.5, 1))
    assert walk(tx, [1.0, 2.0, 6.0]) == [1.0, 1.5, 3.75]


@pytest.mark.parametrize("kind", ["ema", "tail"])
def test_averages_are_float32_and_of_the_rounded_parameters(kind):
    tx = averaged(kind, **({"decay": 0.5} if kind == "ema" else {}))
    w = {"w": jnp.zeros(1, jnp.bfloat16), "step": jnp.int32(3)}
    state = tx.init(w)
    for target in (1.0, 1.01):
        grads = {"w": w["w"].astype(jnp.float32) - target, "step": None}
        u, state = tx.update(grads, state, params=w)
        w = optcore.apply_updates(w, u)
    rounded = float(jnp.bfloat16(1.01))
    assert rounded != 1.01
    assert state.average["w"].dtype == jnp.float32
    assert state.average["w"].item() == np.float32((1 + rounded) / 2)
    assert state.average["step"] is None
    evaluated = optcore.eval_params(state, w)
    assert evaluated["w"].dtype == jnp.bfloat16
    assert evaluated["step"] == 3


def test_the_descent_is_that_of_the_optimizer():
    inner = optcore.adam(0.1)
    tx = optcore.with_average(inner, "lawa", window=3)
    w = {"w": jnp.arange(3.0)}
    alone, state = inner.init(w), tx.init(w)
    for i in range(3):
        g = {"w": jnp.cos(jnp.arange(3.0) + i)}
        expected, alone = inner.update(g, alone)
        got, state = tx.update(g, state, params=w)
        np.testing.assert_array_equal(got["w"], expected["w"])
    assert state.snapshots.params["w"].shape == (3, 3)


def test_a_frozen_step_counts_with_the_parameters_as_they_are():
    tx = averaged("tail")
    w = {"a": jnp.float32(4.0), "b": jnp.float32(0.0)}
    state = tx.init(w)
    for grad in (None, jnp.float32(2.0)):
        u, state = tx.update({"a": grad, "b": jnp.float32(-1.0)}, state, params=w)
        w = optcore.apply_updates(w, u)
    assert optcore.eval_params(state, w)["a"].item() == 3.0
    assert optcore.eval_params(state, w)["b"].item() == 1.5


def test_parameters_that_are_no_numbers_poison_only_the_averages_that_count_them():
    tx = averaged("swa", every=2)
    w, state = jnp.float32(0.0), tx.init(jnp.float32(0.0))
    for g, count in ((jnp.inf, 1), (-1.0, 2), (-1.0, 3)):
        w = jnp.float32(0.0)
        _, state = tx.update(jnp.float32(g), state, params=w)
        assert state.count == count
    assert state.average.item() == 1.0


def test_around_optax():
    optax = pytest.importorskip("optax", reason="wraps optax")
    tx = optcore.with_average(optax.sgd(1.0), "tail")
    assert walk(tx, [1.0, 3.0]) == [1.0, 2.0]


WRAPPERS = [name for name in optcore.registry("wrapper") if is_own(name)]


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_no_transformation_may_wrap_it(wrapper):
    factory = optcore.registry("wrapper")[wrapper]
    tx, inner = factory.example(), averaged("ema", decay=0.9)
    for role in factory.roles.values():
        if role.kind != "transformation":
            continue
        value = (("inner", inner) if role.holds_pairs else inner,) if role.container else inner
        if isinstance(tx.arguments[role.name], dict):
            value = {"inner": inner}
        with pytest.raises(ValueError, match=r"holds with_average, which must be outermost"):
            tx.replace(**{role.name: value})


@transformation("wrapper", example=lambda: hiding())
def hiding() -> optcore.GradientTransformation:
    """Makes an average where no argument shows it."""
    return averaged("ema", decay=0.9)


@pytest.mark.parametrize("run", [jax.jit, lambda f: f])
def test_what_a_body_hides_is_refused_when_it_is_called(run):
    w = jnp.zeros(2)
    with pytest.raises(ValueError, match=r"with_average was called by another transformation"):
        hiding().init(w)
    state = averaged("ema", decay=0.9).init(w)
    with pytest.raises(ValueError, match=r"with_average was called by another transformation"):
        run(functools.partial(hiding().update, params=w))(w, state)


def test_a_foreign_pair_inside_a_chain_is_refused_too():
    inner = averaged("ema", decay=0.9)
    pair = optcore.GradientTransformation(inner.init, inner.update)
    tx = optcore.chain(pair, optcore.scale(0.5))
    with pytest.raises(ValueError, match=r"wrap the whole optimizer, with_average\(chain"):
        tx.init(jnp.zeros(2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"average": "ema"}, "decay is required for 'ema'"),
        ({"average": "lawa"}, "window is required for 'lawa'"),
        ({"average": "swa", "decay": 0.9}, "decay belongs to 'ema', got decay=0.9 for 'swa'"),
        ({"average": "lawa", "window": 2, "debias": True}, "debias belongs to 'ema'"),
        ({"average": "tail", "window": 2}, "window belongs to 'lawa'"),
        ({"average": "tail", "every": 2}, "every must be 1 for 'tail'"),
        ({"average": "mean"}, "must be one of 'ema', 'swa', 'lawa', 'tail'"),
        ({"average": "ema", "decay": 1.5}, "decay must lie in"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        averaged(**arguments)
