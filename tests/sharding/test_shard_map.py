"""Inside `shard_map`: what concerns the whole is agreed on, and what is not known is refused.

`shard_map_equals_single` asks it of every transformation; here are decisions, noise and refusals.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.sharding import AxisType, PartitionSpec

import optcore
import optcore.optax
from optcore.diagnostics import curvature
from optcore.sharding import agree
from optcore.testing._subject import assert_close

P = PartitionSpec
SPECS = {"w": P("data", "model"), "v": P(None, "data"), "b": P("model"), "s": P()}
"""Parameters that are cut along both axes of the mesh, along one, and not at all."""


def mesh():
    return jax.make_mesh((4, 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)


def params():
    rng = np.random.default_rng(0)
    shapes = {"w": (8, 4), "v": (2, 8), "b": (6,), "s": ()}
    return {name: jnp.asarray(rng.normal(size=s), jnp.float32) for name, s in shapes.items()}


def over_devices(f, in_specs, out_specs, **options):
    return jax.jit(jax.shard_map(f, mesh=mesh(), in_specs=in_specs, out_specs=out_specs, **options))


def run(tx, grads, counters):
    """Updates of each step, and numbers of the last state, after steps in a scan."""

    def steps(grads, params):
        def body(state, g):
            updates, state = tx.update(g, state, params)
            return state, updates

        state, updates = lax.scan(body, tx.init(params), grads)
        return updates, counters(state)

    return steps


def several(count, spoil=()):
    """Gradients of some steps; a NaN in one number of `w`, which one device holds, in some."""
    rng = np.random.default_rng(1)
    grads = jax.tree.map(lambda p: rng.normal(size=(count, *p.shape)).astype(np.float32), params())
    for step in spoil:
        grads["w"][step, 5, 3] = np.nan
    return grads


def clipped_adam():
    return optcore.chain(optcore.clip_by_global_norm(0.5), optcore.adamw(1e-2))


def scaled(inner):
    return optcore.dynamic_loss_scale(inner, initial_scale=4.0, growth_steps=2)


DECISIONS = {
    "guard": (lambda: optcore.guard(clipped_adam()), ("skipped", "total_notfinite")),
    "guard, zero": (lambda: optcore.guard(clipped_adam(), "zero"), ("skipped", "total_notfinite")),
    "accumulate": (
        lambda: optcore.accumulate(clipped_adam(), 2),
        ("count", "mini_step", "total_notfinite"),
    ),
    "loss_scale": (lambda: scaled(clipped_adam()), ("scale", "finite_count", "total_notfinite")),
    "all three": (
        lambda: scaled(optcore.accumulate(optcore.guard(clipped_adam()), 2)),
        ("scale", "finite_count", "total_notfinite"),
    ),
    "spike": (
        lambda: optcore.skip_on_spike(clipped_adam(), 4),
        ("count", "skipped", "window"),
    ),
}


@pytest.mark.parametrize("name", DECISIONS)
@pytest.mark.sample(3)
def test_all_devices_decide_alike(name):
    make, fields = DECISIONS[name]
    tx, grads = make(), several(6, spoil=(2, 3))

    def counters(state):
        return [getattr(state, field) for field in fields]

    alone = jax.jit(run(tx, grads, counters))(grads, params())
    stacked = {name: P(None, *spec) for name, spec in SPECS.items()}
    inside = over_devices(run(tx, grads, counters), (stacked, SPECS), (stacked, P()))
    updates, counted = inside(grads, params())
    assert_close(updates, alone[0], 2e-6)
    jax.tree.map(np.testing.assert_allclose, counted, alone[1])


OF_THE_WHOLE = {
    "clip_by_block_rms": lambda: optcore.clip_by_block_rms(0.3),
    "scale_by_param_block_rms": optcore.transforms.scale_by_param_block_rms,
    "stable_adamw": lambda: optcore.stable_adamw(0.1, b2=0.5),
    "cautious": lambda: optcore.cautious(optcore.sgd(0.1, momentum=0.9)),
    "lamb": lambda: optcore.lamb(0.1),
    "novograd": lambda: optcore.novograd(0.1),
    "keep_params_norm": lambda: optcore.transforms.keep_params_norm(),
    "graft": lambda: optcore.graft(optcore.sgd(0.1), optcore.adam(0.1)),
    "zclip": lambda: optcore.zclip(),
}


@pytest.mark.parametrize("name", OF_THE_WHOLE)
@pytest.mark.sample(4)
def test_norms_and_means_are_those_of_the_whole(name):
    tx, grads = OF_THE_WHOLE[name](), several(3)
    stacked = {name: P(None, *spec) for name, spec in SPECS.items()}
    steps = run(tx, grads, lambda state: ())
    alone, _ = jax.jit(steps)(grads, params())
    updates, _ = over_devices(steps, (stacked, SPECS), (stacked, ()))(grads, params())
    assert_close(updates, alone, 2e-5)


def noise_of(tx):
    """The updates of gradients that are zero, as devices make them."""
    zeros = jax.tree.map(jnp.zeros_like, params())

    def step(params):
        return tx.update(zeros_like(params), tx.init(params), params)[0]

    return over_devices(step, (SPECS,), SPECS)(zeros)


def zeros_like(tree):
    return jax.tree.map(jnp.zeros_like, tree)


def test_noise_is_independent_in_every_part():
    """Of 8 parts of `w` and 4 of `v` no two are alike; whole arrays have equal noise everywhere."""
    noise = noise_of(optcore.add_noise(1.0, 0.0, jax.random.key(0)))
    blocks = noise["w"].reshape(4, 2, 2, 2).swapaxes(1, 2).reshape(8, 4)
    parts = [*blocks, *noise["v"].reshape(2, 4, 2).swapaxes(0, 1).reshape(4, 4)]
    numbers = np.concatenate([np.ravel(p) for p in parts])
    assert len(np.unique(numbers)) == numbers.size
    assert noise["s"] != 0


def private(noise_multiplier):
    return optcore.transforms.differentially_private_aggregate(
        1.0, noise_multiplier, jax.random.key(7)
    )


def private_step(tx, in_params, in_grads):
    def step(params, grads):
        return tx.update(grads, tx.init(params), params)[0]

    return over_devices(step, (in_params, in_grads), in_params)


def per_example(count):
    rng = np.random.default_rng(2)
    return jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=(count, *p.shape)), jnp.float32), params()
    )


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "accumulated"])
def test_privacy_counts_the_examples_of_all_devices(wrapped):
    """The noise is added once, to the sum over all of them: the step of one device."""
    tx, grads = private(2.0), per_example(8)
    if wrapped:
        tx = optcore.accumulate(optcore.chain(tx, optcore.scale(-1.0)), 1)
    whole = jax.tree.map(lambda _: P(), SPECS)
    examples = jax.tree.map(lambda _: P("data"), SPECS)
    got = private_step(tx, whole, examples)(params(), grads)
    expected, _ = tx.update(grads, tx.init(params()), params())
    assert_close(got, expected, 2e-6)


def test_the_norm_of_an_example_is_over_all_parts_of_it():
    """Examples along one axis of the mesh, parts along the other."""
    tx, grads = private(0.0), per_example(8)
    cut = {"w": P(None, "model"), "v": P(), "b": P("model"), "s": P()}
    examples = {name: P("data", *spec) for name, spec in cut.items()}
    got = private_step(tx, cut, examples)(params(), grads)
    expected, _ = tx.update(grads, tx.init(params()), params())
    assert_close(got, expected, 2e-6)


def test_private_noise_is_independent_in_every_part():
    tx = private(1.0)
    cut = {"w": P("data", "model"), "v": P(), "b": P("model"), "s": P()}
    grads = jax.tree.map(lambda p: jnp.zeros((3, *p.shape)), params())
    examples = {name: P(None, *spec) for name, spec in cut.items()}
    noise = private_step(tx, cut, examples)(params(), grads)["w"]
    assert len(np.unique(noise)) == noise.size


def drawn_by_parts(tx, examples=()):
    """The noise of 8 parts of 1024 numbers, whose gradient JAX takes for the same everywhere."""

    def step(p):
        return tx.update(jnp.zeros((*examples, *p.shape)), tx.init(p), p)[0]

    cut = P(("data", "model"))
    return np.asarray(over_devices(step, (cut,), cut)(jnp.zeros(8 * 1024))).reshape(8, 1024)


def assert_independent(parts):
    """Of so many numbers the correlations are within 5 standard deviations of 0."""
    correlations = np.corrcoef(parts) - np.eye(len(parts))
    assert np.max(np.abs(correlations)) < 5 / np.sqrt(parts.shape[1])


def test_parts_know_nothing_of_each_other_s_noise():
    assert_independent(drawn_by_parts(optcore.add_noise(1.0, 0.0, jax.random.key(0))))
    assert_independent(drawn_by_parts(private(1.0), (3,)))
    assert_independent(drawn_by_parts(optcore.dpsgd(1.0, 1.0, 1.0, jax.random.key(0)), (3,)))


def test_estimates_of_a_hessian_draw_signs_for_each_part():
    """`(s · Σs)` of a square of the sum: equal signs on all parts would make it too large."""
    tx = optcore.optimizers.hutchinson_estimator_diag_hessian()

    def estimate(p):
        def loss(p):
            return 0.5 * lax.psum(jnp.sum(p), ("data", "model")) ** 2

        key = jax.random.key(1)
        return tx.update(p, tx.init(p), p, obj_fn=loss, key=key)[0]

    cut = P(("data", "model"))
    found = np.asarray(over_devices(estimate, (cut,), cut)(jnp.zeros(8 * 64)))
    # Of 512 independent signs the sum is within 5 standard deviations of 0.
    assert found.all()
    assert np.max(np.abs(found)) < 5 * np.sqrt(found.size)
    signs = np.sign(found).reshape(8, 64)
    assert len(np.unique(np.abs(signs @ signs[0]))) > 2


def test_rounding_and_quantising_draw_for_each_part():
    half = {"w": jnp.ones((64, 2), jnp.bfloat16)}
    tx = optcore.stochastic_rounding(optcore.sgd(1.0), key=jax.random.key(0))

    def step(params):
        grads = jax.tree.map(lambda p: jnp.full(p.shape, -(2.0**-9)), params)
        return tx.update(grads, tx.init(params), params)[0]

    spec = {"w": P("data")}
    moved = over_devices(step, (spec,), spec)(half)["w"].reshape(4, -1)
    assert all(not np.array_equal(moved[0], other) for other in moved[1:])


def refused(tx, specs=SPECS, params=params, **options):
    def step(params):
        return tx.update(params, tx.init(params), params)[0]

    return over_devices(step, (specs,), specs, **options)(params())


NEED_AXES = {
    "adafactor": lambda: optcore.adafactor(1e-3),
    "came": lambda: optcore.came(1e-3),
    "sm3": lambda: optcore.sm3(1e-3),
    "adam_mini": lambda: optcore.adam_mini(1e-3),
    "centralize": optcore.centralize,
    "adaptive_grad_clip": lambda: optcore.adaptive_grad_clip(0.01),
    "graft": lambda: optcore.graft(optcore.sgd(0.1), optcore.adam(0.1), axis=-1),
    "flatten": lambda: optcore.flatten(optcore.adam(1e-3)),
}


@pytest.mark.parametrize("name", NEED_AXES)
def test_what_needs_the_axes_of_an_array_refuses_a_part(name):
    refusal = r"needs the whole array.* of a shard_map.*outside shard_map"
    with pytest.raises(ValueError, match=refusal):
        refused(NEED_AXES[name]())
    whole = jax.tree.map(lambda _: P(), SPECS)
    got = refused(NEED_AXES[name](), whole)
    tx = NEED_AXES[name]()
    expected = tx.update(params(), tx.init(params()), params())[0]
    assert_close(got, expected, 2e-6)


NEED_THE_WHOLE = {
    "clip_by_global_norm": lambda: optcore.clip_by_global_norm(1.0),
    "guard": lambda: optcore.guard(optcore.adam(1e-3)),
    "lamb": lambda: optcore.lamb(1e-3),
    "add_noise": lambda: optcore.add_noise(1.0, 0.5, jax.random.key(0)),
    "cautious": lambda: optcore.cautious(optcore.adam(1e-3)),
}


@pytest.mark.parametrize("name", NEED_THE_WHOLE)
def test_where_parts_are_not_tracked_the_whole_is_refused(name):
    with pytest.raises(ValueError, match=r"check_vma=True.*sharding.agree.*axis_name=\(\)"):
        refused(NEED_THE_WHOLE[name](), check_vma=False)
    # Elementwise transformations do not need to know.
    refused(optcore.adam(1e-3), check_vma=False)


def test_agree_says_over_which_axes():
    tx = optcore.guard(clipped_adam())
    cut = {"w": P("data"), "v": P(None, "data")}
    own = {name: p for name, p in params().items() if name in cut}

    def step(params):
        told = agree(tx, "data")
        return told.update(params, told.init(params), params)[0]

    expected = tx.update(own, tx.init(own), own)[0]
    for tracked in (False, True):
        got = over_devices(step, (cut,), cut, check_vma=tracked)(own)
        assert_close(got, expected, 2e-6)


@pytest.mark.parametrize("tracked", [False, True])
def test_models_of_their_own_agree_on_nothing(tracked):
    """Eight members, each on its device, as `vmap` trains them."""
    members = jnp.outer(jnp.arange(1.0, 9.0), jnp.ones(3))
    tx = optcore.clip_by_global_norm(1.0)
    cut = P(("data", "model"))

    def step(x):
        told = agree(tx, ())
        return told.update(x, told.init(x))[0]

    got = over_devices(step, (cut,), cut, check_vma=tracked)(members)
    expected = jax.vmap(lambda x: tx.update(x, tx.init(x))[0])(members)
    assert_close(got, expected, 2e-6)


def test_models_of_their_own_have_their_own_examples():
    grads = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 3)), jnp.float32)
    tx, members = private(0.0), jnp.ones((8, 3))
    cut, examples = P(("data", "model")), P(None, ("data", "model"))

    alone = agree(tx, ())

    def step(p, g, tx=alone):
        return tx.update(g[:, 0], tx.init(p[0]), p[0])[0][None]

    expected = jax.vmap(lambda g: tx.update(g, tx.init(g[0]), g[0])[0], 1)(grads)
    for tracked in (True, False):
        got = over_devices(step, (cut, examples), cut, check_vma=tracked)(members, grads)
        assert_close(got, expected, 2e-6)
    with pytest.raises(ValueError, match="not known which devices hold other examples"):
        over_devices(
            lambda p, g: step(p, g, agree(tx, "model")), (cut, examples), cut, check_vma=False
        )(members, grads)


UNTRACKED = {
    "adam_mini": lambda: optcore.adam_mini(0.1),
    "monitor": lambda: optcore.monitor(
        optcore.sgd(0.1), groups=lambda params: {"v": "one", "w": "two"}
    ),
    "spike": lambda: optcore.skip_on_spike(clipped_adam(), 4),
    "lamb": lambda: optcore.lamb(0.1),
}


@pytest.mark.parametrize("name", UNTRACKED)
def test_what_is_agreed_on_is_not_taken_for_parts_again(name):
    tx = UNTRACKED[name]()
    own = {"v": params()["v"][0], "w": params()["w"][:, 0]}
    cut = {"v": P("data"), "w": P("data")}

    told = agree(tx, "data")

    def step(params, tx=told):
        state, found = tx.init(params), ()
        for _ in range(4):
            updates, state = tx.update(params, state, params)
            found = getattr(state, "measurements", ())
        return updates, found

    got = over_devices(step, (cut,), (cut, P()), check_vma=False)(own)
    assert_close(got, step(own, tx), 2e-5)


def test_agree_knows_the_axes_of_the_mesh():
    for tracked in (True, False):
        with pytest.raises(ValueError, match="axis_name has 'dta', but the manual axes"):
            refused(agree(optcore.clip_by_global_norm(1.0), "dta"), check_vma=tracked)


def test_agree_wants_names():
    with pytest.raises(TypeError, match="agree: axis_name must be a mesh axis name"):
        agree(optcore.adam(1e-3), 3)
    assert agree(optcore.adam(1e-3), "data") == agree(optcore.adam(1e-3), "data")


def test_under_pmap_arrays_are_said_to_be_whole():
    tx = agree(optcore.guard(clipped_adam()), ())
    x = jnp.arange(1.0, 4.0)

    def step(x):
        return tx.update(lax.pmean(x, "i"), tx.init(x), x)[0]

    got = jax.pmap(step, axis_name="i")(jnp.stack([x, x]))
    expected = tx.update(x, tx.init(x), x)[0]
    assert_close(got, jnp.stack([expected] * 2), 2e-6)


def test_gradients_of_own_examples_are_refused():
    """They would make the parameters another on each device."""
    x = jnp.arange(8.0)

    def step(w, x, average):
        grads = jax.tree.map(lambda w: x.mean() * w, w)
        if average:
            grads = lax.pmean(grads, "data")
        tx = optcore.adam(1e-3)
        return tx.update(grads, tx.init(w), w)[0]

    def attempt(average):
        inside = over_devices(lambda w, x: step(w, x, average), (P(), P("data")), P())
        return inside({"w": jnp.ones(3)}, x)

    with pytest.raises(ValueError, match=r"'w' varies along the mesh axes \('data',\).*pmean"):
        attempt(average=False)
    assert attempt(average=True)["w"].shape == (3,)


def test_numbers_of_the_step_must_be_the_same_everywhere():
    x = jnp.arange(8.0)
    cases = {
        "value": optcore.reduce_on_plateau(),
        "weight": optcore.accumulate(optcore.sgd(0.1), 2),
    }
    for name, tx in cases.items():

        def attempt(mean, tx=tx, name=name):
            def step(w, x):
                number = lax.pmean(x.mean(), "data") if mean else x.mean()
                return tx.update(w, tx.init(w), w, **{name: number})[0]

            return over_devices(step, (P(), P("data")), P())(jnp.ones(3), x)

        with pytest.raises(ValueError, match=f"{name} differs between the devices"):
            attempt(mean=False)
        attempt(mean=True)


def test_rows_of_all_devices():
    table, indices = jnp.ones((16, 4)), np.int32([3, 7, 3, 1, 0, 0, 9, 3])
    values = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    tx = optcore.lazy_rows(optcore.adam(0.1))

    def step(p, i, v, gathered=True):
        g = optcore.RowSparse(i, v, p.shape)
        g = g.gathered("data") if gathered else g
        return optcore.apply_updates(p, tx.update(g, tx.init(p), p)[0])

    got = over_devices(step, (P(), P("data"), P("data")), P())(table, indices, values)
    assert_close(got, step(table, indices, values, gathered=False), 2e-6)
    with pytest.raises(ValueError, match=r"updates\.gathered\(axis_name\)"):
        over_devices(lambda *args: step(*args, gathered=False), (P(), P("data"), P("data")), P())(
            table, indices, values
        )


def test_what_is_too_small_to_be_quantised_is_so_as_a_whole():
    for least, dtype in ((64, jnp.uint8), (65, jnp.float32)):
        tx = optcore.store(optcore.trace(0.9), "int8", min_size=least, block=8)
        inside = over_devices(lambda x, tx=tx: tx.init(x).inner.trace, (P("data"),), P("data"))
        assert inside(jnp.ones(64)).dtype == tx.init(jnp.ones(64)).inner.trace.dtype == dtype


def test_a_state_whose_blocks_extend_over_devices_is_refused():
    """It was made outside, from whole arrays."""
    tx, p = optcore.store(optcore.trace(0.9), "int8", min_size=1, block=32), jnp.ones((2, 64))
    state = tx.init(p)
    by_columns = P(None, "data")
    places = state._replace(inner=state.inner._replace(trace=by_columns), scales={"trace": P()})

    def step(g, state):
        return tx.update(g, state)[0]

    cause = "'scales/trace': expected .*was it made outside, .*call init inside"
    with pytest.raises(ValueError, match=cause):
        over_devices(step, (by_columns, places), by_columns)(p, state)


def test_privacy_refuses_what_it_cannot_tell():
    tx, grads = private(1.0), per_example(8)
    examples = jax.tree.map(lambda _: P("data"), SPECS)

    def without_params(grads):
        return tx.update(grads, tx.init(grads))[0]

    whole = jax.tree.map(lambda _: P(), SPECS)
    with pytest.raises(ValueError, match="pass params, which tell the two apart"):
        over_devices(without_params, (examples,), whole)(grads)

    def both(params):
        own = lax.axis_index("data").astype(jnp.float32)
        grads = jax.tree.map(lambda p: jnp.stack([p, p]) + own, params)
        return tx.update(grads, tx.init(params), params)[0]

    mixed = {**whole, "w": P("data")}
    with pytest.raises(ValueError, match="hold parts of some parameters and other examples"):
        over_devices(both, (mixed,), mixed)(params())


def test_optax_s_door_computes_with_what_a_device_holds_where_nothing_is_tracked():
    def step(library):
        tx = library.chain(library.clip_by_global_norm(1.0), library.lamb(1e-2))

        def inside(params):
            return tx.update(params, tx.init(params), params)[0]

        return over_devices(inside, (SPECS,), SPECS, check_vma=False)(params())

    with jax.numpy_dtype_promotion("standard"):
        assert_close(step(optcore.optax), step(optax), 2e-6)


def test_optax_s_door_refuses_nothing():
    def step(library):
        tx = library.chain(library.centralize(), library.adafactor(1e-2))

        def inside(params):
            return tx.update(params, tx.init(params), params)[0]

        return over_devices(inside, (SPECS,), SPECS)(params())

    with jax.numpy_dtype_promotion("standard"):
        found = step(optcore.optax)
        assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, step(optax))


def test_parts_of_a_batch_are_averaged_on_each_device():
    """Gradients of a device's own examples, weighted by what it has of them."""
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.normal(size=(32, 3)), jnp.float32)

    def loss(w, x):
        return jnp.mean((x @ w - 1) ** 2)

    def step(w, x):
        own = jax.tree.map(varying, w)
        plain = optcore.microbatch(jax.value_and_grad(loss), 2)(own, x)
        equal = optcore.microbatch(
            jax.value_and_grad(loss), 2, weight=lambda w, x: 1 + 0 * jnp.sum(x)
        )(own, x)
        return lax.pmean((plain, equal), "data")

    w = jnp.ones(3)
    plain, equal = over_devices(step, (P(), P("data")), P())(w, x)
    assert_close(plain, jax.value_and_grad(loss)(w, x), 1e-5)
    assert_close(equal, plain, 1e-6)


def varying(x):
    """An array of which each device may change its own."""
    return lax.pcast(x, "data", to="varying") if hasattr(lax, "pcast") else lax.pvary(x, "data")


def test_the_curvature_of_parts_is_refused():
    def ends(x):
        return curvature(lambda x: jnp.sum(x**4), x, jax.random.key(0))

    with pytest.raises(ValueError, match="curvature needs the whole array"):
        over_devices(ends, (P("data"),), P())(jnp.ones(8))
    assert_close(over_devices(ends, (P(),), P())(jnp.ones(8)), ends(jnp.ones(8)), 1e-4)


def test_monitors_see_the_whole():
    tx = optcore.monitor(optcore.adam(1e-2))

    def step(params):
        _, state = tx.update(params, tx.init(params), params)
        return state.measurements

    got = over_devices(step, (SPECS,), P())(params())
    assert_close(got, step(params()), 2e-6)
