"""Each parameter to the transformation of the first rule that matches it."""

import json
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore import FREEZE, adamw, has_dtype, has_ndim, has_path, route, sgd

PARAMS = {
    "embed": jnp.arange(6.0).reshape(3, 2),
    "layers": [{"w": jnp.ones((2, 2)), "bias": jnp.ones(2)}, {"w": jnp.ones((2, 2))}],
}
GRADS = jax.jit(lambda params: jax.tree.map(lambda p: 0.5 * p + 1, params))(PARAMS)


def bytes_of(state):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))


def steps(tx, params, grads, count=3):
    state = tx.init(params)
    for _ in range(count):
        updates, state = tx.update(grads, state, params)
        params = optcore.apply_updates(params, updates)
    return params, state


def test_each_group_goes_its_own_way():
    """As if every group were trained by itself, bit for bit, global norms included."""
    clipped = optcore.chain(optcore.clip_by_global_norm(0.5), optcore.adam(0.1))
    tx = route(("embed", clipped), ("*/bias", sgd(0.2, 0.9)), ("*", adamw(0.3)))
    got, _ = steps(tx, PARAMS, GRADS)
    alone = [
        (clipped, lambda t: t["embed"]),
        (sgd(0.2, 0.9), lambda t: t["layers"][0]["bias"]),
        (adamw(0.3), lambda t: [layer["w"] for layer in t["layers"]]),
    ]
    for part, pick in alone:
        expected, _ = steps(part, pick(PARAMS), pick(GRADS))
        jax.tree.map(np.testing.assert_array_equal, pick(got), expected)
        assert not np.array_equal(jax.tree.leaves(expected)[0], jax.tree.leaves(pick(PARAMS))[0])


def test_the_first_rule_that_means_a_parameter_wins():
    tx = route(("*/w", optcore.scale(1.0)), ("layers/*", optcore.scale(2.0)), ("*", FREEZE))
    u, _ = tx.update(PARAMS, tx.init(PARAMS))
    assert [float(jax.tree.leaves(x)[0].ravel()[-1]) for x in (u["layers"], u["embed"])] == [2, 0]
    assert float(u["layers"][1]["w"][0, 0]) == 1


class Pair(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"a": {"b": jnp.ones(2)}, "c": jnp.ones(1)}, "a/b"),
        ([jnp.ones(1), (jnp.ones(1), jnp.ones(2))], "1/1"),
        (Pair(jnp.ones(1), jnp.ones(2)), "bias"),
        ({0: {"x": jnp.ones(1)}, 1: Pair(jnp.ones(2), jnp.ones(1))}, "1/kernel"),
    ],
)
def test_containers(params, path):
    tx = route((path, optcore.scale(10.0)), ("*", optcore.scale(1.0)))
    u, _ = tx.update(params, tx.init(params))
    assert [float(x[0]) for x in jax.tree.leaves(u)] == [
        10.0 if len(x) == 2 else 1.0 for x in jax.tree.leaves(params)
    ]
    assert jax.tree.structure(u) == jax.tree.structure(params)


def test_a_single_array_is_a_tree():
    tx = route(("*", sgd(0.5)))
    assert tx.update(jnp.float32(2.0), tx.init(jnp.float32(0.0)))[0].item() == -1


def test_frozen_is_no_state_no_decay_and_exact_zero():
    """Whatever the gradient is: the parameter keeps its bits."""
    tx = route(("embed", FREEZE), ("*", adamw(0.1, weight_decay=0.5)))
    grads = {**GRADS, "embed": jnp.array([[jnp.nan, jnp.inf], [-jnp.inf, 1.0], [0.0, 1e38]])}
    state = tx.init(PARAMS)
    for _ in range(3):
        updates, state = jax.jit(tx.update)(grads, state, PARAMS)
        np.testing.assert_array_equal(updates["embed"], np.zeros((3, 2)))
    moved = optcore.apply_updates(PARAMS, updates)
    np.testing.assert_array_equal(moved["embed"], PARAMS["embed"])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((moved, state)))
    rest = adamw(0.1, weight_decay=0.5).init(PARAMS["layers"])
    assert bytes_of(state) == bytes_of(rest)
    assert bytes_of(route(("*", FREEZE)).init(PARAMS)) == 0
    assert state.inner[0] == optcore.EmptyState()


