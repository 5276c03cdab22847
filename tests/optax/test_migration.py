"""Every row of the chapter's tables of differences from optax, one test each, on both libraries."""

import collections
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import REGISTRY
from tests.named import named
from tests.optax.tables import Table

optax = pytest.importorskip("optax", reason="the table compares with optax")

TABLE = Table("### What differs between optax and the native names")
row = TABLE.row

pytestmark = [
    # optax promotes dtypes, warns of its own deprecations, and logs what it replaces.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("_standard_promotion"),
]


@pytest.fixture
def _standard_promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_every_row_has_a_check():
    TABLE.check_rows()


@pytest.mark.slow
@pytest.mark.parametrize("where", TABLE.written())
def test_row(where):
    TABLE.checks[where]()


def first(tx, grads, params=None, **extra):
    """The first update."""
    params = grads if params is None else params
    return tx.update(grads, tx.init(params), params, **extra)[0]


def directions(library):
    """Where it has the directions of particular optimizers."""
    return library.optimizers if library is optcore else library


def differs(function, error):
    """optax accepts, optcore refuses."""
    with jax.numpy_rank_promotion("allow"):
        function(optax)
    with pytest.raises(error):
        function(optcore)


PAIR = jnp.array([3.0, 4.0])
ZEROS = jnp.zeros(2)


@row("Sweeps")
def _sweeps():
    def start(tx):
        return tx.init(ZEROS)

    with pytest.raises(TypeError):
        jax.jit(start)(optax.adam(0.1))
    jax.jit(start)(optcore.adam(0.1))


@row("Equality and repr")
def _equality():
    assert optax.adam(0.1) != optax.adam(0.1)
    assert optcore.adam(0.1) == optcore.adam(0.1)
    assert "function" in repr(optax.adam(0.1))
    assert repr(optcore.adam(0.1)) == "adam(learning_rate=0.1)"


@row("0-d arrays as hyper-parameters")
def _zero_dimensional():
    decay = np.float32(0.999)
    assert type(optcore.adam(0.1, b2=decay).arguments["b2"]) is float
    assert optcore.adam(0.1, b2=jnp.asarray(decay)) == optcore.adam(0.1, b2=float(decay))
    nu = optax.scale_by_adam(b2=jnp.asarray(decay)).update(PAIR, optax.scale_by_adam().init(PAIR))
    single = (np.float32(1) - decay) * np.float32(9)
    assert nu[1].nu[0] == pytest.approx(float(single), rel=1e-7)


@row("Schedules")
def _schedules():
    def scheduled_momentum(library):
        return library.sgd(0.1, momentum=library.linear_schedule(0.5, 0.9, 10))

    with pytest.raises(TypeError):
        first(scheduled_momentum(optax), PAIR)
    first(scheduled_momentum(optcore), PAIR)


@row("Extra arguments of `update`")
def _extra_arguments():
    with pytest.raises(TypeError):
        first(optax.scale_by_adam(), PAIR, value=1.0)
    first(optcore.scale_by_adam(), PAIR, value=1.0)
    assert not hasattr(optcore, "GradientTransformationExtraArgs")
    assert not hasattr(optcore, "with_extra_args_support")


@row("Our transformations inside `optax.chain`")
def _inside_optax():
    seen = []

    def update(updates, state, *_, **extra):
        seen.append(set(extra))
        return updates, state

    ours = optcore.chain(optcore.GradientTransformation(lambda params: (), update))
    outer = (
        optax.chain(ours),
        optcore.chain(ours),
        optax.chain(optax.GradientTransformationExtraArgs(*ours)),
    )
    for tx in outer:
        first(tx, PAIR, value=1.0)
    assert seen == [set(), {"value"}, {"value"}]


@row("`isinstance`")
def _isinstance():
    assert isinstance(optcore.adam(0.1), optcore.GradientTransformation)
    assert not isinstance(optcore.adam(0.1), optax.GradientTransformation)
    assert optcore.GradientTransformation._fields == optax.GradientTransformation._fields


@row("`chain()`")
def _empty_chain():
    with pytest.raises(ValueError, match="unpack"):
        first(optax.chain(), PAIR)
    assert first(optcore.chain(), PAIR).tolist() == [3.0, 4.0]


@row("`scale_by_learning_rate`")
def _rate_required():
    assert first(optax.scale_by_learning_rate(), PAIR).tolist() == [3.0, 4.0]
    for arguments in ((), (None,)):
        with pytest.raises(TypeError, match="learning_rate"):
            optcore.scale_by_learning_rate(*arguments)


@row("More arguments")
def _more_arguments():
    more = {
        "trace": {"decay": 0.9, "dampening": 0.5},
        "sgd": {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.5},
        "scale_by_rss": {"eps_in_sqrt": False},
        "adagrad": {"learning_rate": 0.1, "eps_in_sqrt": False},
    }
    for name, arguments in more.items():
        getattr(optcore.optimizers if "_by_" in name else optcore, name)(**arguments)
        with pytest.raises(TypeError):
            getattr(optax, name)(**arguments)


@row("`named_chain`'s state")
def _named_chain():
    def state(library):
        return library.named_chain(("a", library.scale(1.0))).init(PAIR)

    assert type(state(optax)) is collections.OrderedDict
    assert type(state(optcore)) is dict


@row("`sgd`'s state without momentum")
def _sgd_state():
    assert len(optax.sgd(0.1).init(PAIR)) == 2
    assert optcore.sgd(0.1).init(PAIR) == optcore.EmptyState()


@row("`EmaState`")
def _ema_state():
    assert optax.ema(0.9).init(PAIR)._fields == ("count", "ema")
    assert optcore.ema(0.9).init(PAIR)._fields == ("count", "mu")


@row("`TraceState`")
def _trace_state():
    assert optax.trace(0.9).init(PAIR)._fields == ("trace",)
    assert optcore.trace(0.9).init(PAIR)._fields == ("trace", "count")
    assert optcore.trace(0.9).init(PAIR).count is None
    assert optcore.trace(0.9, dampening=0.5).init(PAIR).count == 0


@row("`ScaleByRmsState`")
def _rms_state():
    corrected = optax.scale_by_rms(bias_correction=True).init(PAIR)
    assert type(corrected).__name__ == "ScaleByRmsWithCountState"
    assert (
        type(optcore.scale_by_rms(bias_correction=True).init(PAIR))
        is optcore.optimizers.ScaleByRmsState
    )
    assert optcore.scale_by_rms().init(PAIR).count is None


