"""Sequences of torch's and pytorch_optimizer's schedulers, and the few documented departures."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

PATH = pathlib.Path(__file__).parents[1] / "golden" / "schedules.json"
GOLDEN = json.loads(PATH.read_text())["data"]
COUNTS = jnp.arange(30)

CYCLE = {"up_steps": 5, "down_steps": 3}
CYCLIC = {
    "triangular": {},
    "triangular2": {"policy": "triangular2"},
    "exp_range": {"policy": "exp_range", "gamma": 0.98},
}
WSD = functools.partial(optcore.warmup_stable_decay_schedule, 0.1, 5, 10, 15)

SAME = {
    "torch/PolynomialLR(20,power=2)": optcore.polynomial_schedule(0.1, 0.0, 2.0, 20),
    "torch/MultiStepLR([5,12,20],.5)": optcore.piecewise_constant_schedule(
        0.1, {5: 0.5, 12: 0.5, 20: 0.5}
    ),
    "torch/StepLR(7,.3)": optcore.step_decay_schedule(0.1, 7, 0.3),
    "torch/ExponentialLR(.9)": optcore.exponential_decay(0.1, 1, 0.9),
    "torch/LinearLR(.1->1,10)": optcore.linear_schedule(0.01, 0.1, 10),
    "torch/ConstantLR(.3,8)": optcore.piecewise_constant_schedule(0.03, {8: 1 / 0.3}),
    "torch/SequentialLR(Linear5,Cosine)": optcore.warmup_cosine_decay_schedule(0.01, 0.1, 5, 30),
    "torch/CosineAnnealingWarmRestarts(T0=5,Tmult=2,eta_min=.001)": (
        optcore.cosine_restarts_schedule(0.1, 5, 2.0, 0.001)
    ),
    **{
        f"pytorch_optimizer/get_wsd_schedule(warm=5,stable=10,decay=15,{shape})": WSD(shape=shape)
        for shape in ("cosine", "1-sqrt", "linear", "1-square")
    },
    **{
        f"torch/CyclicLR(base=.001,max=.1,up=5,down=3,mode={mode},gamma=.98,cycle_momentum)": {
            "lr": optcore.cyclic_schedule(0.001, 0.1, **CYCLE, **options),
            "momentum": optcore.schedules.cyclic_momentum_schedule(0.8, 0.95, **CYCLE, **options),
        }
        for mode, options in CYCLIC.items()
    },
    **{
        f"torch/OneCycleLR(max=.1,total_steps=31,pct=.3,{short},three_phase={three},"
        "div=25,final=1e4)": {
            "lr": optcore.onecycle_schedule(0.1, 31, anneal=anneal, three_phase=three),
            "momentum": optcore.schedules.onecycle_momentum_schedule(
                31, anneal=anneal, three_phase=three
            ),
        }
        for short, anneal in (("cos", "cosine"), ("linear", "linear"))
        for three in (False, True)
    },
}  # fmt: skip

APART = {
    "torch/CosineAnnealingLR(T=20,eta_min=.001)[chainable past T]",
    "pytorch_optimizer/REXScheduler(30,max=.1,min=0)",
    "pytorch_optimizer/get_chebyshev_schedule(30)",
    "torch/ReduceLROnPlateau(factor=.5,patience=2,cooldown=1)",
}


def test_every_entry_is_compared():
    assert set(SAME) | APART == set(GOLDEN)


def same(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("key", SAME)
def test_same(key):
    ours, theirs = SAME[key], GOLDEN[key]
    ours = ours if isinstance(ours, dict) else {"lr": ours}
    assert set(ours) == set(theirs)
    for name, schedule in ours.items():
        same(schedule(COUNTS), theirs[name])


def test_torchs_cosine_rises_again_after_its_end():
    theirs = np.array(GOLDEN["torch/CosineAnnealingLR(T=20,eta_min=.001)[chainable past T]"]["lr"])
    ours = np.asarray(optcore.cosine_decay_schedule(0.1, 20, alpha=0.01)(COUNTS))
    same(ours[:21], theirs[:21])
    same(ours[21:], np.full(9, 0.001))
    assert np.all(np.diff(theirs[20:]) > 0)


def test_rex_of_pytorch_optimizer_wastes_its_first_step():
    theirs = GOLDEN["pytorch_optimizer/REXScheduler(30,max=.1,min=0)"]["lr"]
    ours = np.asarray(optcore.schedules.rex_schedule(0.1, 30)(COUNTS))
    same(ours[1:], theirs[1:])
    assert theirs[0] == 0.0
    assert ours[0] == np.float32(0.1)


def test_chebyshev_of_pytorch_optimizer_takes_its_first_step_three_times():
    theirs = GOLDEN["pytorch_optimizer/get_chebyshev_schedule(30)"]["lr"]
    ours = np.asarray(optcore.schedules.chebyshev_schedule(0.1, 30)(COUNTS))
    same(ours[:-2], theirs[2:])
    same(np.full(2, ours[0]), theirs[:2])


@pytest.mark.parametrize("shape", ["linear", "1-sqrt", "1-square", "cosine"])
def test_every_shape_ends_at_the_end_value(shape):
    """pytorch_optimizer's cool-downs go to 0, whatever the minimum, but for the cosine."""
    schedule = WSD(end_value=0.02, shape=shape)
    assert schedule(30) == np.float32(0.02)
    assert schedule(29) > 0.02


