"""Every row of the README's table of differences from optax, one test each, on both libraries."""

import collections
import pathlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import REGISTRY

optax = pytest.importorskip("optax", reason="the table compares with optax")

README = pathlib.Path(__file__).parents[1] / "README.md"
CHECKS = {}

pytestmark = [
    # optax promotes dtypes, warns of its own deprecations, and logs what it replaces.
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("_standard_promotion"),
]


@pytest.fixture
def _standard_promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield


def row(where):
    """The decorated function checks the table's row of this name."""

    def decorate(check):
        assert where not in CHECKS, f"two checks for {where!r}"
        CHECKS[where] = check
        return check

    return decorate


def rows():
    """The first cells of the table in the README."""
    section = README.read_text().partition("## Coming from optax")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.split(" | ")[0].removeprefix("| ") for line in lines[1:]]


def test_every_row_has_a_check():
    assert rows() == list(CHECKS)


@pytest.mark.parametrize("where", rows())
def test_row(where):
    CHECKS[where]()


def first(tx, grads, params=None, **extra):
    """The first update."""
    params = grads if params is None else params
    return tx.update(grads, tx.init(params), params, **extra)[0]


def differs(function, error):
    """optax accepts, optcore refuses."""
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
        getattr(optcore, name)(**arguments)
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
    assert type(optcore.scale_by_rms(bias_correction=True).init(PAIR)) is optcore.ScaleByRmsState
    assert optcore.scale_by_rms().init(PAIR).count is None


@row("`ScaleByStddevState`")
def _stddev_state():
    names = [
        type(optax.scale_by_stddev(bias_correction=corrected).init(PAIR)).__name__
        for corrected in (False, True)
    ]
    assert names == ["ScaleByRStdDevState", "ScaleByRStdDevWithCountState"]
    state = optcore.scale_by_stddev(bias_correction=True).init(PAIR)
    assert type(state) is optcore.ScaleByStddevState
    assert optcore.scale_by_stddev().init(PAIR).count is None


@row("The state of what has a schedule")
def _scheduled_state():
    def rate(library):
        return library.linear_schedule(1.0, 0.0, 4)

    def decay(library):
        return library.add_decayed_weights(rate(library)).init(PAIR)

    assert type(optax.scale_by_schedule(rate(optax)).init(PAIR)).__name__ == "ScaleByScheduleState"
    assert type(decay(optax)).__name__ == "WeightDecaySchedule"
    state = optcore.adam(rate(optcore)).init(PAIR)
    assert type(state) is optcore.ScheduledState
    assert state._fields == ("count", "hyperparams", "inner")
    assert type(state.inner[0]) is optcore.ScaleByAdamState
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
        tx = library.scale_by_stddev()
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
        assert first(getattr(optcore, name)(0.0), ZEROS).tolist() == [0.0, 0.0]


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


@row("Boundaries of schedules")
def _boundaries():
    def join(library, boundaries):
        return library.join_schedules([library.constant_schedule(1.0)] * 3, boundaries)(3)

    for boundaries in ([4, 2], [4], [1, 2, 3]):
        differs(lambda library, boundaries=boundaries: join(library, boundaries), ValueError)
    differs(lambda library: library.piecewise_constant_schedule(1.0, {1e1: 0.1})(3), ValueError)


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


def shared(*kinds):
    """Our factories that optax has too."""
    return [
        pytest.param(factory, id=factory.name)
        for key, factory in REGISTRY.items()
        if key.startswith("optcore:") and factory.kind in kinds and hasattr(optax, factory.name)
    ]


def foreign(value):
    """The same object made by optax."""
    if not isinstance(value, optcore.DeclaredTransformation | optcore.DeclaredSchedule):
        if isinstance(value, tuple):
            return type(value)(foreign(v) for v in value)
        return value
    factory = value.declaration.factory
    arguments = {name: foreign(v) for name, v in value.arguments.items()}
    starred = arguments.pop("transforms", ())
    defaults = {n: p.default for n, p in factory.signature.parameters.items()}
    changed = {n: v for n, v in arguments.items() if v is not defaults[n] and v != defaults[n]}
    return getattr(optax, factory.name)(*starred, **changed)


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