@row("`ScaleByStddevState`")
def _stddev_state():
    names = [
        type(optax.scale_by_stddev(bias_correction=corrected).init(PAIR)).__name__
        for corrected in (False, True)
    ]
    assert names == ["ScaleByRStdDevState", "ScaleByRStdDevWithCountState"]
    state = optcore.optimizers.scale_by_stddev(bias_correction=True).init(PAIR)
    assert type(state) is optcore.optimizers.ScaleByStddevState
    assert optcore.optimizers.scale_by_stddev().init(PAIR).count is None


@row("The state beside a schedule")
def _scheduled_state():
    def rate(library):
        return library.linear_schedule(1.0, 0.0, 4)

    def decay(library):
        return library.add_decayed_weights(rate(library)).init(PAIR)

    assert type(optax.scale_by_schedule(rate(optax)).init(PAIR)).__name__ == "ScaleByScheduleState"
    assert type(decay(optax)).__name__ == "WeightDecaySchedule"
    state = optcore.adam(rate(optcore)).init(PAIR)
    assert type(state) is optcore.hyper.ScheduledState
    assert state._fields == ("count", "hyperparams", "inner")
    assert type(state.inner[0]) is optcore.optimizers.ScaleByAdamState
    assert list(decay(optcore).hyperparams) == ["weight_decay"]


@row("Masked weight decay")
def _masked():
    seen = []

    def mask(tree):
        seen.append(float(tree))
        return True

    for library in (optax, optcore):
        tx = library.add_decayed_weights(0.1, mask=mask)
        tx.update(jnp.float32(2.0), tx.init(jnp.float32(1.0)), jnp.float32(1.0))
    assert seen == [1.0, 2.0, 1.0]
    assert type(optax.add_decayed_weights(0.1, mask=True).init(PAIR)).__name__ == "MaskedState"
    assert optcore.add_decayed_weights(0.1, mask=True).init(PAIR) == optcore.EmptyState()


@row("bfloat16 parameters")
def _bfloat16():
    grads = PAIR.astype(jnp.bfloat16)
    for library, dtype in ((optax, jnp.bfloat16), (optcore, jnp.float32)):
        tx = library.scale_by_adam()
        updates, state = tx.update(grads, tx.init(grads), grads)
        assert {updates.dtype, state.mu.dtype, state.nu.dtype} == {jnp.dtype(dtype)}
        assert library.apply_updates(grads, updates).dtype == jnp.bfloat16


@row("float16 parameters")
def _float16():
    zeros = jnp.zeros(2, jnp.float16)
    assert np.isnan(first(optax.adam(0.1), zeros)).all()
    assert first(optcore.adam(0.1), zeros).tolist() == [0.0, 0.0]


@row("Gradients wider than the parameters")
def _wider_gradients():
    params = ZEROS.astype(jnp.bfloat16)
    kept = {}
    for library in (optax, optcore):
        tx = library.trace(0.9)
        state = tx.init(params)
        kept[library] = tx.update(PAIR, state, params)[1].trace.dtype == state.trace.dtype
    assert kept == {optax: False, optcore: True}


@row("Integer parameters")
def _integers():
    step, one = jnp.int32(3), jnp.float32(1.0)
    assert optax.scale_by_adam().init(step).mu is not None
    assert optcore.scale_by_adam().init(step).mu is None
    differs(lambda library: first(library.sgd(0.1), one, step), ValueError)
    for nothing in (None, np.zeros((), jax.dtypes.float0)):
        assert first(optcore.sgd(0.1), {"n": nothing}, {"n": step}) == {"n": None}


@row("Complex parameters")
def _complex():
    params = jnp.array([3 + 4j])
    assert jnp.iscomplexobj(optax.scale_by_adam().init(params).nu)
    assert not jnp.iscomplexobj(optcore.scale_by_adam().init(params).nu)


@row("`None` among gradients only")
def _none():
    params, grads = {"a": PAIR, "b": PAIR}, {"a": PAIR, "b": None}
    with pytest.raises(ValueError, match=r"pytree structure|Expected None"):
        first(optax.adam(0.1), grads, params)
    tx = optcore.scale_by_adam()
    state = tx.init(params)
    updates, new_state = tx.update(grads, state, params)
    assert updates["b"] is None
    assert new_state.mu["b"].tolist() == [0.0, 0.0]


@row("`apply_updates`")
def _apply_updates():
    with pytest.raises(TypeError):
        optax.apply_updates({"a": PAIR}, {"a": None})
    assert optcore.apply_updates({"a": PAIR}, {"a": None})["a"].tolist() == [3.0, 4.0]
    differs(lambda library: library.apply_updates(ZEROS, jnp.ones((3, 2))), ValueError)


@row("Bias correction")
def _bias_correction():
    # The first step of Adam is the learning rate.
    error = {
        library: abs(float(first(library.adam(1.0, b2=0.9999), jnp.float32(3.0))) + 1)
        for library in (optax, optcore)
    }
    assert 7e-5 < error[optax] < 9e-5
    assert error[optcore] < 1e-6


@row("Derivatives of an update")
def _derivatives():
    for name in ("scale_by_adam", "scale_by_rms"):
        arguments = {} if name == "scale_by_adam" else {"eps_in_sqrt": False}
        for library, finite in ((optax, False), (optcore, True)):
            tx = getattr(library, name)(**arguments)
            slope = jax.grad(lambda g, tx=tx: first(tx, g).sum())(ZEROS)
            assert bool(jnp.isfinite(slope).all()) == finite, (library.__name__, name)


@row("`rmsprop` and `scale_by_rms` at 0/0")
def _zero_over_zero():
    for inside in (False, True):
        arguments = {"eps": 0.0, "eps_in_sqrt": inside}
        assert np.isnan(first(optax.scale_by_rms(**arguments), ZEROS)).all()
        assert first(optcore.scale_by_rms(**arguments), ZEROS).tolist() == [0.0, 0.0]
        assert first(optcore.rmsprop(0.1, **arguments), ZEROS).tolist() == [0.0, 0.0]


@row("`scale_by_stddev`")
def _stddev():
    # After many equal gradients, whose variance is 0.
    grads = jnp.linspace(0.1, 1000.0, 50)
    finite = {}
    for library in (optax, optcore):
        tx = directions(library).scale_by_stddev()
        state, finite[library] = tx.init(grads), True
        for _ in range(200):
            updates, state = tx.update(grads, state)
            finite[library] &= bool(jnp.isfinite(updates).all())
    assert finite == {optax: False, optcore: True}


@row("`clip`")
def _clip():
    value = jnp.array([3 + 0.5j])
    with pytest.raises(ValueError, match="omplex"):
        first(optax.clip(1.0), value)
    assert first(optcore.clip(1.0), value).tolist() == [1 + 0.5j]