def test_what_is_frozen_is_not_accumulated_or_guarded_inside_its_rule():
    def in_a_rule(wrap):
        return route(("embed", FREEZE), ("*", wrap(sgd(0.1))))

    def around(wrap):
        return wrap(route(("embed", FREEZE), ("*", sgd(0.1))))

    def window(inner):
        return optcore.accumulate(inner, 2)

    rest = bytes_of(window(sgd(0.1)).init(PARAMS["layers"]))
    assert bytes_of(in_a_rule(window).init(PARAMS)) == rest
    assert bytes_of(around(window).init(PARAMS)) == rest + 6 * 4
    grads = {**GRADS, "embed": GRADS["embed"] * jnp.nan}
    for place, moves in ((in_a_rule, True), (around, False)):
        tx = place(optcore.guard)
        updates, _ = tx.update(grads, tx.init(PARAMS), PARAMS)
        np.testing.assert_array_equal(updates["embed"], 0)
        assert np.any(updates["layers"][0]["w"]) == moves


def test_the_gradient_of_what_is_frozen_is_never_computed():
    """It does not occur in what is left of the compiled step."""
    tx = route(("a", FREEZE), ("*", sgd(0.1)))
    params = {"a": jnp.ones(7), "b": jnp.ones(3)}

    def step(params):
        grads = jax.grad(lambda p: jnp.sum(jnp.sin(p["a"])) * jnp.sum(p["b"]) ** 2)(params)
        return tx.update(grads, tx.init(params), params)[0]

    assert "cosine" not in jax.jit(step).lower(params).compile().as_text()


def test_none_gradients_stay_none():
    tx = route(("embed", FREEZE), ("*/bias", sgd(0.1, 0.9)), ("*", sgd(0.2)))
    state = tx.init(PARAMS)
    _, state = tx.update(GRADS, state, PARAMS)
    absent = {"embed": None, "layers": [{"w": GRADS["layers"][0]["w"], "bias": None}, None]}
    updates, after = tx.update(absent, state, PARAMS)
    assert updates["embed"] is None
    assert updates["layers"][0]["bias"] is None
    assert updates["layers"][1] is None
    assert float(updates["layers"][0]["w"][0, 0]) == pytest.approx(-0.3)
    jax.tree.map(np.testing.assert_array_equal, after.inner[1], state.inner[1])
    np.testing.assert_array_equal(optcore.apply_updates(PARAMS, updates)["embed"], PARAMS["embed"])


def test_a_parameter_without_a_rule_is_named():
    tx = route(("embed", sgd(0.1)), ("*/bias", FREEZE))
    with pytest.raises(
        ValueError, match=r"no rule for the parameter 'layers/0/w' \(float32\[2,2\]"
    ):
        tx.init(PARAMS)
    with pytest.raises(ValueError, match=r"'embed', '\*/bias'.*a last"):
        tx.init(PARAMS)


def test_a_rule_without_a_parameter_is_named():
    tx = route(("*/biass", FREEZE), ("*", sgd(0.1)))
    with pytest.raises(
        ValueError, match=r"rule 0, '\*/biass', matches no parameter; there are 'emb"
    ):
        tx.init(PARAMS)
    tx = route(("*", sgd(0.1)), (has_ndim(1), FREEZE))
    match = r"rule 1, has_ndim\(1\), matches only 'layers/0/bias', which rule 0 takes"
    with pytest.raises(ValueError, match=match):
        tx.init(PARAMS)
    ignored = tx.replace(unused_rules="ignore")
    jax.tree.map(
        np.testing.assert_array_equal, steps(ignored, PARAMS, GRADS), steps(ignored, PARAMS, GRADS)
    )
    assert float(steps(ignored, PARAMS, GRADS, 1)[0]["layers"][0]["bias"][0]) < 1


