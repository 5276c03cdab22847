"""Ways to go wrong in silence that were found by trying to."""

import importlib
import pickle
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore._core import Leafwise
from tests.oracles import double_precision

SCALAR = jnp.float32(3.0)


def only_update(tx, g=SCALAR, **kwargs):
    return tx.update(g, tx.init(g), **kwargs)[0]


@optcore.transformation("transform", example={})
def two_stages() -> optcore.GradientTransformation:
    """Two stages of which the second reads a slot and the update of the first."""

    def init(params):
        return optcore.slots(params)

    def update(updates, state, params=None, **extra):
        first, m = optcore.map_leaves(lambda g, m: (2 * g, m + g), updates, (state,))
        second = optcore.map_leaves(lambda g, m, f: g + 10 * m + 100 * f, first, reads=(m, first))
        return second, m

    return Leafwise(init, update)


def test_stages_that_read_each_other_are_the_same_in_a_chain():
    expected = 2 * 3 + 10 * 3 + 100 * 6
    for tx in (two_stages(), optcore.chain(two_stages(), optcore.scale(1.0))):
        assert float(only_update(tx)) == expected
        assert float(jax.jit(lambda tx=tx: only_update(tx))()) == expected
        with jax.disable_jit():
            assert float(only_update(tx)) == expected


def test_read_is_not_confused_by_sorted_names():
    tx = optcore.named_chain(
        ("z", optcore.scale(optcore.constant_schedule(1.0))),
        ("a", optcore.scale(optcore.constant_schedule(2.0))),
    )
    for state in (tx.init(SCALAR), jax.jit(tx.init)(SCALAR), tx.update(SCALAR, tx.init(SCALAR))[1]):
        assert float(optcore.read(tx, state, "z.step_size")) == 1.0
        assert float(optcore.read(tx, state, "a.step_size")) == 2.0


def test_foreign_states_may_depend_on_the_parameters():
    params = {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}

    def matrices(tree):
        return jax.tree.map(lambda x: x.ndim > 1, tree)

    tx = optcore.chain(optax.masked(optax.scale(0.5), matrices), optcore.scale(-1.0))
    updates, _ = tx.update(params, tx.init(params), params)
    assert float(updates["w"][0, 0]) == -0.5
    assert float(updates["b"][0]) == -1.0
    labels = optax.multi_transform({True: optax.trace(0.9), False: optax.identity()}, matrices)
    tx = optcore.chain(labels, optcore.scale(-1.0))
    updates, state = tx.update(params, tx.init(params), params)
    updates, state = tx.update(params, state, params)
    np.testing.assert_allclose(updates["w"], -1.9, rtol=1e-6)
    np.testing.assert_allclose(updates["b"], -1.0)


@optcore.transformation("transform", example={"rate": 0.5})
def with_a_constant(rate: optcore.Rate) -> optcore.GradientTransformation:
    """A body that makes an array."""
    constant = jnp.exp(jnp.float32(0.0)) * rate
    return optcore.stateless(lambda updates, params: jax.tree.map(lambda g: constant * g, updates))


def test_arrays_made_in_a_body_do_not_leak():
    fresh = jax.tree.map(lambda x: 2 * x, with_a_constant(0.5))
    for _ in range(2):
        assert float(jax.jit(lambda: only_update(fresh))()) == 3.0
    assert float(only_update(fresh)) == 3.0
    assert float(jax.jit(lambda rate: only_update(with_a_constant(rate)))(0.5)) == 1.5


def test_float64_parameters_are_computed_in_float64():
    with double_precision():
        g = jnp.array(0.7, jnp.float64)
        for tx in (optcore.ema(0.9), optcore.scale_by_rms(0.9, eps=0.0, bias_correction=True)):
            expected = 0.7 if "ema" in repr(tx) else 1.0
            assert abs(float(only_update(tx, g)) - expected) < 1e-15
        tx, state, m, v = optcore.scale_by_adam(0.8, 0.95, eps=1e-3), None, 0.0, 0.0
        state = tx.init(g)
        for t, value in enumerate([0.7, -0.2, 0.31], start=1):
            update, state = tx.update(jnp.array(value, jnp.float64), state)
            m, v = 0.8 * m + (1 - 0.8) * value, 0.95 * v + (1 - 0.95) * value**2
            expected = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
            assert float(update) == pytest.approx(expected, rel=1e-14)
        assert float(optcore.global_norm(jnp.array([3e200, 4e200]))) == pytest.approx(5e200)
        assert float(optcore.global_norm(jnp.array([3e-200, 4e-200])) * 1e200) == pytest.approx(5)


