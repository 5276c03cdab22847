"""Every row of the chapter's tables: what `optcore.optax` does otherwise, and native spellings."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import optcore
import optcore.optax as ours
from tests import oracles
from tests.named import named
from tests.optax.tables import Table

DIFFERENCES = Table("### What is different")
SPELLINGS = Table("## 2. Take the native names, one by one")
TWO = jnp.array([3.0, -4.0])


@pytest.mark.parametrize("table", [DIFFERENCES, SPELLINGS], ids=lambda table: table.heading)
def test_every_row_has_a_check(table):
    table.check_rows()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.sample(6)
@pytest.mark.parametrize("where", DIFFERENCES.written())
def test_difference(where):
    DIFFERENCES.checks[where]()


@pytest.mark.sample(6)
@pytest.mark.parametrize("where", SPELLINGS.written())
def test_native_spelling(where):
    SPELLINGS.checks[where]()


def run(tx, grads, params=None, **extra):
    """The updates and the last state."""
    params = grads[0] if params is None else params
    state, made = tx.init(params), []
    for g in grads:
        updates, state = tx.update(g, state, params, **extra)
        made.append(updates)
    return made, state


def first(tx, g, params=None, **extra):
    return run(tx, [g], params, **extra)[0][0]


@DIFFERENCES.row("Moments of bfloat16 and float16 parameters")
def _moments():
    for dtype in (jnp.bfloat16, jnp.float16):
        p = jnp.ones(1000, dtype)
        state, there = ours.adam(0.1).init(p), optax.adam(0.1).init(p)
        assert state[0].mu.dtype == jnp.float32
        assert there[0].mu.dtype == dtype
        more = sum(x.nbytes for x in jax.tree.leaves(state)) - sum(
            x.nbytes for x in jax.tree.leaves(there)
        )
        assert more == 4 * p.size
        narrow = ours.adam(0.1, mu_dtype=dtype)
        assert narrow.init(p)[0].mu.dtype == dtype
    p = jnp.ones(1, jnp.bfloat16)
    lost, kept = (run(o.scale_by_rms(0.999), [p] * 1000)[1].nu for o in (optax, ours))
    assert kept[0] == pytest.approx(1 - 0.999**1000, rel=1e-4)
    # At 0.5 a thousandth of what is missing is less than half a last digit.
    assert lost[0] < 0.55


@DIFFERENCES.row('`mu_dtype="bfloat16"`')
def _narrow_moments():
    grads = list(jnp.linspace(0.1, 1.0, 20)[:, None] * jnp.sin(jnp.arange(50.0)))
    exact = run(optax.scale_by_adam(), grads)[0][-1]
    errors = [
        jnp.abs(run(o.scale_by_adam(mu_dtype="bfloat16"), grads)[0][-1] - exact).mean()
        for o in (optax, ours)
    ]
    assert errors[1] < 0.8 * errors[0]


@DIFFERENCES.row("Computation inside a chain")
def _inside_a_chain():
    g = jnp.linspace(0.1, 1.0, 50).astype(jnp.bfloat16)

    def made(o):
        return o.chain(o.scale(1.001), o.scale(3.003), o.scale(0.707))

    exact = np.asarray(g, float) * 1.001 * 3.003 * 0.707
    there, here = (first(made(o), g) for o in (optax, ours))
    assert there.dtype == here.dtype == jnp.bfloat16
    assert first(made(ours), g, g.astype(jnp.float32)).dtype == jnp.float32
    errors = [np.abs(np.asarray(x, float) - exact).max() for x in (there, here)]
    assert errors[1] < 0.7 * errors[0]


@DIFFERENCES.row("Bias correction")
def _bias():
    # The first step of Adam is the sign of the gradient.
    there, here = (first(o.scale_by_adam(b2=0.9999), jnp.ones(1)) for o in (optax, ours))
    assert abs(here[0] - 1) < 2e-7
    assert abs(there[0] - 1) > 1e-6


@DIFFERENCES.row("Gradients from 1e19 on")
def _large():
    g = jnp.full(1, 1e30)
    assert first(optax.adam(0.1), g)[0] == 0
    assert first(ours.adam(0.1), g)[0] == pytest.approx(-0.1)


@DIFFERENCES.row("A real `mu_dtype` for complex parameters")
def _complex_moments():
    g = jnp.array([1 + 2j])
    there, here = (run(o.scale_by_adam(mu_dtype="float32"), [g])[1].mu for o in (optax, ours))
    assert there.dtype == jnp.float32
    assert here.dtype == jnp.complex64
    assert here[0].imag == pytest.approx(0.2)


@DIFFERENCES.row("Squares of complex gradients")
def _complex_squares():
    g = jnp.array([3 + 4j])
    there, here = (run(o.scale_by_adam(), [g])[1].nu for o in (optax, ours))
    assert there.dtype == jnp.complex64
    assert here.dtype == jnp.float32
    np.testing.assert_allclose(there.real, here)
    there, here = (run(o.scale_by_adadelta(rho=0.0), [g])[1].e_g for o in (optax, ours))
    np.testing.assert_allclose(there, (3 + 4j) ** 2, rtol=1e-6)
    np.testing.assert_allclose(here, 25, rtol=1e-6)


@DIFFERENCES.row("A gradient that is infinite")
def _infinite():
    grads = [jnp.full(1, jnp.inf), jnp.ones(1)]
    there, here = (run(o.scale_by_rms(), grads)[0][-1] for o in (optax, ours))
    assert there[0] == 0
    assert np.isnan(here[0])
    guarded = ours.apply_if_finite(ours.scale_by_rms(), 3)
    assert np.isfinite(run(guarded, grads)[0][-1][0])
    assert np.isfinite(run(optcore.guard(ours.scale_by_rms()), grads)[0][-1][0])


@DIFFERENCES.row("Derivatives at zero gradients, of `adam`, `radam` and clips")
def _derivatives():
    def through(tx):
        def total(g):
            return run(tx, [g] * 8, jnp.ones(2))[0][-1].sum()

        return jax.grad(total)(jnp.zeros(2))

    for make in (
        lambda o: o.adam(0.1),
        lambda o: o.radam(0.1),
        lambda o: o.clip_by_global_norm(1.0),
    ):
        assert np.isnan(through(make(optax))).any()
        assert np.isfinite(through(make(ours))).all()


@DIFFERENCES.row("`sm3` of a scalar")
def _sm3():
    g = jnp.float32(3.0)
    with pytest.raises(IndexError):
        first(optax.sm3(0.1), g)
    (update,), state = run(ours.sm3(0.1, momentum=0.0), [g])
    assert update == pytest.approx(-0.1)
    assert state[0].mu[0].tolist() == [9.0]


@DIFFERENCES.row("`adafactor` before its `decay_offset`")
def _adafactor():
    there, here = (first(o.adafactor(0.1, decay_offset=5), TWO) for o in (optax, ours))
    assert np.isnan(there).all()
    np.testing.assert_allclose(here, first(ours.adafactor(0.1), TWO), rtol=1e-6)


@DIFFERENCES.row("Norms inside `shard_map`, and what is decided by them")
def _parts():
    mesh, part = jax.make_mesh((8,), ("data",)), PartitionSpec("data")
    g = jax.device_put(jnp.arange(1.0, 9.0), NamedSharding(mesh, part))

    def clipped(library, tracked):
        tx = library.clip_by_global_norm(1.0)
        inside = jax.shard_map(
            lambda g: tx.update(g, tx.init(g))[0],
            mesh=mesh,
            in_specs=part,
            out_specs=part,
            check_vma=tracked,
        )
        return jax.jit(inside)(g)

    np.testing.assert_allclose(clipped(optax, True), np.ones(8), rtol=1e-6)
    np.testing.assert_allclose(clipped(ours, False), np.ones(8), rtol=1e-6)
    np.testing.assert_allclose(clipped(ours, True), g / jnp.linalg.norm(g), rtol=1e-6)


@DIFFERENCES.row("A loop without `jit`")
def _eager():
    traced = []

    def seen(updates, params):
        traced.append(isinstance(updates, jax.core.Tracer))
        return updates

    run(ours.chain(ours.stateless(seen), ours.adam(0.0371)), [TWO] * 5)
    assert traced == [False] * 5
    tx = ours.chain(ours.clip(0.7371), ours.adam(0.0371))
    _, state = run(tx, [TWO] * 3)
    with oracles.count_compilations() as compiled:
        tx.update(TWO, state, TWO)
    assert compiled == []


@DIFFERENCES.row("`print(optimizer)`, `==`, `hash`, `.replace(...)`")
def _values():
    tx = ours.adam(1e-3)
    assert "function" in repr(optax.adam(1e-3))
    assert repr(tx) == "adam(learning_rate=0.001)"
    assert optax.adam(1e-3) != optax.adam(1e-3)
    assert tx == ours.adam(1e-3)
    assert hash(tx) == hash(ours.adam(1e-3))
    assert tx.replace(b1=0.5) == ours.adam(1e-3, b1=0.5)


@DIFFERENCES.row("Traced numbers, a stack of optimizers under `vmap`")
def _stacks():
    stacked = optcore.stack([ours.adam(0.1), ours.adam(0.2)])
    found = jax.vmap(lambda tx: first(tx, TWO))(stacked)
    np.testing.assert_allclose(found, [first(ours.adam(r), TWO) for r in (0.1, 0.2)], rtol=1e-6)
    assert jax.tree.leaves(ours.masked(ours.sgd(0.3), True)) == [0.3]
    with pytest.raises(TypeError):
        jax.jit(lambda tx: first(tx, TWO))(optax.adam(0.1))


@DIFFERENCES.row("Config and pickles")
def _config():
    tx = ours.masked(ours.adamw(1e-3), {"w": True, "b": False})
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert optcore.serialize.from_config(optcore.serialize.to_config(tx)) == tx
    with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):
        pickle.dumps(optax.adamw(1e-3))


PARAMS = {"head": {"w": jnp.ones(2)}, "body": {"w": jnp.ones(2), "bias": jnp.ones(2)}}


@SPELLINGS.row("`partition`, `masked` of an optimizer, `set_to_zero`")
def _route():
    labels = {"head": "off", "body": {"w": "other", "bias": "tx"}}
    parts = {"off": ours.set_to_zero(), "other": ours.sgd(0.1), "tx": ours.sgd(0.2)}
    native = optcore.route(
        ("*bias", optcore.sgd(0.2)), ("head/*", optcore.FREEZE), ("*", optcore.sgd(0.1))
    )
    expected = first(ours.multi_transform(parts, labels), PARAMS)
    found = first(native, PARAMS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
    assert not any(x.size == 2 for x in jax.tree.leaves(native.init(PARAMS)))


@SPELLINGS.row("`MultiSteps(tx, 4)`")
def _accumulate():
    grads = [TWO * i for i in range(1, 5)]
    expected, _ = run(ours.MultiSteps(ours.sgd(0.1), 4).gradient_transformation(), grads)
    found, state = run(optcore.accumulate(optcore.sgd(0.1), 4), grads)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    _, state = run(optcore.accumulate(optcore.sgd(0.1), 4), [*grads[:2], TWO * jnp.nan, *grads[2:]])
    assert np.isfinite(np.concatenate([np.ravel(x) for x in jax.tree.leaves(state)])).all()


@SPELLINGS.row("`apply_if_finite(tx, 5)`")
def _guard():
    grads = [TWO * jnp.nan] * 8 + [TWO]
    lost = run(ours.apply_if_finite(ours.sgd(0.1, momentum=0.9), 5), grads)[0][-1]
    kept, state = run(optcore.guard(optcore.sgd(0.1, momentum=0.9)), grads)
    assert np.isnan(lost).all()
    np.testing.assert_allclose(kept[-1], -0.1 * TWO, rtol=1e-6)
    assert state.total_notfinite == 8


@SPELLINGS.row("`inject_hyperparams(adam)(learning_rate=0.1)`")
def _inject():
    tx = optcore.inject(optcore.chain(optcore.clip(9.0), optcore.adam(0.1)))
    state = optcore.set_hyperparams(tx, tx.init(TWO), learning_rate=0.2)
    np.testing.assert_allclose(tx.update(TWO, state, TWO)[0], [-0.2, 0.2], rtol=1e-5)
    with pytest.raises(KeyError, match="learning_rate"):
        optcore.set_hyperparams(tx, state, learning_rat=0.2)
    with pytest.raises(ValueError, match="b1"):
        optcore.set_hyperparams(tx, state, b1=1.5)


@SPELLINGS.row("`inject_hyperparams(adam)(0.1, b1=schedule)`")
def _scheduled():
    schedule = optcore.linear_schedule(0.5, 0.9, 4)
    grads = [TWO, 2 * TWO, -TWO]
    expected, _ = run(ours.inject_hyperparams(ours.adam)(0.1, b1=schedule), grads)
    found, _ = run(optcore.adam(0.1, b1=schedule), grads)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


@SPELLINGS.row("a loop over rates that compiles for each")
def _one_compilation():
    stacked, traced = optcore.stack([optcore.adam(1e-3), optcore.adam(1e-2)]), []

    @jax.jit
    def updates(stacked):
        traced.append(1)
        return jax.vmap(lambda tx: first(tx, TWO))(stacked)

    np.testing.assert_allclose(updates(stacked)[1], 10 * updates(stacked)[0], rtol=1e-6)
    updates(optcore.stack([optcore.adam(1.0), optcore.adam(2.0)]))
    assert len(traced) == 1


@SPELLINGS.row('`tree.get(state, "learning_rate")`')
def _read():
    for rate in (0.1, optcore.linear_schedule(0.1, 0.0, 10)):
        tx = optcore.guard(optcore.chain(optcore.clip(1.0), optcore.adam(rate)))
        assert optcore.read(tx, tx.init(TWO), "learning_rate") == pytest.approx(0.1)
    with pytest.raises(KeyError, match="learning_rate"):
        optcore.read(tx, tx.init(TWO), "learning_rat")
    assert ours.tree.get(tx.init(TWO), "learning_rat") is None


@SPELLINGS.row('`adam(1e-3, mu_dtype="bfloat16")`')
def _store():
    state = optcore.store(optcore.adam(1e-3), "bf16", key=jax.random.key(0)).init(jnp.ones(10_000))
    assert sum(x.nbytes for x in jax.tree.leaves(state)) < 4 * 10_000 + 100
    state = optcore.store(optcore.adam(1e-3)).init(jnp.ones(10_000))
    assert sum(x.nbytes for x in jax.tree.leaves(state)) < 2.2 * 10_000


@SPELLINGS.row("bfloat16 parameters alone")
def _master():
    p = jnp.ones(1, jnp.bfloat16)
    ends = []
    for tx in (ours.sgd(1e-3), optcore.master_weights(optcore.sgd(1e-3))):
        params, state = p, tx.init(p)
        for _ in range(20):
            updates, state = tx.update(p, state, params)
            params = optcore.apply_updates(params, updates)
        ends.append(float(params[0]))
    assert ends[0] == 1.0
    assert ends[1] == pytest.approx(0.98, abs=0.004)


@SPELLINGS.row("`incremental_update(params, slow, 0.1)` in the loop")
def _average():
    tx = optcore.with_average(optcore.sgd(0.1), decay=0.9)
    params, slow = TWO, None
    state = tx.init(params)
    for g in (TWO, -TWO, 2 * TWO):
        updates, state = tx.update(g, state, params)
        params = optcore.apply_updates(params, updates)
        slow = params if slow is None else ours.incremental_update(params, slow, 0.1)
    np.testing.assert_allclose(optcore.eval_params(state, params), slow, rtol=1e-6)


@SPELLINGS.row("`contrib.sam(tx, chain(normalize(), sgd(0.05)))`")
def _sam():
    def grad(p, *_):
        return p**3

    adversary = ours.chain(ours.contrib.normalize(), ours.sgd(0.05))
    two = ours.contrib.sam(ours.sgd(0.1), adversary)
    params, state = TWO, two.init(TWO)
    for _ in range(2):
        updates, state = two.update(grad(params), state, params)
        params = ours.apply_updates(params, updates)
    one = optcore.sam(optcore.sgd(0.1), 0.05)
    updates, _ = one.update(grad(TWO), one.init(TWO), TWO, grad_fn=grad)
    np.testing.assert_allclose(TWO + updates, params, rtol=1e-5)


@SPELLINGS.row("`adan`, `rprop`, `lars`, `sophia`")
def _papers():
    grads = [TWO, TWO[::-1], -TWO]
    for name in ("adan", "rprop"):
        there = run(getattr(ours, name)(0.1), grads)[0][-1]
        assert not np.allclose(run(named(name)(0.1), grads)[0][-1], there, rtol=1e-2)
    decayed = {"weight_decay": 0.5}
    there = first(ours.lars(0.1, **decayed), TWO, 3 * TWO[::-1])
    assert not np.allclose(first(optcore.lars(0.1, **decayed), TWO, 3 * TWO[::-1]), there)
    # An estimate that is large beside the clipped moment makes the step small, here from the
    # first step on.
    estimate = {"obj_fn": lambda p: 1e3 * (p**2).sum()}
    there = first(ours.contrib.sophia(0.1), TWO, **estimate)
    here = first(optcore.sophia(0.1), TWO, key=jax.random.key(0), **estimate)
    assert not np.allclose(there, here, rtol=1e-2)