def test_a_rule_without_a_parameter_at_update():
    """The parameters of another model."""
    tx = route(("a", FREEZE), ("b", sgd(0.1)))
    params = {"a": jnp.ones(1), "b": jnp.ones(1)}
    with pytest.raises(ValueError, match="no rule for the parameter 'c'"):
        tx.update({**params, "c": jnp.ones(1)}, tx.init(params))


def test_integers_need_no_rule():
    params = {"w": jnp.ones(2), "step": jnp.int32(3)}
    tx = route(("w", sgd(0.1)))
    updates, _ = tx.update({"w": jnp.ones(2), "step": None}, tx.init(params), params)
    assert updates["step"] is None
    assert float(updates["w"][0]) == np.float32(-0.1)


def test_groups_do_not_depend_on_the_dtype_of_the_gradients():
    params = {"half": jnp.ones(2, jnp.bfloat16), "full": jnp.ones(2)}
    grads = {"half": jnp.ones(2, jnp.float32), "full": jnp.ones(2, jnp.bfloat16)}
    tx = route((has_dtype("bfloat16"), sgd(0.5, 0.9)), ("*", FREEZE))
    updates, state = jax.jit(tx.update)(grads, tx.init(params), params)
    assert (float(updates["half"][0]), float(updates["full"][0])) == (-0.5, 0.0)
    with pytest.raises(ValueError, match="route needs the parameters"):
        tx.update(grads, state)


@pytest.mark.parametrize("labels", [{"embed": "e", "layers": "l"}, "function"])
def test_labels(labels):
    if labels == "function":

        def labels(params):
            return {"embed": "e", "layers": jax.tree.map(lambda _: "l", params["layers"])}

    tx = route(("l", optcore.scale(2.0)), (has_ndim(2), FREEZE), labels=labels)
    updates, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    assert not np.any(updates["embed"])
    np.testing.assert_array_equal(updates["layers"][0]["w"], 2 * GRADS["layers"][0]["w"])
    with pytest.raises(ValueError, match=r"'embed'.* with the label 'e'"):
        route(("l", sgd(0.1)), labels=labels).init(PARAMS)
    with pytest.raises(ValueError, match="route: the labels must be a tree with the structure"):
        route(("l", sgd(0.1)), labels={"embed": "l"}).init(PARAMS)


def test_regular_expressions_and_functions():
    tx = route(
        (re.compile(r"layers/\d+/w"), optcore.scale(2.0)),
        (lambda path, leaf: path == "embed" and leaf.shape == (3, 2), optcore.scale(3.0)),
        (has_path("*/bias") & has_ndim(1), optcore.scale(4.0)),
    )
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = tx.update(ones, tx.init(PARAMS), PARAMS)
    assert [float(x.ravel()[0]) for x in jax.tree.leaves(updates)] == [3.0, 4.0, 2.0, 2.0]


def test_a_rule_cannot_look_at_values():
    tx = route((lambda path, leaf: jnp.sum(leaf) > 0, sgd(0.1)), ("*", FREEZE))
    with pytest.raises(TypeError, match="must return True or False for the parameter 'embed'"):
        tx.init(PARAMS)


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ((), ValueError, "at least one rule"),
        # Their numbers would have the same paths.
        ((("*", sgd(0.1)), ("*", sgd(0.2))), ValueError, r"rule 1 is for '\*', as an earlier one"),
        ((sgd(0.1),), TypeError, "pairs of a pattern and a transformation, got sgd"),
        ((("a", "b", sgd(0.1)),), TypeError, "pairs of a pattern"),
        (((sgd(0.1), "*"),), TypeError, "must hold gradient transformations.*got '\\*'"),
        ((("*", sgd),), TypeError, "was it meant to be called"),
        ((("*", None),), TypeError, "must hold gradient transformations"),
        (((3, sgd(0.1)),), TypeError, r"pattern of rule 0 must be a glob.*got 3"),
        ((({"a": True}, sgd(0.1)),), TypeError, "a tree of labels is given as labels="),
    ],
)
def test_rules_that_are_none(rules, error, message):
    for unused in ("raise", "ignore"):
        with pytest.raises(error, match=message):
            route(*rules, unused_rules=unused)