@row("`clip_by_global_norm` of large updates")
def _clip_large():
    for large in (jnp.array([3e30, 4e30]), jnp.array([300.0, 400.0], jnp.float16)):
        assert first(optax.clip_by_global_norm(1.0), large).tolist() == [0.0, 0.0]
        clipped = first(optcore.clip_by_global_norm(1.0), large)
        np.testing.assert_allclose(clipped, [0.6, 0.8], rtol=1e-6)


@row("Clipping to 0")
def _clip_to_zero():
    for name in ("clip_by_global_norm", "clip_by_block_rms"):
        assert np.isnan(first(getattr(optax, name)(0.0), ZEROS)).all()
        assert first(named(name)(0.0), ZEROS).tolist() == [0.0, 0.0]


@row("`adaptive_grad_clip`")
def _adaptive_grad_clip():
    params, grads = jnp.full(4, 5e-5), jnp.full(4, 5e-8)
    norms = {
        library: float(jnp.linalg.norm(first(library.adaptive_grad_clip(1e-5), grads, params)))
        for library in (optax, optcore)
    }
    # The bound is 1e-5 · eps.
    assert norms[optcore] == pytest.approx(1e-8, rel=1e-5)
    assert norms[optax] < 0.2e-8
    many = jnp.ones((2,) * 6)
    with pytest.raises(ValueError, match="shape"):
        first(optax.adaptive_grad_clip(0.1), many)
    assert first(optcore.adaptive_grad_clip(0.1), many).shape == many.shape


@row("Values of schedules")
def _schedule_values():
    assert type(optax.constant_schedule(0.5)(0)) is float
    assert optcore.constant_schedule(0.5)(0).dtype == jnp.float32
    differs(lambda library: library.linear_schedule(0.0, 1.0, 4)(0.5), TypeError)


@row("`warmup_cosine_decay_schedule` with peak 0")
def _peak_zero():
    def last(library):
        schedule = library.warmup_cosine_decay_schedule(0.0, 0.0, 2, 4, end_value=1.0)
        return float(schedule(4))

    assert (last(optax), last(optcore)) == (0.0, 1.0)


@row("`exponential_decay` that grows")
def _growth():
    assert np.isinf(optax.exponential_decay(1.0, 1, 2.0)(1000))
    assert optcore.exponential_decay(1.0, 1, 2.0)(1000) == np.finfo(np.float32).max


@row("Schedules with impossible lengths")
def _impossible_lengths():
    for make in (
        lambda library: library.linear_schedule(0.0, 1.0, 0),
        lambda library: library.polynomial_schedule(0.0, 1.0, 2.0, -1),
        lambda library: library.linear_schedule(0.0, 1.0, 5, transition_begin=-1),
        lambda library: library.exponential_decay(1.0, 0, 0.5),
        lambda library: library.exponential_decay(1.0, 5, 0.0),
        lambda library: library.exponential_decay(1.0, 5, 0.5, transition_begin=-1),
    ):
        differs(make, ValueError)


@row("`warmup_steps=0`")
def _no_warmup():
    def value(lib):
        return float(lib.warmup_constant_schedule(0.0, 1.0, 0)(7))

    assert value(optax) == 0.0
    assert value(optcore) == 1.0


@row("One-cycle schedules with a phase of no step")
def _phases_without_a_step():
    differs(lambda lib: lib.schedules.linear_onecycle_schedule(3, 1.0), ValueError)
    differs(lambda lib: lib.schedules.cosine_onecycle_schedule(3, 1.0), ValueError)


@row("`sgdr_schedule`")
def _sgdr():
    cycles = [{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 1, "decay_steps": 3}]
    assert callable(jax.tree.leaves(optax.sgdr_schedule(cycles))[0])
    assert all(
        isinstance(x, float) for x in jax.tree.leaves(optcore.schedules.sgdr_schedule(cycles))
    )


@row("`exponential_decay` with a staircase, traced")
def _stairs():
    def stairs(lib, steps):
        schedule = lib.exponential_decay(1.0, steps, 0.5, staircase=True)
        counts = steps * jnp.arange(1, 9)
        return np.asarray(jax.vmap(lambda t: jnp.log2(schedule(t)))(counts))

    late = [s for s in range(2, 70) if not np.array_equal(stairs(optax, s), -np.arange(1.0, 9))]
    # Older versions of XLA round the quotient in another way.
    assert late or jax.__version_info__ < (0, 10)
    for steps in late or range(2, 12):
        np.testing.assert_array_equal(stairs(optcore, steps), -np.arange(1.0, 9))


@row("`reduce_on_plateau(rtol=0, atol=0)`")
def _no_tolerance():
    with pytest.raises(ValueError):  # noqa: PT011
        optax.contrib.reduce_on_plateau(rtol=0.0, atol=0.0)
    optcore.reduce_on_plateau(rtol=0.0, atol=0.0)


@row("`reduce_on_plateau` with negative losses")
def _negative_losses():
    def scale(make):
        tx = make(patience=2, rtol=0.1, factor=0.5)
        state = tx.init(ZEROS)
        for _ in range(4):
            _, state = tx.update(PAIR, state, value=jnp.float32(-1.0))
        return float(state.scale)

    assert scale(optax.contrib.reduce_on_plateau) == 1.0
    assert scale(optcore.reduce_on_plateau) == 0.5


@row("Boundaries of schedules")
def _boundaries():
    def join(library, boundaries):
        return library.join_schedules([library.constant_schedule(1.0)] * 3, boundaries)(3)

    for boundaries in ([4, 2], [4], [1, 2, 3]):
        differs(lambda library, boundaries=boundaries: join(library, boundaries), ValueError)
    differs(lambda library: library.piecewise_constant_schedule(1.0, {10.5: 0.1})(3), ValueError)


@row("Impossible hyper-parameters")
def _impossible_hyperparameters():
    differs(lambda library: library.adam(-1.0), ValueError)
    differs(lambda library: library.adam(1e-3, b1=1.5), ValueError)
    differs(lambda library: library.adam("1e-3"), TypeError)
    differs(lambda library: library.adam(True), TypeError)


@row("Gradients that do not fit")
def _extra_axis():
    differs(lambda library: first(library.sgd(0.1), jnp.ones((3, 2)), ZEROS), ValueError)


@row("The state of another optimizer")
def _foreign_state():
    def update(library, maker, other):
        return maker(library).update(PAIR, other(library).init(PAIR), PAIR)

    def adam(library):
        return library.adam(0.1)

    def sgd(library):
        return library.sgd(0.1)

    with pytest.raises(AttributeError):
        update(optax, adam, sgd)
    update(optax, sgd, adam)  # accepted: two states where two are expected
    for maker, other in ((adam, sgd), (lambda library: library.sgd(0.1, momentum=0.9), adam)):
        with pytest.raises(TypeError, match="does not belong"):
            update(optcore, maker, other)