def test_numpy_float64_parameters_are_float32_without_a_warning():
    params = {"w": np.ones(3)}
    updates = only_update(optcore.adam(0.1), params)
    assert updates["w"].dtype == jnp.float32
    assert optcore.apply_updates(params, updates)["w"].dtype == jnp.float32


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e20, 8e37, 2e38])
@pytest.mark.parametrize(
    "tx",
    [optcore.clip_by_global_norm(1.0), optcore.clip_by_norm(1.0), optcore.adaptive_grad_clip(1.0)],
    ids=repr,
)
def test_clipping_is_right_up_to_the_largest_numbers(tx, size):
    g = jnp.array([0.6 * size, 0.8 * size], jnp.float32)
    clipped = only_update(tx, g, params=jnp.array([0.6, 0.8]))
    np.testing.assert_allclose(clipped, np.float64(g) / max(size, 1.0), rtol=2e-6)


def test_what_is_huge_but_within_the_bound_is_not_clipped():
    g = jnp.array([6e24, 8e24], jnp.float32)
    assert only_update(optcore.clip_by_global_norm(1e30), g).tolist() == g.tolist()


def test_a_nan_is_not_small():
    clipped = only_update(optcore.clip_by_global_norm(1.0), jnp.array([jnp.nan, 30.0]))
    assert bool(jnp.isnan(clipped).all())


class Callable(dict):
    """A tree that can be called, as an Equinox model can."""

    def __call__(self, x):
        raise AssertionError("a mask that is a tree was called")


jax.tree_util.register_pytree_node(
    Callable,
    lambda tree: (tuple(tree.values()), tuple(tree)),
    lambda keys, values: Callable(zip(keys, values, strict=True)),
)