def test_it_is_a_value_and_a_pytree_of_its_numbers():
    def made(rate=0.1):
        return route((has_ndim(2), adamw(rate)), (re.compile("x$"), FREEZE), ("*", sgd(0.2)))

    tx = made()
    assert tx == made()
    assert hash(tx) == hash(made())
    assert tx != made(0.3)
    assert tx != route(*reversed(tx.arguments["rules"]))
    assert eval(repr(tx), {**vars(optcore.transforms), **vars(optcore), "re": re}) == tx
    assert optcore.from_config(json.loads(json.dumps(optcore.to_config(tx)))) == tx
    assert len(jax.tree.leaves(tx)) == 7
    assert set(optcore.hyperparameters(tx)) >= {"rules.0.learning_rate", "*.learning_rate"}


def test_rates_are_scheduled_read_and_swept():
    rate = optcore.linear_schedule(1.0, 0.0, 4)
    tx = route(("*/w", sgd(rate)), ("*/bias", sgd(lambda count: 7.0)), ("*", sgd(0.3)))
    _, state = steps(tx, PARAMS, GRADS)
    assert float(optcore.read(tx, state, "*/w.learning_rate")) == 0.5
    assert float(optcore.read(tx, state, "*/bias.learning_rate")) == 7.0
    assert float(optcore.read(tx, state, "*.learning_rate")) == np.float32(0.3)
    sweep = optcore.stack([route(("embed", FREEZE), ("*", sgd(r))) for r in (0.1, 0.2)])
    ends = jax.vmap(lambda tx: steps(tx, PARAMS, GRADS, 1)[0])(sweep)
    bias = GRADS["layers"][0]["bias"]
    for i, r in enumerate((0.1, 0.2)):
        expected = PARAMS["layers"][0]["bias"] - np.float32(r) * bias
        np.testing.assert_allclose(ends["layers"][0]["bias"][i], expected, rtol=1e-6)


def test_one_trace_per_kind_of_leaf():
    traces = []

    def counted(g):
        traces.append(g.shape)
        return 2 * g

    params = {"skip": jnp.ones(3), **{f"w{i}": jnp.ones(3) for i in range(5)}, "b": jnp.ones(2)}
    tx = route(("skip", FREEZE), ("*", optcore.per_leaf(None, counted)))
    jax.jit(tx.update)(params, tx.init(params), params)
    assert sorted(traces) == [(2,), (3,)]


def test_foreign_transformations_take_a_group():
    tx = route(("embed", FREEZE), ("*/bias", optax.sgd(0.5)), ("*", optax.adam(0.1)))
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = jax.jit(tx.update)(GRADS, tx.init(PARAMS), PARAMS)
    assert not np.any(updates["embed"])
    np.testing.assert_array_equal(updates["layers"][0]["bias"], -0.5 * GRADS["layers"][0]["bias"])
    np.testing.assert_allclose(updates["layers"][1]["w"], -0.1, rtol=1e-5)