@row("`global_norm`")
def _global_norm():
    large = jnp.array([3e30, 4e30])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DeprecationWarning):
            optax.global_norm(large)
    assert np.isinf(optax.tree.norm(large))
    assert optcore.global_norm(large) == pytest.approx(5e30, rel=1e-6)


@row("`rprop`")
def _rprop():
    np.testing.assert_array_equal(first(optax.rprop(0.1), PAIR), ZEROS)
    np.testing.assert_allclose(first(optcore.rprop(0.1), PAIR), [-0.1, -0.1])


@row("`lars` with decay")
def _lars():
    params = jnp.array([4.0, -3.0])  # orthogonal to the gradient, and as long
    theirs = first(optax.lars(1.0, 1.0, trust_coefficient=1.0), PAIR, params)
    np.testing.assert_allclose(jnp.linalg.norm(theirs), 5.0, rtol=1e-6)
    ours = first(optcore.lars(1.0, 1.0, trust_coefficient=1.0), PAIR, params)
    np.testing.assert_allclose(jnp.linalg.norm(ours), 5.0 / 2**0.5, rtol=1e-6)
    same = first(optcore.lars(1.0, 1.0, trust_coefficient=1.0, norm_of_sum=True), PAIR, params)
    np.testing.assert_allclose(same, theirs, rtol=1e-6)


@row("`polyak_sgd` with `scaling`")
def _polyak():
    np.testing.assert_allclose(
        first(optax.polyak_sgd(scaling=0.5), PAIR, value=5.0), -0.4 * PAIR, rtol=1e-6
    )
    np.testing.assert_allclose(
        first(optcore.polyak_sgd(scaling=0.5), PAIR, value=5.0), -0.1 * PAIR, rtol=1e-6
    )


@row("`scale_by_polyak`, small gradients")
def _small_polyak():
    small = 1e-10 * PAIR
    np.testing.assert_array_equal(first(optax.scale_by_polyak(), small, value=1.0), ZEROS)
    np.testing.assert_allclose(first(optcore.optimizers.scale_by_polyak(), small, value=1.0), small)


@row("`scale_by_trust_ratio`, tiny gradients")
def _tiny_trust():
    tiny = 1e-30 * PAIR
    np.testing.assert_allclose(first(optcore.scale_by_trust_ratio(), tiny, PAIR), PAIR, rtol=1e-6)
    assert jnp.linalg.norm(first(optax.scale_by_trust_ratio(), tiny, PAIR)) < 1e-20


@row("`fromage`, small rates")
def _fromage():
    expected = 1 / np.sqrt(1 + 1e-8) - 1  # of weights orthogonal to the gradient
    w, g = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    theirs = first(optax.fromage(lambda count: jnp.float32(1e-4)), g, w)
    ours = first(optcore.fromage(lambda count: jnp.float32(1e-4)), g, w)
    assert theirs[0] == 0
    np.testing.assert_allclose(ours[0], expected, rtol=1e-6)


@row("`add_noise`, `noisy_sgd`")
def _noise_key():
    differs(lambda lib: lib.add_noise(0.1, 0.5), TypeError)
    differs(lambda lib: lib.noisy_sgd(0.1, key=0), TypeError)


@row("`add_noise`, other leaves")
def _noise_leaves():
    def noise(lib, tree):
        return first(lib.add_noise(1.0, 0.5, jax.random.key(0)), tree)["b"]

    few, many = {"b": ZEROS}, {"a": ZEROS, "b": ZEROS}
    assert np.any(noise(optax, few) != noise(optax, many))
    np.testing.assert_array_equal(noise(optcore, few), noise(optcore, many))


@row("`lion`'s state")
def _lion_state():
    assert set(optax.lion(0.1).init(PAIR)[0]._fields) == {"count", "mu"}
    assert optcore.optimizers.scale_by_lion().init(PAIR)._fields == ("mu",)


@row("`optimistic_gradient_descent`'s state")
def _optimistic_state():
    theirs = optax.scale_by_optimistic_gradient().init(PAIR)
    assert "is_initial_step" in theirs._fields
    ours = optcore.optimizers.scale_by_optimistic_gradient().init(PAIR)
    assert "count" in ours._fields


@row("`nadam`, `nadamw`")
def _nadam():
    np.testing.assert_allclose(
        first(optcore.nadam(0.1), PAIR), first(optax.nadam(0.1), PAIR), rtol=1e-5
    )
    with pytest.raises(TypeError):
        optax.nadam(0.1, momentum_decay=4e-3)
    torch = first(optcore.nadam(0.1, momentum_decay=4e-3), PAIR)
    # mu_1 = .9 (1 - .5 · .96^.004), and the first step of torch.optim.NAdam(lr=.1)
    mu, mu_next = (0.9 * (1 - 0.5 * 0.96 ** (0.004 * t)) for t in (1, 2))
    step = mu_next * 0.1 / (1 - mu * mu_next) + 1
    np.testing.assert_allclose(torch, [-0.1 * step] * 2, rtol=1e-5)


@row("`nadam(nesterov=False)`")
def _nadam_without_nesterov():
    differs(lambda library: library.nadam(0.1, nesterov=False), TypeError)


@row("`amsgrad`")
def _amsgrad():
    def last(tx, steps=2000):
        def step(state, g):
            u, state = tx.update(g, state)
            return state, u

        grads = jnp.concatenate([jnp.full((1,), 100.0), jnp.ones(steps)])
        return jax.lax.scan(step, tx.init(grads[0]), grads)[1][-1]

    # √v_t stays at 100 with optax, and falls to √(.001 · 100² / (1 - .999^t)) with torch.
    assert last(optax.scale_by_amsgrad()) == pytest.approx(0.01, rel=1e-3)
    assert last(optcore.optimizers.scale_by_amsgrad()) == pytest.approx(
        1 / np.sqrt(10 / (1 - 0.999**2001)), rel=1e-3
    )
    assert last(optcore.optimizers.scale_by_amsgrad(max_of="corrected")) == pytest.approx(
        0.01, rel=1e-3
    )


