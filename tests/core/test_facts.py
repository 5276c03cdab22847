"""Refusals and permissions go by what a factory declares, never by its name."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import adapt

PARAMS = jnp.zeros(2)
INFINITE = jnp.array([jnp.inf, 1.0])


def wrapper(name, **facts):
    """A user's wrapper that hands everything on, under any name and with any facts."""

    def function(inner: optcore.GradientTransformation) -> optcore.GradientTransformation:
        return optcore.GradientTransformation(*adapt(inner))

    function.__name__ = function.__qualname__ = name
    example = {"inner": optcore.trace(0.5)}
    return optcore.transformation("wrapper", example=example, **facts)(function)


@pytest.mark.parametrize("name", ["accumulate", "guard"])
def test_a_name_gives_no_permission(name):
    tx = optcore.dynamic_loss_scale(wrapper(name)(optcore.sgd(0.1, momentum=0.9)), 1.0)
    state = tx.init(PARAMS)
    _, after = tx.update(INFINITE, state)
    assert jax.tree.all(jax.tree.map(lambda x: bool(jnp.isfinite(x).all()), after))
    assert int(after.skipped) == 1


@pytest.mark.parametrize("name", ["chain", "named_chain", "route", "dynamic_loss_scale"])
def test_a_name_makes_nothing_special(name):
    """As a part of a chain, of which it would be a link, a group or a scale."""
    odd = wrapper(name)(optcore.scale(0.5))
    tx = optcore.chain(optcore.clip(1.0), odd)
    assert tx.update(jnp.array([3.0, 0.5]), tx.init(PARAMS))[0].tolist() == [0.5, 0.25]
    assert optcore.guard(odd).arguments["inner"] == odd


def test_what_skips_by_itself_is_believed():
    seen = []

    @optcore.transformation("transform", example={}, skips_nonfinite=True)
    def patient() -> optcore.GradientTransformation:
        def update(updates, state, params=None, **extra):
            seen.append(bool(jnp.isfinite(updates).all()))
            return jnp.where(jnp.isfinite(updates), updates, 0), state

        return optcore.GradientTransformation(lambda params: optcore.EmptyState(), update)

    with jax.disable_jit():
        tx = optcore.dynamic_loss_scale(patient(), 1.0)
        updates, state = tx.update(INFINITE, tx.init(PARAMS))
    assert seen == [False]
    np.testing.assert_array_equal(updates, [0.0, 1.0])
    assert int(state.skipped) == 1


def test_a_fact_may_depend_on_the_arguments():
    known = [optcore.guard(optcore.sgd(0.1), on).declaration for on in ("skip", "zero")]
    assert [d.factory.known("skips_nonfinite", d.arguments) for d in known] == [True, False]


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"partial": "steps"}, "one part among others"),
        ({"partial": "parameters"}, "one part among others"),
        ({"skips": True}, "would never reach it"),
        ({"scales_loss": True}, "would never reach it"),
    ],
)
def test_users_wrappers_refuse_a_loss_scale_by_their_facts(facts, cause):
    scaled = optcore.dynamic_loss_scale(optcore.sgd(0.1))
    for inside in (scaled, optcore.chain(scaled), optcore.strict(scaled)):
        with pytest.raises(ValueError, match=rf"mine: dynamic_loss_scale must be .* {cause}"):
            wrapper("mine", **facts)(inside)
    assert wrapper("mine")(scaled).arguments["inner"] == scaled


def test_users_scales_are_refused_like_ours():
    mine = wrapper("mine", scales_loss=True)(optcore.sgd(0.1))
    for make in (optcore.guard, optcore.accumulate, lambda tx: optcore.switch([tx], [])):
        with pytest.raises(ValueError, match="mine must be outside"):
            make(mine, 2) if make is optcore.accumulate else make(mine)
    with pytest.raises(ValueError, match=r"mine is behind clip, .* use mine\(chain"):
        optcore.chain(optcore.clip(1.0), mine)


def test_users_outermost_and_chains():
    outermost = wrapper("mine", outermost=True)(optcore.sgd(0.1))
    with pytest.raises(ValueError, match="transforms holds mine, which must be outermost"):
        optcore.chain(outermost)

    @optcore.transformation("wrapper", example={}, chains=True)
    def both(*transforms: optcore.GradientTransformation) -> optcore.GradientTransformation:
        return optcore.chain(*transforms)

    with pytest.raises(ValueError, match="adam is behind sgd"):
        optcore.chain(both(optcore.sgd(0.1)), optcore.adam(0.1))
    assert "(any)" in str(optcore.describe(both(optcore.trace(0.5)), {"w": PARAMS}))


def test_unknown_facts_and_values():
    with pytest.raises(TypeError, match="unexpected keyword argument 'leafwise'"):
        optcore.transformation("transform", example={}, leafwise=True)
    with pytest.raises(ValueError, match=r"kind must be one of optimizer, .* got 'optimiser'"):
        optcore.transformation("optimiser", example={})
    with pytest.raises(ValueError, match=r"stage must be one of rate, .* got 'rates'"):
        optcore.transformation("transform", example={}, stage="rates")


FALSE_FACTS = {
    "kind": "optimiser",
    "stage": "end",
    "per_example": "all",
    "partial": "some",
    "skips": "yes",
    "strict": 1,
    "chains": None,
    "needs": "params",
    "uses": "value",
}


@pytest.mark.parametrize("name", FALSE_FACTS)
def test_a_fact_that_is_none_is_refused(name):
    facts = {"kind": "transform", "example": {}, name: FALSE_FACTS[name]}
    with pytest.raises((ValueError, TypeError), match=f"transformation: {name} must be"):
        optcore.transformation(facts.pop("kind"), **facts)


@pytest.mark.parametrize("wrap", [lambda tx: tx, lambda tx: [tx], lambda tx: {"a": tx}])
def test_a_transformation_where_none_is_looked_for_is_refused(wrap):
    """It could hide a loss scale, which would then see gradients that were clipped."""

    @optcore.transformation("wrapper", example={"inner": None})
    def loose(inner: Any) -> optcore.GradientTransformation:
        return optcore.identity()

    hidden = wrap(optcore.dynamic_loss_scale(optcore.sgd(0.1)))
    with pytest.raises(TypeError, match=r"loose: inner holds .* annotate the argument"):
        loose(hidden)