def test_routes_nest():
    inner = route(("*/bias", optcore.scale(2.0)), ("*", optcore.scale(3.0)))
    tx = route(("layers/*", inner), ("*", FREEZE))
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = tx.update(ones, tx.init(PARAMS), PARAMS)
    assert [float(x.ravel()[0]) for x in jax.tree.leaves(updates)] == [0.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("state", [sgd(0.1, 0.9).init(PARAMS), PARAMS, (), None])
def test_the_state_of_another_is_refused(state):
    tx = route(("embed", FREEZE), ("*", sgd(0.1, 0.9)))
    with pytest.raises(TypeError, match=r"route\.update: the state does not belong.*a RouteState"):
        tx.update(GRADS, state, PARAMS)


def test_layer_wise_rates_are_rules():
    """The transformation behind the optimizer scales its steps, by a different number per layer."""
    layers = route(
        *[(f"layers/{i}/*", optcore.scale(0.5 ** (2 - i))) for i in range(2)], ("*", FREEZE)
    )
    tx = optcore.chain(sgd(1.0), layers)
    ones = jax.tree.map(jnp.ones_like, PARAMS)
    updates, _ = tx.update(ones, tx.init(PARAMS), PARAMS)
    assert [float(x.ravel()[0]) for x in jax.tree.leaves(updates)] == [0, -0.25, -0.25, -0.5]


def test_functions_of_the_parameters_fill_in_the_other_groups():
    """The curvature of `a² b²` in `a` is `2b²`: `b` does not change."""
    params = {"a": jnp.array([1.0, 2.0]), "b": jnp.array([3.0, 4.0])}

    def loss(params):
        return jnp.sum(params["a"] ** 2 * params["b"] ** 2)

    def of_group(part):
        return loss(
            jax.tree.map(
                lambda x, p: p if x is None else x, part, params, is_leaf=lambda x: x is None
            )
        )

    curvature = optcore.optimizers.hutchinson_estimator_diag_hessian()
    tx = route(("a", curvature), ("b", FREEZE))
    extra = {"obj_fn": of_group, "key": jax.random.key(0)}
    updates, _ = tx.update(jax.grad(loss)(params), tx.init(params), params, **extra)
    np.testing.assert_allclose(updates["a"], [18, 32], rtol=1e-6)

    tx = optcore.sam(route(("a", sgd(1.0)), ("b", FREEZE)), rho=0.1)
    grads = jax.grad(loss)(params)
    extra = {"grad_fn": lambda params, _: jax.grad(loss)(params)}
    updates, _ = tx.update(grads, tx.init(params), params, **extra)
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in grads.values()))
    there = {k: params[k] + 0.1 * grads[k] / norm for k in params}
    np.testing.assert_allclose(updates["a"], -jax.grad(loss)(there)["a"], rtol=1e-5)
    assert not np.any(updates["b"])


def test_a_transformation_sees_its_own_parameters_only():
    seen = []

    def update(updates, state, params=None, **extra):
        seen.append((updates, params, extra))
        return updates, state

    noting = optcore.GradientTransformation(lambda params: seen.append(params) or (), update)
    tx = route(("a", noting), ("*", FREEZE))
    params, grads = {"a": jnp.ones(2), "b": jnp.ones(3)}, {"a": jnp.zeros(2), "b": jnp.zeros(3)}
    tx.update(grads, tx.init(params), params, value=1.0)
    own = {"a": params["a"], "b": None}
    assert seen == [own, ({"a": grads["a"], "b": None}, own, {"value": 1.0})]


def test_gradients_do_not_pass_beside_an_optimizer():
    """They would be added: ascent. Beside a direction they may, for the rate comes behind."""
    for optimizer in (sgd(0.1), optcore.chain(optcore.clip(1.0), optcore.adam(0.1))):
        with pytest.raises(ValueError, match=r"\('\*', identity\(\)\) passes .* use FREEZE"):
            route(("embed", optimizer), ("*", optcore.identity()))
    assert route(("embed", optcore.trace(0.9)), ("*", optcore.identity()))
    assert route(("embed", sgd(0.1)), ("*", optcore.scale(-0.1)))