@row("`radam` in float32")
def _radam():
    def after(tx, steps):
        state = tx.init(jnp.float32(0.0))
        for _ in range(steps):
            u, state = tx.update(jnp.float32(1.0), state)
        return u.item()

    def off(library, b2):
        """The relative error of r_6; the first five steps are not adapted."""
        limit = 2 / (1 - b2) - 1
        rho = limit - 12 * b2**6 / (1 - b2**6)
        r = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
        return abs(after(directions(library).scale_by_radam(0.0, b2), 6) / r - 1)

    assert off(optax, 0.999) > 0.01
    assert off(optax, 0.9999) > 0.9
    assert max(off(optcore, 0.999), off(optcore, 0.9999)) < 2e-6
    assert after(optax.scale_by_radam(0.0, 0.9999), 5) < 0.1
    assert after(optcore.optimizers.scale_by_radam(0.0, 0.9999), 5) == pytest.approx(1)


@row("`adamax(eps=0)`")
def _adamax():
    assert np.isnan(first(optax.adamax(0.1, eps=0.0), ZEROS)).all()
    assert (first(optcore.adamax(0.1, eps=0.0), ZEROS) == 0).all()


@row("`adadelta()`")
def _adadelta():
    assert (first(optax.adadelta(), PAIR) > 0).all()
    assert (first(optcore.adadelta(), PAIR) < 0).all()


@row("`adadelta` of complex parameters")
def _adadelta_complex():
    z = jnp.array([3 + 4j])
    # |√(eps / (.1 · 25))|, in the direction of the gradient
    expected = -np.sqrt(1e-6 / 2.5) * np.asarray(z)
    np.testing.assert_allclose(first(optcore.adadelta(1.0), z), expected, rtol=1e-4)
    assert np.abs(np.asarray(first(optax.adadelta(1.0), z)) - expected).max() > 1e-3


@row("`acprop`")
def _acprop():
    def second(library, **options):
        tx = library(1.0, 0.5, eps_root=0.0, **options)
        state = tx.init(PAIR)
        for _ in range(2):
            u, state = tx.update(PAIR, state, PAIR)
        return u

    theirs = second(optax.contrib.acprop)
    np.testing.assert_allclose(second(optcore.acprop), 2 * theirs, rtol=1e-5)
    np.testing.assert_allclose(second(optcore.acprop, previous_mean=True), theirs, rtol=1e-5)


@row("`adan`")
def _adan():
    def second(library):
        tx = directions(library).scale_by_adan(b1=0.0, b2=0.75, b3=0.0)
        state = tx.init(ZEROS)
        for g in (PAIR, 2 * PAIR):
            update, state = tx.update(g, state)
        return update

    # g = 2 and a difference of 1, in units of the first gradient; 1 - b2² corrects the average.
    change = 0.25 / (1 - 0.75**2)
    np.testing.assert_allclose(second(optcore), (2 + 0.75 * change) / (2 + 0.75), rtol=1e-5)
    np.testing.assert_allclose(second(optax), (2 + 0.25 * change) / (2 + 0.25), rtol=1e-5)


@row("`adan`, weight decay")
def _adan_decay():
    def decayed(library):
        tx = library.adan(0.5, weight_decay=2.0)
        return PAIR + first(tx, ZEROS, PAIR)

    np.testing.assert_allclose(decayed(optax), 0 * PAIR, atol=1e-6)  # 1 - 0.5 · 2
    np.testing.assert_allclose(decayed(optcore), PAIR / 2, rtol=1e-6)  # 1 / (1 + 0.5 · 2)


@row("`madgrad`, rate 0")
def _madgrad_zero():
    assert np.all(np.abs(first(optax.contrib.madgrad(0.0, momentum=0.0), PAIR)) > 0)
    np.testing.assert_array_equal(first(optcore.madgrad(0.0, momentum=0.0), PAIR), ZEROS)


@row("`adopt`, unclipped, first update")
def _adopt_first():
    huge = jnp.array([1e35, 1.0])
    assert np.isnan(first(optax.contrib.adopt(0.1, use_clipping=False), huge)[0])
    np.testing.assert_array_equal(first(optcore.adopt(0.1, use_clipping=False), huge), ZEROS)


@row("`sophia`")
def _sophia():
    def loss(w):
        return jnp.sum(w**2)  # the Hessian is 2

    def step(sophia, **extra):
        tx = sophia(1.0, b1=0.5, b2=0.0, eps=1.0, weight_decay=0.0, gamma=1.0, clip_threshold=None)
        return -first(tx, 2 * PAIR, PAIR, obj_fn=loss, **extra)

    np.testing.assert_allclose(step(optax.contrib.sophia), 2 * PAIR)  # m̂ = g, divided by eps
    key = jax.random.key(0)
    np.testing.assert_allclose(step(optcore.sophia, key=key), PAIR / 2)  # m = g / 2, by 2


@row("`centralize`")
def _centralize():
    g = jnp.array([[1.0, 0.0], [3.0, 8.0]])
    np.testing.assert_array_equal(first(optax.centralize(), g).sum(1), 0)
    np.testing.assert_array_equal(first(optcore.centralize(), g).sum(0), 0)
    np.testing.assert_array_equal(
        first(optcore.centralize(output_axis=0), g), first(optax.centralize(), g)
    )


@row("`normalize_by_update_norm` of large updates")
def _normalize_by_update_norm_of_large_updates():
    large = jnp.array([3e30, 4e30])
    np.testing.assert_array_equal(first(optax.normalize_by_update_norm(), large), 0)
    np.testing.assert_allclose(first(optcore.normalize_by_update_norm(), large), [0.6, 0.8])


@row("`normalize_by_update_norm` at 0/0")
def _normalize_by_update_norm_of_nothing():
    assert np.isnan(first(optax.normalize_by_update_norm(eps=0.0), ZEROS)).all()
    np.testing.assert_array_equal(first(optcore.normalize_by_update_norm(eps=0.0), ZEROS), 0)


@row("`unitwise_clip`")
def _unitwise_clip():
    tiny = 1e-9 * PAIR
    limit = jnp.full(2, 1e-9)
    theirs = optax.transforms.unitwise_clip(optax.transforms.unitwise_norm(tiny), limit, tiny)
    assert (
        np.linalg.norm(theirs)
        < 0.5e-9
        < 0.9e-9
        < np.linalg.norm(
            optcore.transforms.unitwise_clip(optcore.transforms.unitwise_norm(tiny), limit, tiny)
        )
    )
    assert not hasattr(optax, "unitwise_clip")


