"""Checks of behaviour: finite, pure, deterministic, descending, and strict about its arguments."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from .._core import EmptyState, apply_updates, does_to_examples, is_key, within
from ._subject import Subject, assert_close, assert_finite, gradients, sample


def check_zero_gradients_are_harmless(subject: Subject) -> None:
    """Gradients that are all zero, in every precision, leave everything finite."""
    params = {
        "f32": sample((3,), 1),
        "bf16": sample((2, 2), 2, jnp.bfloat16),
        "f16": sample((2,), 3, jnp.float16),
    }
    zeros = jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def steps(params: Any) -> Any:
        state = subject.tx.init(params)
        for _ in range(2):
            updates, state = subject.update(zeros, state, params)
            params = apply_updates(params, updates)
        return updates, state, params

    assert_finite(steps(params), f"{subject.name}: with zero gradients")


def check_tiny_gradients_are_harmless(subject: Subject) -> None:
    """float16 gradients near the smallest positive number leave everything finite."""
    params = {"f16": sample((2,), 3, jnp.float16)}
    tiny = jax.tree.map(lambda p: jnp.full_like(p, 6e-8), params)
    assert_finite(subject.run(params=params, grads=tiny), f"{subject.name}: with tiny gradients")


def check_gradients_are_finite(subject: Subject) -> None:
    """Derivatives through two steps are finite, also where gradients are zero."""
    grads = jax.tree.map(
        lambda g: g.at[..., :1].set(0) if g.ndim else g, gradients(subject.params, 0)
    )

    def loss(params: Any, grads: Any, tx: Any) -> Any:
        state = tx.init(params)
        for _ in range(2):
            updates, state = subject.update(grads, state, params, tx)
            params = apply_updates(params, updates)
        return sum(jnp.sum(jnp.square(p)) for p in jax.tree.leaves(params))

    arguments = (subject.params, grads)
    if subject.declared:
        by_all = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*arguments, subject.tx)
    else:
        by_all = jax.jit(jax.grad(lambda p, g: loss(p, g, subject.tx), argnums=(0, 1)))(*arguments)
    assert_finite(by_all, f"{subject.name}: derivative")


def check_second_derivatives_are_finite(subject: Subject) -> None:
    """Hessian-vector products through two steps are finite, also where gradients are zero."""
    params = {"w": sample((3, 2), 1), "scale": sample((), 2)}

    def loss(params: Any, grads: Any) -> Any:
        state = subject.tx.init(params)
        for _ in range(2):
            updates, state = subject.update(grads, state, params)
            params = apply_updates(params, updates)
        return sum(jnp.sum(jnp.square(p)) for p in jax.tree.leaves(params))

    @jax.jit
    def product(grads: Any) -> Any:
        slope = jax.grad(loss, argnums=(0, 1))
        along = gradients(params, 1), gradients(params, 2)
        return jax.jvp(slope, (params, grads), along)[1]

    ordinary = gradients(params, 0)
    some_zero = jax.tree.map(lambda g: g.at[..., :1].set(0) if g.ndim else g, ordinary)
    for at, grads in {
        "ordinary gradients": ordinary,
        "some zero gradients": some_zero,
        "zero gradients": jax.tree.map(jnp.zeros_like, ordinary),
    }.items():
        what = f"{subject.name}: Hessian-vector product at {at}"
        assert_finite(product(grads), what)


def check_a_huge_gradient_passes(subject: Subject) -> None:
    """One gradient of 1e30 among ordinary ones leaves updates and state finite, then and later."""
    params: dict[str, Any] = {
        "w": sample((3, 2), 1),
        "scale": sample((), 2),
        "bf16": sample((2,), 3, jnp.bfloat16),
        "f16": sample((2,), 4, jnp.float16),
    }
    if subject.complex:
        params["z"] = sample((2,), 5, jnp.complex64)
    update = jax.jit(subject.update)
    state = subject.tx.init(params)
    for step in range(4):
        grads = gradients(params, step)
        if step == 1:
            grads = jax.tree.map(_huge, grads)
        updates, state = update(grads, state, params)
        what = f"{subject.name}: in step {step}, with a gradient of 1e30 in step 1,"
        assert_finite((updates, state), what)


def _huge(g: Any) -> Any:
    """A gradient whose first element is huge; in float16 the largest number."""
    largest = min(1e30, 0.5 * float(jnp.finfo(g.dtype).max))
    first = (0,) * g.ndim
    return g.at[first].set(jnp.asarray(largest, g.dtype))


def check_unknown_extras_are_ignored(subject: Subject) -> None:
    """Unknown extra arguments change nothing; a strict transformation refuses them."""
    state = subject.tx.init(subject.params)
    grads = gradients(subject.params, 0)
    expected = subject.update(grads, state, subject.params)
    extra = {**subject.extra, "meant_for_another": jnp.float32(1.0)}
    given = dataclasses.replace(subject, extra=extra)
    if subject.strict:
        message = _refusal(given, grads, state, subject.params)
        assert "'meant_for_another'" in message, (
            f"{subject.name}: a stray argument gave {message!r}"
        )
        return
    got = given.update(grads, state, subject.params)
    assert_close(got, expected, 0.0, f"{subject.name}: with an unknown extra argument")


def check_inputs_are_untouched(subject: Subject) -> None:
    """`init` and `update` change none of their arguments."""
    params, grads = subject.params, gradients(subject.params, 0)
    state = subject.tx.init(params)
    before = jax.tree.map(np.array, (params, grads, state))
    subject.update(grads, state, params)
    chex.assert_trees_all_equal(jax.tree.map(np.array, (params, grads, state)), before)


def check_is_deterministic(subject: Subject) -> None:
    """The same arguments give the same bits."""
    assert_close(subject.run(), subject.run(), 0.0, f"{subject.name}: the second time")


def check_descends(subject: Subject) -> None:
    """An optimizer lowers a quadratic loss to less than half in 200 steps."""
    if not subject.descends:
        return
    target = jax.tree.map(lambda p: jnp.full_like(p, 0.5), subject.params)

    def loss(params: Any) -> Any:
        squares = jax.tree.map(lambda p, t: jnp.sum((p - t) ** 2), params, target)
        return sum(jax.tree.leaves(squares))

    def body(carry: Any, _: Any) -> Any:
        params, state = carry
        updates, state = subject.update(jax.grad(loss)(params), state, params)
        return (apply_updates(params, updates), state), None

    start = (subject.params, subject.tx.init(subject.params))
    (params, _), _ = jax.jit(lambda carry: jax.lax.scan(body, carry, length=200))(start)
    before, after = float(loss(subject.params)), float(loss(params))
    assert after < 0.5 * before, f"{subject.name}: the loss went from {before:.4g} to {after:.4g}"


class _Stranger(EmptyState):
    """A state that belongs to no transformation."""


def check_refuses_wrong_arguments(subject: Subject) -> None:
    """An extra axis, a wrong tree and a foreign state are errors that name `update`."""
    if not subject.declared:
        return
    params, grads = subject.params, gradients(subject.params, 0)
    state = subject.tx.init(params)
    batched = jax.tree.map(lambda g: jnp.stack([g, g]), grads)
    integers = jax.tree.map(lambda g: g.astype(jnp.int32), grads)
    for wrong in (
        (batched, state, params),
        ({**grads, "surplus": jnp.zeros(2)}, state, params),
        (integers, state, params),
        (grads, _Stranger(), params),
        (grads, (state, state, state, state), params),
    ):
        message = _refusal(subject, *wrong)
        assert "update" in message, f"{subject.name}: a wrong argument gave {message!r}"


def _refusal(subject: Subject, grads: Any, state: Any, params: Any) -> str:
    try:
        subject.update(grads, state, params)
    except (TypeError, ValueError) as error:
        return str(error)
    return "no error"


def check_leaves_nothing_but_arrays(subject: Subject) -> None:
    """Every leaf of a state is a numeric array, and integer parameters have no moments."""
    state = subject.tx.init({"w": sample((2,), 1), "step": jnp.int32(3)})
    for leaf in jax.tree.leaves(state):
        assert isinstance(leaf, jax.Array), f"{subject.name}: the state holds {leaf!r}"
        assert not is_key(leaf), (
            f"{subject.name}: the state holds a typed key, which NumPy and most serialisers do not "
            "know; keep jax.random.key_data(key)"
        )
    if subject.declared:
        alone = jax.tree.leaves(subject.tx.init({"w": sample((2,), 1)}))
        assert len(jax.tree.leaves(state)) == len(alone), (
            f"{subject.name}: the state has an array for an integer parameter"
        )


def check_examples_stay_apart(subject: Subject) -> None:
    """Declarations about single examples hold, and sums over examples ignore their order.

    Neither other examples nor gradients of earlier steps change the result for one example.
    """
    known = does_to_examples(subject.tx)
    params, what = subject.params, f"{subject.name}: examples"
    first, second = (gradients(params, step) for step in range(2))

    def update(grads: Any, state: Any) -> tuple[Any, Any]:
        # As in a chain, where a per-element transformation precedes one that takes examples.
        with within("traced"):
            found: tuple[Any, Any] = subject.tx.update(grads, state, params, **subject.extra)
        return found

    def stacked(*grads: Any) -> Any:
        return jax.tree.map(lambda *g: jnp.stack(g), *grads)

    state = subject.tx.init(params)
    if known == "aggregates":
        forth, back = update(stacked(first, second), state), update(stacked(second, first), state)
        assert_close(forth, back, what=what)
    elif known == "single":
        _, after_others = update(stacked(second, first), state)
        _, after_zeros = update(jax.tree.map(jnp.zeros_like, first), state)
        together, _ = update(stacked(first, second), after_others)
        alone = [update(g, after_zeros)[0] for g in (first, second)]
        assert_close(together, stacked(*alone), what=what)


CHECKS = [
    check_zero_gradients_are_harmless,
    check_tiny_gradients_are_harmless,
    check_gradients_are_finite,
    check_second_derivatives_are_finite,
    check_a_huge_gradient_passes,
    check_unknown_extras_are_ignored,
    check_inputs_are_untouched,
    check_is_deterministic,
    check_descends,
    check_refuses_wrong_arguments,
    check_leaves_nothing_but_arrays,
    check_examples_stay_apart,
]
