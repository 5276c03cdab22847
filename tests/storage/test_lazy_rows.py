"""lazy_rows: as dense where that is promised, only the rows touched, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import RowSparse
from tests.named import is_own
from tests.storage.rows import ROWS, dense, shapes_in, sparse, table, touched

PARAMS = {"t": table(), "w": jnp.array([1.0, -2.0]), "frozen": jnp.ones(2)}


def grads(step, **options):
    return {"t": sparse(step, **options), "w": jnp.array([0.5, 3.0]), "frozen": None}


def trained(tx, made, params=PARAMS):
    """Parameters and state after some steps with given gradients."""

    @jax.jit
    def step(params, state, g):
        updates, state = tx.update(g, state, params=params)
        return optcore.apply_updates(params, updates), state

    state = tx.init(params)
    for g in made:
        params, state = step(params, state, g)
    return params, state


def assert_close(got, expected, rtol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol), got, expected)


EXACT = [optcore.sgd(0.5), optcore.adagrad(0.5), optcore.adagrad(0.5, 0.0, eps_in_sqrt=False)]


@pytest.mark.parametrize("tx", EXACT, ids=str)
@pytest.mark.parametrize("whole", [True, False], ids=["whole numbers", "any numbers"])
def test_equals_dense(tx, whole):
    made = [grads(i, whole=whole) for i in range(4)]
    assert all(len(set(g["t"].indices.tolist())) < len(g["t"].indices) for g in made)
    got, state = trained(optcore.lazy_rows(tx), made)
    expected, expected_state = trained(tx, map(dense, made))
    assert_close((got, state.inner), (expected, expected_state), 0 if whole else 1e-6)


QUICK = ["sgd", "adamw", "rmsprop"]
NOT_PER_ROW = {
    "adafactor": "column means",
    "adam_mini": "one second moment for all",
    "came": "column means",
    "dpsgd": "gradients per example",
    "fromage": "norms of the parameter",
    "hyperball_adamw": "norms of the parameter",
    "lamb": "norms of the parameter",
    "lars": "norms of the parameter",
    "noisy_sgd": "noise for the whole leaf",
    "sm3": "column maxima",
    "stable_adamw": "a mean over the leaf",
}
OPTIMIZERS = {
    name: factory.example()
    for name, factory in optcore.registry("optimizer").items()
    if is_own(name) and name not in NOT_PER_ROW and set(factory.needs) <= {"params"}
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in QUICK else pytest.mark.slow) for n in OPTIMIZERS]
)
def test_every_optimizer_per_coordinate(name):
    """The rows seen move as by a dense gradient, and nothing of the others does."""
    inner = OPTIMIZERS[name]
    g = grads(0)
    got, state = trained(optcore.lazy_rows(inner), [g])
    expected, _ = trained(inner, [dense(g)])
    rows = touched(g["t"])
    np.testing.assert_allclose(got["t"][rows], expected["t"][rows], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got["t"][~rows], PARAMS["t"][~rows])
    np.testing.assert_allclose(got["w"], expected["w"], rtol=1e-6)
    before = jax.tree.leaves(inner.init(PARAMS))
    for old, new in zip(before, jax.tree.leaves(state.inner), strict=True):
        if old.shape[:1] == (ROWS,):
            np.testing.assert_array_equal(new[~rows], old[~rows])


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_PER_ROW)
def test_the_others_are_refused(name):
    inner = optcore.registry("optimizer")[name].example()
    with pytest.raises((ValueError, TypeError)):
        trained(optcore.lazy_rows(inner), [grads(0)])


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (optcore.sm3(0.1), "its state at [0].nu[1]['t'] has shape (1, 3) and grows with a table"),
        (optcore.lamb(0.1), "lamb(learning_rate=0.1) is not per row: in a trial"),
        (optcore.chain(optcore.centralize(), optcore.adam(0.1)), "is not per row: in a trial"),
        (optcore.noisy_sgd(0.1, key=jax.random.key(0)), "is not per row: in a trial"),
        (optcore.stable_adamw(0.1), "is not per row: in a trial"),
        (optcore.accumulate(optcore.sgd(0.1), 2), "accumulates gradients, at .acc_grads['t']"),
    ],
    ids=str,
)
def test_what_is_not_per_row_is_refused(inner, message):
    tx = optcore.lazy_rows(inner)
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match=re.escape(message)):
        tx.update(grads(0), state, params=PARAMS)
    updates, _ = tx.update(dense(grads(0)), state, params=PARAMS)
    assert updates["t"].shape == PARAMS["t"].shape, "dense gradients are no matter of rows"


LABELS = {"t": "table", "w": "rest", "frozen": "rest"}


@pytest.mark.parametrize(
    "inner",
    [
        optcore.route(("table", optcore.adagrad(0.1)), ("rest", optcore.lion(0.1)), labels=LABELS),
        optcore.guard(optcore.adagrad(0.1)),
    ],
    ids=["route", "guard"],
)
def test_wrappers_inside(inner):
    made = [grads(i) for i in range(2)]
    got, _ = trained(optcore.lazy_rows(inner), made)
    expected, _ = trained(inner, map(dense, made))
    assert_close(got, expected, 1e-6)


@pytest.mark.parametrize(
    "inner",
    [
        optcore.master_weights(optcore.adagrad(0.5)),
        optcore.store(optcore.adagrad(0.5), "int8", min_size=1),
    ],
    ids=["master_weights", "store"],
)
def test_storage_inside(inner):
    """Rows that the batch has not seen keep their bits, and the others move."""
    params = {"t": table(dtype=jnp.bfloat16)}
    got, state = trained(optcore.lazy_rows(inner), [{"t": sparse()}], params)
    rows = touched(sparse())
    changed = np.any(np.asarray(got["t"] != params["t"]), axis=1)
    np.testing.assert_array_equal(changed, rows)
    before = jax.tree.leaves(inner.init(params))
    for old, new in zip(before, jax.tree.leaves(state.inner), strict=True):
        if old.shape[:1] == (ROWS,):
            np.testing.assert_array_equal(new[~rows], old[~rows])


def test_dense_gradients_pass():
    inner = optcore.adamw(0.1, weight_decay=0.1)
    made = [dense(grads(i)) for i in range(2)]
    got, state = trained(optcore.lazy_rows(inner), made)
    expected, expected_state = trained(inner, made)
    assert_close((got, state.inner), (expected, expected_state), 0)


def test_an_optimizer_of_optax():
    optax = pytest.importorskip("optax", reason="its Adam is wrapped")
    params, made = {"t": table()}, [{"t": sparse(0)}, {"t": sparse(1)}]
    with jax.numpy_dtype_promotion("standard"):
        got, _ = trained(optcore.lazy_rows(optax.adam(0.1)), made, params)
    expected, _ = trained(optcore.lazy_rows(optcore.adam(0.1)), made, params)
    assert_close(got, expected, 2e-5)


def test_tables_of_equal_shape_keep_their_own_rows():
    params = {"a": table(1), "b": table(2), "c": table(3, shape=(ROWS,)), "d": table(4)}
    made = [
        {
            "a": sparse(i),
            "b": sparse(10 + i, places=3),
            "c": sparse(20 + i, shape=(ROWS,)),
            "d": table(i),
        }
        for i in range(2)
    ]
    got, state = trained(optcore.lazy_rows(optcore.adagrad(0.1)), made, params)
    expected, expected_state = trained(optcore.adagrad(0.1), map(dense, made), params)
    assert_close((got, state.inner), (expected, expected_state), 1e-6)


def test_the_clip_is_that_of_the_dense_gradient():
    clip = optcore.clip_by_global_norm(0.5)
    for tx in (
        optcore.chain(clip, optcore.lazy_rows(optcore.adagrad(0.1))),
        optcore.lazy_rows(optcore.chain(clip, optcore.adagrad(0.1))),
    ):
        got, _ = trained(tx, [grads(0), grads(1)])
        expected, _ = trained(
            optcore.chain(clip, optcore.adagrad(0.1)), [dense(grads(0)), dense(grads(1))]
        )
        assert_close(got, expected, 2e-6)


def test_one_count_for_all_rows():
    """A row that is seen late starts as it would with dense gradients."""
    tx = optcore.lazy_rows(optcore.scale_by_adam(eps=0.0))
    w = jnp.zeros(2)
    state = tx.init(w)
    for row in [0] * 200 + [1]:
        g = RowSparse(jnp.array([row]), jnp.array([5.0]), (2,))
        update, state = tx.update(g, state, params=w)
    c1, c2 = 1 - 0.9**201, 1 - 0.999**201
    np.testing.assert_allclose(update.todense()[1], 0.1 / c1 / np.sqrt(0.001 / c2), rtol=1e-5)


def test_a_schedule_inside_is_read():
    tx = optcore.lazy_rows(optcore.adam(optcore.linear_schedule(1.0, 0.0, 4)))
    _, state = trained(tx, [grads(i) for i in range(3)])
    assert optcore.read(tx, state, "learning_rate") == 0.5


def test_numbers_may_be_traced():
    compilations = []

    @jax.jit
    def run(tx):
        compilations.append(1)
        updates, _ = tx.update(grads(0), tx.init(PARAMS), params=PARAMS)
        return updates["t"].todense()

    txs = [optcore.lazy_rows(optcore.adagrad(rate)) for rate in (0.1, 0.3)]
    found = [run(tx) for tx in txs]
    assert len(compilations) == 1
    np.testing.assert_allclose(3 * found[0], found[1], rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(run)(optcore.stack(txs)), jnp.stack(found), rtol=1e-6)


def test_vmap_is_a_loop():
    tx = optcore.lazy_rows(optcore.adam(0.1))
    tables, gs = [table(i) for i in range(3)], [sparse(i) for i in range(3)]

    def two_steps(t, g):
        update, state = tx.update(g, tx.init(t), params=t)
        t = optcore.apply_updates(t, update)
        update, state = tx.update(g, state, params=t)
        return optcore.apply_updates(t, update), state

    stacked = jax.tree.map(lambda *x: jnp.stack(x), *gs)
    mapped = jax.jit(jax.vmap(two_steps))(jnp.stack(tables), stacked)
    compiled = jax.jit(two_steps)
    looped = jax.tree.map(lambda *x: jnp.stack(x), *map(compiled, tables, gs))
    assert_close(mapped, looped, 2e-6)


def test_a_state_is_a_carry():
    tx = optcore.lazy_rows(optcore.adam(0.1))
    made = [grads(i) for i in range(3)]

    def body(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params=params)
        return (optcore.apply_updates(params, updates), state), None

    stacked = jax.tree.map(lambda *x: jnp.stack(x), *made)
    (got, state), _ = jax.jit(lambda c: jax.lax.scan(body, c, stacked))((PARAMS, tx.init(PARAMS)))
    expected, expected_state = trained(tx, made)
    assert_close((got, state), (expected, expected_state), 2e-6)


def test_half_precision_tables():
    """Moments are float32, and the parameter is rounded once."""
    params = {"t": table(dtype=jnp.bfloat16)}
    tx = optcore.lazy_rows(optcore.adagrad(0.1))
    made = [{"t": sparse(i, dtype=jnp.bfloat16)} for i in range(2)]
    got, state = trained(tx, made, params)
    # Their sum in float32, which a dense bfloat16 gradient would round.
    whole = [{"t": g["t"].summed().todense()} for g in made]
    expected, expected_state = trained(optcore.adagrad(0.1), whole, params)
    assert got["t"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(got["t"], expected["t"])
    assert_close(state.inner, expected_state, 1e-6)


@pytest.mark.slow
def test_eager_equals_jit():
    tx = optcore.lazy_rows(optcore.adam(0.1))
    updates, state = tx.update(grads(0), tx.init(PARAMS), params=PARAMS)
    with jax.disable_jit():
        again, again_state = tx.update(grads(0), tx.init(PARAMS), params=PARAMS)
    assert_close((updates, state), (again, again_state), 2e-6)


def test_sharded_by_rows():
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("d",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d"))
    shape = (16, 3)
    params, g = {"t": table(shape=shape)}, {"t": sparse(shape=shape)}
    expected, _ = trained(optcore.lazy_rows(optcore.adam(0.1)), [g], params)
    spread = jax.device_put(params, rows)
    got, state = trained(optcore.lazy_rows(optcore.adam(0.1)), [g], spread)
    assert_close(got, expected, 1e-6)
    assert state.inner[0].mu["t"].sharding.is_equivalent_to(rows, 2)


def test_the_parameters_are_needed():
    tx = optcore.lazy_rows(optcore.sgd(0.1))
    with pytest.raises(ValueError, match="lazy_rows needs the parameters"):
        tx.update(sparse(), tx.init(table()))


def compiled_step(tx, rows, places=8, columns=16):
    params = {"t": jax.ShapeDtypeStruct((rows, columns), jnp.float32)}
    state = jax.eval_shape(tx.init, params)
    g = jax.eval_shape(
        lambda i, v: {"t": RowSparse(i, v, (rows, columns))},
        jax.ShapeDtypeStruct((places,), jnp.int32),
        jax.ShapeDtypeStruct((places, columns), jnp.float32),
    )

    def step(params, state, g):
        updates, state = tx.update(g, state, params=params)
        return optcore.apply_updates(params, updates), state

    return step, (params, state, g)


@pytest.mark.parametrize("inner", [optcore.adam(0.1), optcore.adagrad(0.1)], ids=str)
def test_tables_are_updated_in_place(inner):
    """What the step needs besides its arguments does not grow with the table."""
    temporary = []
    for rows in (4096, 65536):
        step, arguments = compiled_step(optcore.lazy_rows(inner), rows)
        jitted = jax.jit(step, donate_argnums=(0, 1))
        analysis = jitted.lower(*arguments).compile().memory_analysis()
        kept = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(arguments[:2]))
        assert analysis.alias_size_in_bytes == kept, "all of it is donated"
        temporary.append(analysis.temp_size_in_bytes)
    assert temporary[1] <= 1.05 * temporary[0] < 0.3 * 4096 * 16 * 4


def test_nothing_of_the_size_of_a_table_is_computed():
    step, arguments = compiled_step(optcore.lazy_rows(optcore.adam(0.1)), 4096)
    made = list(shapes_in(jax.make_jaxpr(step)(*arguments).jaxpr))
    whole = [name for name, shape in made if shape[:1] == (4096,)]
    assert sorted(whole) == ["scatter", "scatter", "scatter-add"]