@row("`lookahead`")
def _lookahead():
    params = jnp.ones(2)
    theirs = optax.lookahead(optax.sgd(0.5), 1, 0.5)
    ours = optcore.lookahead(optcore.sgd(0.5), 1, 0.5)
    with pytest.raises(AttributeError, match="fast"):
        theirs.update(params, theirs.init(params), params)
    pair = optax.LookaheadParams.init_synced(params)
    with pytest.raises(TypeError, match="value"):
        theirs.update(params, theirs.init(pair), pair, value=jnp.float32(1.0))
    updates, state = ours.update(params, ours.init(params), params, value=jnp.float32(1.0))
    assert updates.tolist() == [-0.25, -0.25]
    assert optcore.eval_params(state, params + updates).tolist() == [0.75, 0.75]


@row("`monitor`")
def _monitor():
    theirs = optax.monitor({"norm": optax.tree.norm})
    assert theirs.update(PAIR, theirs.init(PAIR))[1].measurements == {"norm": 5}
    with pytest.raises(TypeError):
        optcore.monitor({"norm": optcore.global_norm})
    ours = optcore.monitor(optcore.sgd(0.1))
    found = ours.update(PAIR, ours.init(PAIR), PAIR)[1]
    assert found._fields == ("count", "measurements", "previous_gradient", "inner")
    assert found.measurements["gradient_norm"] == 5
    assert found.measurements["update_norm"] == pytest.approx(0.5)


@row("`split_real_and_imaginary`")
def _split_real_and_imaginary():
    params = jnp.array([1 + 2j])
    theirs = optax.contrib.split_real_and_imaginary(optax.adam(0.1))
    ours = optcore.split_real_and_imaginary(optcore.adam(0.1))
    assert theirs.init(params)._fields == ("inner_state",)
    assert ours.init(params)._fields == ("inner",)
    with pytest.raises(TypeError, match="value"):
        theirs.update(params, theirs.init(params), params, value=jnp.float32(1.0))
    ours.update(params, ours.init(params), params, value=jnp.float32(1.0))
    shape = jax.ShapeDtypeStruct((2,), jnp.complex64)
    with pytest.raises(AttributeError):
        theirs.init(shape)
    ours.init(shape)


@row("`sm3` of scalars")
def _sm3_scalar():
    with pytest.raises(IndexError):
        first(optax.sm3(0.1), jnp.float32(2.0))
    assert first(optcore.sm3(0.1, momentum=0.0), jnp.float32(2.0)).item() == pytest.approx(-0.1)


@row("`scale_by_factored_rms` before its `step_offset`")
def _factored_offset():
    g = jnp.array([3.0, 4.0])
    assert np.isnan(first(optax.scale_by_factored_rms(step_offset=5), g)).all()
    np.testing.assert_allclose(
        first(optcore.optimizers.scale_by_factored_rms(step_offset=5), g), 1.0, rtol=1e-6
    )


@row("`scale_by_factored_rms` of zero gradients without `epsilon`")
def _factored_zeros():
    assert np.isnan(first(optax.scale_by_factored_rms(epsilon=0.0), ZEROS)).all()
    assert first(optcore.optimizers.scale_by_factored_rms(epsilon=0.0), ZEROS).tolist() == [
        0.0,
        0.0,
    ]


@row("`optimistic_adam` with a schedule")
def _optimistic_schedule():
    def rate(library):
        return library.linear_schedule(0.1, 0.0, 10)

    with pytest.raises(ValueError, match="schedule"):
        optax.optimistic_adam(rate(optax))
    assert np.isfinite(first(optcore.optimistic_adam(rate(optcore)), PAIR)).all()


@row("`per_example_global_norm_clip` of large gradients")
def _per_example_large():
    grads = [jnp.array([[3e30, 4e30]])]
    assert optax.per_example_global_norm_clip(grads, 1.0)[0][0].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(
        optcore.transforms.per_example_global_norm_clip(grads, 1.0)[0][0], [0.6, 0.8], rtol=1e-6
    )


@row("Low-precision moments")
def _moments():
    params = jnp.zeros((64, 64))
    for lib in (optax, optcore):
        first, second = (lib.adam(0.1, mu_dtype=jnp.bfloat16).init(params)[0][i] for i in (1, 2))
        assert (first.dtype, second.dtype) == (jnp.bfloat16, jnp.float32)
    stored = optcore.store(optcore.adam(0.1), "int8").init(params)
    assert {x.dtype.name for x in jax.tree.leaves(stored) if x.size == params.size} == {"uint8"}


@row("Low-precision parameters")
def _narrow_parameters():
    w = jnp.ones((), jnp.bfloat16)
    for lib in (optax, optcore):
        updates, _ = lib.sgd(1e-3).update(w, lib.sgd(1e-3).init(w), w)
        assert lib.apply_updates(w, updates) == w
    for wrap in (optcore.master_weights, optcore.split_weights, optcore.kahan):
        tx, moved = wrap(optcore.sgd(1e-3)), w
        state = tx.init(w)
        for _ in range(4):
            updates, state = tx.update(w, state, moved)
            moved = optcore.apply_updates(moved, updates)
        assert moved < w


@row("`contrib.differentially_private_aggregate`")
def _dp():
    g = jnp.zeros((1, 20000), jnp.complex64)
    theirs = optax.contrib.differentially_private_aggregate(1.0, 1.0, key=0)
    ours = optcore.transforms.differentially_private_aggregate(1.0, 1.0, jax.random.key(0))
    p = jnp.zeros(20000, jnp.complex64)
    stds = [float(first(tx, g, p).real.std()) for tx in (theirs, ours)]
    assert stds == [pytest.approx(0.5**0.5, rel=0.05), pytest.approx(1.0, rel=0.05)]
    with pytest.raises(TypeError):
        optcore.transforms.differentially_private_aggregate(1.0, 1.0)


@row("`chain` of what makes no sense")
def _nonsense():
    def frozen(library):
        return optcore.route(("*", optcore.FREEZE)) if library is optcore else library.freeze(True)

    nonsense = [
        lambda lib: lib.chain(lib.adam(0.1), lib.sgd(0.1)),
        lambda lib: lib.chain(lib.sgd(0.1), lib.add_decayed_weights(0.1)),
        lambda lib: lib.chain(frozen(lib), lib.adamw(0.1, weight_decay=0.5)),
    ]
    ascends, grows, decays = (first(make(optax), PAIR) for make in nonsense)
    assert np.all(ascends > 0)
    np.testing.assert_allclose(grows, -0.1 * PAIR + 0.1 * PAIR, atol=1e-6)
    np.testing.assert_allclose(decays, -0.05 * PAIR, rtol=1e-6)
    for make in nonsense:
        differs(make, ValueError)


@row("`masked` around an optimizer")
def _masked_optimizer():
    tree = {"a": PAIR, "b": PAIR}
    theirs = optax.masked(optax.adam(0.1), {"a": True, "b": False})
    np.testing.assert_array_equal(first(theirs, tree)["b"], PAIR)
    ours = optcore.route(("a", optcore.adam(0.1)), ("*", optcore.FREEZE))
    np.testing.assert_array_equal(first(ours, tree)["b"], ZEROS)