@pytest.mark.parametrize(
    ("mask", "decayed"),
    [
        ({"a": False, "c": True}, [0, 0, 1]),
        ({"a": True, "c": False}, [1, 1, 0]),
        (False, [0, 0, 0]),
        (lambda params: {"a": {"b": True, "w": False}, "c": False}, [1, 0, 0]),
    ],
)
def test_a_mask_may_stop_at_a_subtree(mask, decayed):
    params = {"a": {"w": jnp.ones(1), "b": jnp.ones(1)}, "c": jnp.ones(1)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates = only_update(optcore.add_decayed_weights(1.0, mask=mask), zeros, params=params)
    assert [float(u[0]) for u in jax.tree.leaves(updates)] == decayed


def test_a_mask_that_is_a_callable_tree_is_not_called():
    params = Callable(w=jnp.ones(1), b=jnp.ones(1))
    tx = optcore.add_decayed_weights(1.0, mask=Callable(w=True, b=False))
    updates = only_update(tx, jax.tree.map(jnp.zeros_like, params), params=params)
    assert [float(u[0]) for u in jax.tree.leaves(updates)] == [1.0, 0.0]


def test_a_mask_of_something_else_is_refused():
    params = {"a": jnp.ones(2)}
    for mask in ({"a": "no"}, {"a": jnp.array([True, False])}):
        tx = optcore.add_decayed_weights(1.0, mask=mask)
        with pytest.raises(TypeError, match=r"True or False for each parameter, got .* at 'a'"):
            only_update(tx, params, params=params)


def test_a_mask_is_copied():
    mask = {"a": True}
    tx = optcore.add_decayed_weights(1.0, mask=mask)
    mask["a"] = False
    zero = {"a": jnp.zeros(1)}
    assert float(only_update(tx, zero, params={"a": jnp.ones(1)})["a"][0]) == 1.0


class Settings:
    """Something that can change."""

    factor = 1.0


@optcore.transformation("transform", example=lambda: by_settings(Settings()))
def by_settings(settings: Settings) -> optcore.GradientTransformation:
    """A factory whose argument can change."""
    return optcore.stateless(
        lambda updates, params: jax.tree.map(lambda g: settings.factor * g, updates)
    )


def test_eager_calls_see_what_an_object_says_now():
    settings = Settings()
    tx = by_settings(settings)
    assert float(only_update(tx)) == 3.0
    settings.factor = 2.0
    assert float(only_update(tx)) == 6.0


def test_a_pickle_finds_its_factory_in_another_process(tmp_path):
    module = tmp_path / "shrinking.py"
    module.write_text(
        textwrap.dedent(
            '''
            import jax, optcore


            @optcore.transformation("transform", example={"rate": 0.5})
            def shrink(rate: optcore.Rate) -> optcore.GradientTransformation:
                """Scale."""
                return optcore.stateless(lambda u, p: jax.tree.map(lambda g: rate * g, u))
            '''
        )
    )
    sys.path.insert(0, str(tmp_path))
    try:
        data = pickle.dumps(importlib.import_module("shrinking").shrink(0.25))
    finally:
        sys.path.remove(str(tmp_path))
    script = f"import pickle; print(pickle.loads({data!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )
    assert done.stdout.strip() == "shrink(rate=0.25)"


def test_a_factory_that_was_defined_again_is_not_confused_with_the_first():
    def define(factor):
        @optcore.transformation("transform", example={})
        def local() -> optcore.GradientTransformation:
            return optcore.scale(factor)

        return local

    first, second = define(1.0)(), define(7.0)()
    assert first != second
    assert float(only_update(first)) == 3.0
    assert float(only_update(second)) == 21.0
    with pytest.raises(TypeError, match="was defined again"):
        pickle.dumps(first)
    with pytest.raises(TypeError, match="was defined again"):
        optcore.to_config(first)


def test_an_extra_that_is_a_bool_can_be_branched_on():
    @optcore.transformation("transform", example={})
    def gated() -> optcore.GradientTransformation:
        def update(updates, state, params=None, *, open=True, **extra):
            return (updates if open else optcore.map_leaves(jnp.zeros_like, updates)), state

        return optcore.GradientTransformation(lambda params: optcore.EmptyState(), update)

    assert float(only_update(gated(), open=False)) == 0.0
    assert float(only_update(gated(), open=True)) == 3.0


def test_a_declared_object_cannot_be_changed():
    tx = optcore.sgd(0.1)
    with pytest.raises(AttributeError, match=r"\.replace\(learning_rate=0.5\)"):
        tx.learning_rate = 0.5
    assert tx.replace(learning_rate=0.5) == optcore.sgd(0.5)
    with pytest.raises(ValueError, match="learning_rate must lie in"):
        tx.replace(learning_rate=-1)


def test_signatures_of_factories():
    @optcore.transformation("wrapper", example=lambda: mixed(0.5, optcore.scale(1.0)))
    def mixed(
        rate: optcore.Rate, *inner: optcore.GradientTransformation, tail: optcore.Rate = 1.0
    ) -> optcore.GradientTransformation:
        return optcore.chain(*inner, optcore.scale(rate * tail))

    tx = mixed(0.5, optcore.scale(4.0), optcore.scale(1.0), tail=2.0)
    assert float(only_update(tx)) == 12.0
    assert float(only_update(tx.replace(rate=1.0))) == 24.0

    @optcore.transformation("transform", example={"a": 1})
    def unannotated(a, /, b=2) -> optcore.GradientTransformation:
        return optcore.scale(float(a * b))

    assert float(only_update(unannotated(3))) == 18.0
    with pytest.raises(TypeError, match=r"must name its arguments, got \*\*options"):

        @optcore.transformation("transform", example={})
        def starred(**options: int) -> optcore.GradientTransformation:
            return optcore.identity()

    with pytest.raises(TypeError, match="annotated float, which would be static"):

        @optcore.transformation("transform", example={})
        def bare(rate: float) -> optcore.GradientTransformation:
            return optcore.scale(rate)

    with pytest.raises(ValueError, match="kind must be one of"):
        optcore.transformation("optimiser", example={})
    with pytest.raises(ValueError, match="kind must be one of"):
        optcore.registry("optimiser")

    @optcore.transformation("transform", example={})
    def nothing() -> optcore.GradientTransformation:
        return None

    with pytest.raises(TypeError, match="must return a gradient transformation, returned None"):
        nothing()


def test_a_range_alone_is_not_an_annotation():
    """It would be static, and never checked."""
    with pytest.raises(TypeError, match=r"write Annotated\[Hyperparameter, Range\(low=0, high=1"):

        @optcore.transformation("transform", example={"p": 0.5})
        def kept(p: optcore.Range(0, 1) = 0.5) -> optcore.GradientTransformation:
            return optcore.scale(p)


@pytest.mark.parametrize(
    ("make", "error", "pattern"),
    [
        (lambda: optcore.sgd(np.array(1 + 2j)), TypeError, "must be a real number"),
        (lambda: optcore.sgd(10**400), ValueError, "must fit in a float"),
        (lambda: optcore.adam(learning_rte=0.1), TypeError, "'learning_rte'; did you mean 'learn"),
        (lambda: optcore.adam(optcore.linear_schedule), TypeError, "was it meant to be called"),
        (lambda: optcore.adam(float), TypeError, "got the factory float"),
        (lambda: optcore.adam(0.1, mu_dtype="int32"), TypeError, "real floating-point dtype"),
        (lambda: optcore.adam(0.1, mu_dtype="complex64"), TypeError, "real floating-point dtype"),
        (lambda: optcore.hyperparameters(optax.sgd(0.1)), TypeError, "needs a declared"),
        (lambda: optcore.join_schedules([], []), ValueError, "at least one, got none"),
        (lambda: optcore.piecewise_constant_schedule(1.0, [(3, 0.5)]), TypeError, "a mapping"),
        (
            lambda: optcore.piecewise_constant_schedule(1.0, {3: lambda count: 0.5}),
            TypeError,
            "but not one number among several",
        ),
        (lambda: optcore.cosine_decay_schedule(1.0, 2**33), ValueError, r"\[1, 2147483648\)"),
        (lambda: optcore.linear_schedule(0, 1, 5, 2**31), ValueError, "transition_begin"),
        (lambda: optcore.sgd(lambda count: 1j).init(SCALAR), TypeError, "expected a real number"),
        (
            lambda: optcore.sgd(lambda count: float("nan")).init(SCALAR),
            ValueError,
            "sgd: learning_rate must lie in .* got nan",
        ),
    ],
)
def test_more_that_is_refused(make, error, pattern):
    with pytest.raises(error, match=pattern):
        make()


def test_numpy_integers_are_boundaries():
    schedule = optcore.piecewise_constant_schedule(1.0, {np.int64(10): 0.5})
    assert [float(schedule(t)) for t in (9, 10)] == [1.0, 0.5]


def test_negative_counts_are_zero():
    restarts = optcore.cosine_restarts_schedule(1.0, 10, 2.0, decay=0.5)
    for count in (-1, -(2**31), jnp.int32(-5), np.array([-(2**32) + 5, -1])):
        np.testing.assert_array_equal(restarts(count), np.ones(np.shape(count)))


def test_infinite_numbers_are_refused():
    with pytest.raises(ValueError, match="linear_schedule: init_value must be finite, got inf"):
        optcore.linear_schedule(float("inf"), 1.0, 10)
    optcore.clip(float("inf"))


def test_counts_beyond_int32_stay_at_the_last():
    schedule = optcore.linear_schedule(1.0, 0.0, 10)
    assert float(schedule(jnp.uint32(2**32 - 1))) == 0.0
    assert schedule(np.array([2**40, 0])).tolist() == [0.0, 1.0]
    long = optcore.linear_schedule(1.0, 0.0, 2**31 - 1, 2**31 - 1)
    assert float(long(2**31 - 1)) == 1.0


@pytest.mark.parametrize("params", [None, {"w": jnp.ones(3)}])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (3, 1)])
def test_the_state_of_another_model_is_named(shape, params):
    tx = optcore.adam(0.1)
    state = tx.init({"w": jnp.ones(shape)})
    with pytest.raises(ValueError, match=r"adam\.update: .*state .*other parameters"):
        tx.update({"w": jnp.ones(3)}, state, params)
    with pytest.raises(ValueError, match="state was made for other parameters"):
        tx.update({"w": jnp.ones(shape), "v": jnp.ones(1)}, state)


def test_a_gradient_for_an_integer_parameter_shows_in_the_state():
    tx = optcore.adam(0.1)
    state = tx.init({"n": jnp.int32(3)})
    with pytest.raises(
        (TypeError, ValueError), match=r"adam\.update: the state .*expected float32"
    ):
        tx.update({"n": jnp.float32(1.0)}, state)
