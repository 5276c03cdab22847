"""The loop: like a loop written out, whatever the batches, and without taking what it was given."""

import contextlib
import itertools
import sys
import typing

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.tuning import minimize
from optcore.tuning._progress import progress_bar

PARAMS = {"w": jnp.array([1.0, -2.0]), "b": jnp.float32(0.5)}


def loss_fn(params, batch=1.0):
    return jnp.sum(params["w"] ** 2 * jnp.array([1.0, 3.0])) * batch + (params["b"] - batch) ** 2


def plain_loop(tx, batches, params=PARAMS):
    state, losses, norms = tx.init(params), [], []
    for batch in batches:
        loss, grads = jax.value_and_grad(loss_fn)(params, batch)
        updates, state = tx.update(grads, state, params=params)
        params = optcore.apply_updates(params, updates)
        losses.append(loss)
        norms.append(optcore.global_norm(grads))
    return params, state, losses, norms


def check(got, tx, batches):
    params, state, losses, norms = plain_loop(tx, batches)
    chex.assert_trees_all_close(got[:2], (params, state), rtol=1e-5)
    np.testing.assert_allclose(got[2].loss, losses, rtol=1e-5)
    np.testing.assert_allclose(got[2].gradient_norm, norms, rtol=1e-5)


@pytest.mark.parametrize("chunk", [3, 7, 50])
def test_chunks_are_a_plain_loop(chunk):
    tx = optcore.adam(optcore.linear_schedule(0.1, 0.01, 5))
    check(minimize(loss_fn, PARAMS, tx, 7, chunk=chunk), tx, [1.0] * 7)


BATCHES = np.array([0.5, 1.0, 2.0], np.float32)


@pytest.mark.parametrize(
    "batches",
    [BATCHES, list(BATCHES), itertools.cycle(BATCHES), (x for x in [*BATCHES, *BATCHES])],
    ids=["stacked", "list", "endless", "generator"],
)
def test_batches_in_their_order(batches):
    tx = optcore.sgd(0.05, momentum=0.5)
    got = minimize(loss_fn, PARAMS, tx, 5, batches=batches, chunk=2)
    check(got, tx, list(itertools.islice(itertools.cycle(BATCHES), 5)))


def test_a_key_shuffles_every_pass_anew():
    def seen(params, batch):
        return 0.0 * params + batch

    key = jax.random.key(3)
    arguments = {"batches": jnp.arange(8.0), "key": key, "chunk": 5}
    *_, history = minimize(seen, jnp.float32(0.0), optcore.sgd(0.1), 24, **arguments)
    passes = history.loss.reshape(3, 8)
    assert [sorted(order) for order in passes.tolist()] == [list(range(8))] * 3
    assert len({tuple(order) for order in passes.tolist()}) == 3


def test_a_function_of_a_key():
    def sample(key):
        return jax.random.uniform(key)

    key = jax.random.key(0)
    tx = optcore.sgd(0.1)
    got = minimize(loss_fn, PARAMS, tx, 4, batches=sample, key=key, chunk=3)
    check(got, tx, [sample(jax.random.fold_in(key, i)) for i in range(4)])


def test_nothing_of_the_callers_is_donated():
    tx = optcore.add_noise(0.1, 0.5, key=jax.random.key(0))
    tx = optcore.chain(tx, optcore.sgd(0.1, momentum=0.9))
    params = jax.tree.map(jnp.copy, PARAMS)
    state = tx.init(params)
    first = minimize(loss_fn, params, tx, 3, state=state)
    second = minimize(loss_fn, params, tx, 3, state=state)
    chex.assert_trees_all_equal(params, PARAMS)
    chex.assert_trees_all_equal(first[0], second[0])
    assert int(state[0].count) == 0


def test_goes_on_from_a_state():
    tx = optcore.adam(0.1)
    params, state, _ = minimize(loss_fn, PARAMS, tx, 3)
    params, state, _ = minimize(loss_fn, params, tx, 2, state=state)
    expected = minimize(loss_fn, PARAMS, tx, 5)
    chex.assert_trees_all_close((params, state), expected[:2], rtol=1e-6)


def test_is_traced_once_per_length():
    traces = []

    def counted(params):
        traces.append(1)
        return loss_fn(params)

    minimize(counted, PARAMS, optcore.sgd(0.1), 40, chunk=10)
    assert len(traces) == 1


def test_optimizers_that_ask_for_the_loss_lookahead_and_integers():
    params, *_ = minimize(lambda w: w**2, jnp.float32(1.0), optcore.polyak_sgd(1.0), 3)
    # Polyak's step on w²: f / |f'|² · f' = w / 2.
    assert params.item() == 0.125
    pair = optcore.compose.LookaheadParams.init_synced(jnp.float32(1.0))
    tx = optcore.lookahead(optcore.sgd(0.25), 2, 0.5)
    pair, *_ = minimize(lambda w: w**2, pair, tx, 2)
    # 1, 1/2, 1/4; half way back to 1.
    assert (pair.fast.item(), pair.slow.item()) == (0.625, 0.625)
    params, *_ = minimize(
        lambda p: p["w"] ** 2, {"w": jnp.float32(1.0), "n": jnp.int32(3)}, optcore.sgd(0.5), 1
    )
    assert (params["w"].item(), params["n"].item()) == (0.0, 3)