@row("Labels of `partition` that no parameter has")
def _labels():
    optax.partition({"a": optax.sgd(0.1), "b": optax.sgd(0.2)}, "a").init(PAIR)
    ours = optcore.route(("a", optcore.sgd(0.1)), ("b", optcore.sgd(0.2)), labels="a")
    with pytest.raises(ValueError, match="'b'"):
        ours.init(PAIR)


@row("`masked` and `partition`, what is masked")
def _masked_node():
    tree = {"a": PAIR, "b": PAIR}
    theirs = optax.masked(optax.trace(0.5), {"a": True, "b": False}).init(tree)
    assert theirs.inner_state.trace["b"] == optax.MaskedNode()
    ours = optcore.route(("a", optcore.trace(0.5)), ("b", optcore.FREEZE)).init(tree)
    assert ours.inner[0].trace["b"] is None


@row("Functions as masks and labels")
def _functions_as_masks():
    for library, expected in ((optax, [3.0, 4.0]), (optcore, [0.0, 0.0])):
        seen = []

        def mask(tree, seen=seen):
            seen.append(np.asarray(tree).tolist())
            return True

        tx = library.add_decayed_weights(0.1, mask=mask)
        with jax.disable_jit():
            tx.update(PAIR, tx.init(ZEROS), ZEROS)
        assert seen[-1] == expected


@row("`flatten` of several dtypes")
def _flatten():
    tree = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(2, jnp.float16)}
    for library in (optax, optcore):
        updates = first(library.flatten(library.scale(1.0)), tree)
        assert {u.dtype for u in updates.values()} == {jnp.dtype(jnp.float32)}
    narrow = {"a": jnp.ones(2, jnp.bfloat16)}
    for library, dtype in ((optax, jnp.bfloat16), (optcore, jnp.float32)):
        assert library.flatten(library.trace(0.5)).init(narrow).trace.dtype == dtype


DIFFERENT = {
    "rprop", "scale_by_rprop", "amsgrad", "scale_by_amsgrad", "radam", "adan", "scale_by_adan",
    "lars", "adadelta", "centralize", "adopt", "add_noise", "noisy_sgd", "polyak_sgd",
    "scale_by_polyak", "lookahead", "monitor",
}  # fmt: skip
"""What the table says more of: other algorithms, randomness, or more than an update takes."""


def shared(*kinds):
    """Our factories that optax has too."""
    return [
        pytest.param(factory, id=factory.name)
        for key, factory in REGISTRY.items()
        if key.startswith("optcore:") and factory.kind in kinds
        if factory.name in vars(optax) and factory.name not in DIFFERENT
    ]


def foreign(value):
    """The same object made by optax."""
    if not isinstance(value, optcore.DeclaredTransformation | optcore.DeclaredSchedule):
        if isinstance(value, tuple):
            return type(value)(foreign(v) for v in value)
        if isinstance(value, dict):
            return {key: foreign(v) for key, v in value.items()}
        return value
    factory = value.declaration.factory
    arguments = {name: foreign(v) for name, v in value.arguments.items()}
    stars = {n for n, p in factory.signature.parameters.items() if p.kind is p.VAR_POSITIONAL}
    starred = [part for name in stars for part in arguments.pop(name)]
    defaults = {n: p.default for n, p in factory.signature.parameters.items()}
    changed = {n: v for n, v in arguments.items() if v is not defaults[n] and v != defaults[n]}
    return getattr(optax, factory.name)(*starred, **changed)


@pytest.mark.slow
@pytest.mark.parametrize("factory", shared("optimizer", "direction", "transform", "wrapper"))
def test_same_updates_otherwise(factory):
    ours = factory.example()
    theirs = foreign(ours)
    random = np.random.default_rng(0)
    params = jnp.asarray(random.normal(size=(4, 3)), jnp.float32)
    state, their_state = ours.init(params), theirs.init(params)
    for _ in range(5):
        grads = jnp.asarray(random.normal(size=(4, 3)), jnp.float32)
        updates, state = ours.update(grads, state, params)
        expected, their_state = theirs.update(grads, their_state, params)
        # 7e-6 is what bias correction in float32 loses in optax at b2 = 0.999.
        np.testing.assert_allclose(updates, expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("factory", shared("schedule"))
def test_same_schedules_otherwise(factory):
    ours = factory.example()
    counts = range(12)
    expected = [float(foreign(ours)(count)) for count in counts]
    np.testing.assert_allclose([float(ours(count)) for count in counts], expected, atol=1e-6)


@row("`inject_hyperparams` of bfloat16 parameters")
def _injected_dtype():
    params = jnp.ones(2, jnp.bfloat16)
    theirs = optax.inject_hyperparams(optax.adamw)(1e-3)
    ours = optcore.inject(optcore.adamw(1e-3))
    assert float(theirs.init(params).hyperparams["b2"]) == 1.0
    assert ours.init(params).hyperparams["b2"] == np.float32(0.999)
    assert jnp.isnan(first(theirs, params)).all()
    assert jnp.isfinite(first(ours, params)).all()


@row("`inject_hyperparams`, integers")
def _injected_integers():
    arguments = {"learning_rate": 0.1, "min_dim_size_to_factor": 2}
    theirs = optax.inject_hyperparams(optax.adafactor)
    with pytest.raises(jax.errors.JAXTypeError):
        jax.jit(lambda: theirs(**arguments).init(jnp.ones((3, 3))))()
    ours = optcore.inject(optcore.adafactor(**arguments))
    assert "min_dim_size_to_factor" not in ours.init(jnp.ones((3, 3))).hyperparams
    jax.jit(lambda: ours.init(jnp.ones((3, 3))))()


@row("`inject_hyperparams`, functions")
def _injected_functions():
    def mask(params):
        return jax.tree.map(lambda p: p.ndim > 0, params)

    # Of a count the mask says False, and so nothing decays.
    theirs = optax.inject_hyperparams(optax.adamw)(0.1, mask=mask).init(ZEROS)
    assert not theirs.hyperparams["mask"]
    assert "mask" not in optcore.inject(optcore.adamw(0.1, mask=mask)).init(ZEROS).hyperparams


@row("`InjectStatefulHyperparamsState`")
def _injected_state():
    rate = optax.linear_schedule(1.0, 0.0, 4)
    theirs = optax.inject_hyperparams(optax.sgd)(rate).init(PAIR)
    ours = optcore.inject(optcore.sgd(rate)).init(PAIR)
    assert theirs._fields == ours._fields
    assert int(theirs.hyperparams_states["learning_rate"].count) == 0
    assert int(ours.hyperparams_states["learning_rate"]) == 0


@row("A scheduled value that is set")
def _scheduled_value():
    rate = optax.linear_schedule(1.0, 0.0, 4)
    theirs = optax.inject_hyperparams(optax.sgd)(rate)
    state = theirs.init(PAIR)
    state.hyperparams["learning_rate"] = 0.25
    assert theirs.update(PAIR, state)[0].tolist() == [-3.0, -4.0]
    ours = optcore.inject(optcore.sgd(rate))
    with pytest.raises(ValueError, match="follows a schedule"):
        optcore.set_hyperparams(ours, ours.init(PAIR), learning_rate=0.25)


@row("`tree.get` of a missing name")
def _missing_name():
    assert optax.tree.get(optax.adam(0.1).init(PAIR), "learning_rte") is None
    tx = optcore.adam(0.1)
    with pytest.raises(KeyError, match="did you mean 'learning_rate'"):
        optcore.read(tx, tx.init(PAIR), "learning_rte")
    with pytest.raises(KeyError, match="ScaleByAdamState"):
        optcore.tree.find(tx.init(PAIR), optcore.transforms.TraceState)


@row("`tree.set` of a number")
def _set_number():
    state = optax.tree.set(optax.inject_hyperparams(optax.sgd)(0.1).init(PAIR), learning_rate=0.2)
    assert not isinstance(optax.tree.get(state, "learning_rate"), jax.Array)
    tx = optcore.inject(optcore.sgd(0.1))
    state = optcore.set_hyperparams(tx, tx.init(PAIR), learning_rate=0.2)
    assert optcore.read(tx, state, "learning_rate").dtype == jnp.float32


@row("Misspelt extra arguments of `update`")
def _misspelt():
    first(optax.chain(optax.adam(0.1), optax.contrib.schedule_free_sgd(0.1)), PAIR, valeu=1.0)
    tx = optcore.skip_on_spike(optcore.adam(0.1), watch="both")
    with pytest.raises(TypeError, match="did you mean 'value'"):
        first(tx, PAIR, valeu=1.0)


@row("`apply_every` after a NaN")
def _apply_every_nan():
    stream = (jnp.nan * PAIR, PAIR, PAIR, PAIR)
    assert jnp.isnan(last(optax.apply_every(2), stream)[0]).all()
    ours = optcore.accumulate(optcore.identity(), 2)
    assert last(ours, stream[:3])[0].tolist() == [3.0, 4.0]


def their_sam(**options):
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.5))
    return optax.contrib.sam(optax.sgd(1.0), adversary, **options)