def test_reduce_on_plateau():
    """torch's `patience=2` is 3 here: it counts the step at which it loses patience."""
    theirs = GOLDEN["torch/ReduceLROnPlateau(factor=.5,patience=2,cooldown=1)"]
    tx = optcore.reduce_on_plateau(factor=0.5, patience=3, cooldown=1)

    def step(state, value):
        update, state = tx.update(jnp.float32(0.1), state, value=value)
        return state, update

    _, got = jax.lax.scan(step, tx.init(jnp.float32(0)), jnp.array(theirs["loss"]))
    same(got, theirs["lr_after"])


def keras_cosine(t, lr, n, alpha, target, w):
    if t < w:
        return lr + (target - lr) * t / w
    part = min((t - w) / n, 1)
    return target * ((1 - alpha) * 0.5 * (1 + np.cos(np.pi * part)) + alpha)


def keras_restarts(t, lr, n, t_mul, alpha):
    done = t / n
    cycle = np.floor(np.log(1 - done * (1 - t_mul)) / np.log(t_mul) + 1e-9)
    part = (done - (1 - t_mul**cycle) / (1 - t_mul)) / t_mul**cycle
    return lr * ((1 - alpha) * 0.5 * (1 + np.cos(np.pi * part)) + alpha)


def keras_piecewise(t, boundaries, values):
    """Keras changes after a boundary, not at it."""
    return values[sum(t > b for b in boundaries)]


def keras_polynomial(t, lr, n, end, power):
    return (lr - end) * (1 - min(t, n) / n) ** power + end


KERAS = {
    "CosineDecay": (
        optcore.warmup_cosine_decay_schedule(0.02, 0.1, 4, 4 + 12, 0.25 * 0.1),
        lambda t: keras_cosine(t, 0.02, 12, 0.25, 0.1, 4),
    ),
    "CosineDecayRestarts": (
        optcore.cosine_restarts_schedule(0.1, 3, 2.0, 0.25 * 0.1),
        lambda t: keras_restarts(t, 0.1, 3, 2.0, 0.25),
    ),
    "ExponentialDecay": (
        optcore.exponential_decay(0.1, 4, 0.5, staircase=True), lambda t: 0.1 * 0.5 ** (t // 4),
    ),
    "InverseTimeDecay": (
        optcore.schedules.inverse_time_schedule(0.1, 0.5, 4), lambda t: 0.1 / (1 + 0.5 * t / 4),
    ),
    "PiecewiseConstantDecay": (
        optcore.piecewise_constant_schedule(0.1, {5 + 1: 0.05 / 0.1, 11 + 1: 0.02 / 0.05}),
        lambda t: keras_piecewise(t, [5, 11], [0.1, 0.05, 0.02]),
    ),
    "PolynomialDecay": (
        optcore.polynomial_schedule(0.1, 0.01, 2.0, 20),
        lambda t: keras_polynomial(t, 0.1, 20, 0.01, 2.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KERAS)
def test_keras(name):
    """The README's rows against Keras' formulas in float64."""
    ours, formula = KERAS[name]
    same(ours(COUNTS), [formula(t) for t in range(30)])