def test_optimizers_that_ask_for_functions_and_a_key():
    w = jnp.array([1.0, 1.0])

    def bowl(w):
        return jnp.sum(jnp.array([1.0, 4.0]) * w**2) / 2

    params, *_ = minimize(bowl, w, optcore.sam(optcore.sgd(1.0), rho=17.0**0.5), 1)
    # The gradient (1, 4) has length √17, so it is taken at (2, 5): (2, 20).
    np.testing.assert_allclose(params, [-1.0, -19.0], rtol=1e-6)
    _, _, history = minimize(bowl, w, optcore.sophia(0.1), 100, key=jax.random.key(0))
    assert history.loss[-1] < 0.1 * history.loss[0]
    with pytest.raises(ValueError, match="needs 'key', which was not given"):
        minimize(bowl, w, optcore.sophia(0.1), 1)


def test_complex_parameters_descend():
    params, *_ = minimize(lambda w: jnp.abs(w) ** 2, jnp.complex64(1 + 2j), optcore.sgd(0.25), 1)
    assert params == 0.5 + 1j


def test_every_step_has_a_key_of_its_own():
    def draw(updates, state, params=None, *, key, **extra):
        return jax.random.uniform(key), state

    tx = optcore.GradientTransformation(lambda params: (), draw)
    key = jax.random.key(0)
    *_, history = minimize(lambda w: w, jnp.float32(0.0), tx, 7, key=key, chunk=3)
    assert len(set(np.diff(history.loss).tolist())) == 6


def test_a_state_of_optax_may_hold_the_parameters():
    optax = pytest.importorskip("optax", reason="runs an optimizer of optax")
    with jax.numpy_dtype_promotion("standard"):
        _, _, history = minimize(loss_fn, PARAMS, optax.lbfgs(), 10, key=jax.random.key(0))
    assert history.loss[-1] < 1e-3


def test_optimizers_of_optax():
    optax = pytest.importorskip("optax", reason="runs an optimizer of optax")
    with jax.numpy_dtype_promotion("standard"):
        params, state, _ = minimize(loss_fn, PARAMS, optax.adam(0.1), 3)
    expected, *_ = minimize(loss_fn, PARAMS, optcore.adam(0.1), 3)
    chex.assert_trees_all_close(params, expected, rtol=1e-5)
    chex.assert_trees_all_equal_structs(state, optax.adam(0.1).init(PARAMS))


def test_no_steps():
    params, _, history = minimize(loss_fn, PARAMS, optcore.sgd(0.1), 0)
    chex.assert_trees_all_equal(params, PARAMS)
    assert history.loss.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps must be an int of at least 0, got -1"),
        ({"chunk": 0}, "chunk must be an int of at least 1, got 0"),
        ({"batches": {"x": np.zeros(2), "y": np.zeros(3)}}, "common first axis"),
        ({"batches": []}, "at least one, got none"),
        ({"batches": [np.zeros(2), np.zeros(3)]}, "all batches must be alike"),
        ({"batches": iter(BATCHES)}, "batches ran out after 3; at least 4 are needed"),
        ({"batches": lambda key: key}, "key must be given"),
        ({"loss_fn": lambda params: params["w"]}, r"must return a real scalar, got float32\[2\]"),
    ],
)
def test_refuses(arguments, message):
    given = {"loss_fn": loss_fn, "params": PARAMS, "tx": optcore.sgd(0.1), "steps": 4, **arguments}
    with pytest.raises(ValueError, match=message):
        minimize(**given)


def test_refuses_what_is_no_key_or_no_function():
    with pytest.raises(TypeError, match="loss_fn must be a function, got dict"):
        minimize(PARAMS, loss_fn, optcore.sgd(0.1), 4)
    with pytest.raises(TypeError, match="one typed random key"):
        minimize(loss_fn, PARAMS, optcore.sgd(0.1), 4, batches=BATCHES, key=0)


class Bar:
    """Stands in for tqdm's."""

    made: typing.ClassVar = []

    def __init__(self, total, unit):
        self.done = []
        Bar.made.append((total, unit, self.done))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def update(self, n):
        self.done.append(n)


@pytest.fixture
def terminal(monkeypatch):
    Bar.made = []
    tqdm = pytest.importorskip("tqdm", reason="draws progress bars")
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


@pytest.mark.usefixtures("terminal")
def test_progress_moves_between_chunks():
    minimize(loss_fn, PARAMS, optcore.sgd(0.1), 7, chunk=3)
    assert Bar.made == [(7, "step", [3, 3, 1])]


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("why", ["unwanted", "no terminal", "no tqdm"])
def test_progress_is_silent(why, monkeypatch, capsys):
    if why == "no terminal":
        monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    if why == "no tqdm":
        monkeypatch.setitem(sys.modules, "tqdm", None)
    with contextlib.ExitStack() as stack:
        advance = stack.enter_context(progress_bar(5, "step", why != "unwanted"))
        advance(5)
    assert Bar.made == []
    assert capsys.readouterr() == ("", "")