@row("`contrib.sam`")
def _sam():
    def grad_fn(params, _):
        return 2 * params

    there = first(their_sam(), 2 * PAIR, PAIR)
    np.testing.assert_allclose(there, [0.3, 0.4], rtol=1e-6)
    opaque = first(their_sam(opaque_mode=True), 2 * PAIR, PAIR, grad_fn=grad_fn)
    ours = first(optcore.sam(optcore.sgd(1.0), 0.5), 2 * PAIR, PAIR, grad_fn=grad_fn)
    np.testing.assert_allclose(ours, opaque, rtol=1e-6)
    np.testing.assert_allclose(ours, [-6.6, -8.8], rtol=1e-6)


@row("`contrib.sam` of zero gradients")
def _sam_zero():
    def grad_fn(params, _):
        return jnp.ones_like(params)

    theirs = first(their_sam(opaque_mode=True), ZEROS, PAIR, grad_fn=lambda p, _: p)
    assert jnp.isnan(theirs).all()
    ours = first(optcore.sam(optcore.sgd(1.0)), ZEROS, PAIR, grad_fn=grad_fn)
    assert ours.tolist() == [-1.0, -1.0]


NAN = jnp.array([1.0, jnp.nan])


def last(tx, stream):
    """The update and the state after a stream of gradients."""
    state = tx.init(ZEROS)
    for g in stream:
        updates, state = tx.update(g, state, ZEROS)
    return updates, state


@row("`apply_if_finite` that gives up")
def _apply_if_finite():
    theirs = optax.apply_if_finite(optax.adam(0.1), 1)
    assert not np.isfinite(last(theirs, [NAN, NAN, PAIR])[0]).all()
    updates, state = last(optcore.guard(optcore.adam(0.1)), [NAN, NAN, PAIR])
    np.testing.assert_allclose(updates, [-0.1, -0.1], rtol=1e-6)
    updates, state = last(optcore.guard(optcore.adam(0.1)), [NAN] * 9)
    assert updates.tolist() == [0.0, 0.0]
    with pytest.raises(FloatingPointError):
        optcore.check(state, consecutive=9)


@row("`MultiSteps` and a gradient that is not finite")
def _multi_steps_nan():
    stream = [NAN, PAIR, PAIR, PAIR]
    assert np.isnan(last(optax.MultiSteps(optax.sgd(1.0), 2), stream)[1].acc_grads).any()
    assert np.isnan(last(optax.MultiSteps(optax.sgd(1.0), 2), stream)[0]).any()
    ours = optcore.accumulate(optcore.sgd(1.0), 2)
    assert last(ours, stream[:3])[0].tolist() == [-3.0, -4.0]


@row("`MultiSteps` between two steps")
def _multi_steps_between():
    calls = []

    def run(library):
        def counted(g, p):
            jax.debug.callback(lambda: calls.append(library.__name__))
            return g

        accumulate = optcore.accumulate if library is optcore else library.MultiSteps
        return jax.block_until_ready(last(accumulate(library.stateless(counted), 3), [PAIR] * 3))

    run(optax)
    run(optcore)
    jax.effects_barrier()
    assert collections.Counter(calls) == {"optax": 3, "optcore": 1}


@row("`skip_large_updates` of float16")
def _skip_large_updates():
    g = jnp.full(1, 300, jnp.float16)
    assert optax.skip_large_updates(g, 0, None, 1e6)[0]
    assert optcore.global_norm(g) == 300
    assert first(optcore.skip_on_spike(optcore.scale(-1.0), 4), g).tolist() == [-300.0]


@row("`microbatch`")
def _microbatch():
    def loss(w, x):
        return jnp.mean(w * x)

    x = jnp.arange(4.0)
    assert optax.microbatch(jnp.sum, argnums=0, microbatch_size=2)(x) == 6
    value, grad = optcore.microbatch(jax.value_and_grad(loss), 2)(2.0, x)
    assert (value, grad) == (3.0, 1.5)
