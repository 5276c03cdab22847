"""Schedules of schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from tests import oracles
from tests.schedules.curves import LAST


def identity(count):
    return jnp.asarray(count, jnp.float32)


def test_joined_schedules_count_from_their_own_start():
    schedule = optcore.join_schedules(
        [identity, lambda count: 100 + identity(count), lambda count: 1000 + identity(count)],
        [3, 5],
    )
    expected = [0, 1, 2, 100, 101, 1000, 1001, 1002]
    assert [schedule(t).item() for t in range(8)] == expected
    np.testing.assert_array_equal(schedule(jnp.arange(8)), expected)
    np.testing.assert_array_equal(jax.jit(schedule)(jnp.arange(8)), expected)
    assert schedule(LAST) == pytest.approx(1000 + LAST - 5)
    with jax.numpy_dtype_promotion("standard"):
        theirs = optax.join_schedules(schedule.arguments["schedules"], [3, 5])
        assert [theirs(t) for t in range(8)] == expected


def test_a_joined_schedule_never_sees_a_negative_count():
    def root(count):
        return jnp.sqrt(identity(count))

    schedule = optcore.join_schedules([optcore.constant_schedule(2.0), root], [4])
    assert schedule(0) == 2.0
    assert schedule(13) == 3.0
    np.testing.assert_array_equal(schedule(jnp.array([3, 4, 5])), [2.0, 0.0, 1.0])

    # A negative count would come back through the derivative as 0 · nan.
    def value(power):
        later = optcore.polynomial_schedule(1.0, 0.0, power, 4)
        return optcore.join_schedules([optcore.constant_schedule(2.0), later], [4])(0)

    assert jax.grad(value)(2.0) == 0.0


def test_a_joined_schedule_never_sees_a_later_count():
    def value(power):
        def early(count):
            return jnp.sqrt(power * (4 - identity(count)))

        return optcore.join_schedules([early, optcore.constant_schedule(2.0)], [3])(9)

    assert jax.grad(value)(2.0) == 0.0


def half(count):
    return 0.5


@pytest.mark.parametrize(
    "schedule",
    [
        optcore.schedules.scale_schedule(half, 1.0),
        optcore.schedules.clamp_schedule(half),
        optcore.schedules.shift_schedule(half, 2),
        optcore.schedules.multiply_schedules(half),
        optcore.join_schedules([half], []),
        optcore.prepend_warmup(half, 0),
        optcore.append_cooldown(half, 9, 2),
    ],
    ids=lambda s: s.declaration.name,
)
def test_a_plain_constant_has_the_shape_of_the_counts(schedule):
    np.testing.assert_array_equal(schedule(jnp.arange(6).reshape(2, 3)), np.full((2, 3), 0.5))


def test_one_schedule_alone():
    assert optcore.join_schedules([optcore.constant_schedule(2.0)], [])(7) == 2.0


@pytest.mark.parametrize(
    ("count", "boundaries", "message"),
    [
        (2, [], "expected 1 for 2 schedules, got 0"),
        (2, [1, 2], "expected 1 for 2 schedules, got 2"),
        (0, [], "at least one, got none"),
        (3, [4, 4], "must increase"),
        (3, [4, 2], "must increase"),
        (2, [0], r"boundaries must lie in \[1, 2147483648\), got 0"),
    ],
)
def test_join_schedules_refuses(count, boundaries, message):
    with pytest.raises(ValueError, match=message):
        optcore.join_schedules([identity] * count, boundaries)


def line(count):
    return 3.0 - identity(count)


def test_scale_and_product():
    scaled = optcore.schedules.scale_schedule(line, -0.5)
    np.testing.assert_array_equal(scaled(jnp.arange(5)), [-1.5, -1, -0.5, 0, 0.5])
    product = optcore.schedules.multiply_schedules(line, identity, optcore.constant_schedule(2.0))
    np.testing.assert_array_equal(product(jnp.arange(5)), [0, 4, 4, 0, -8])
    assert jax.grad(lambda s: s(1))(scaled).arguments["factor"] == 2.0
    with pytest.raises(ValueError, match="at least one schedule"):
        optcore.schedules.multiply_schedules()


def test_a_factor_may_be_a_schedule_itself():
    scaled = optcore.schedules.scale_schedule(line, optcore.linear_schedule(0.0, 1.0, 4))
    np.testing.assert_array_equal(scaled(jnp.arange(5)), [0, 0.5, 0.5, 0, -1])


def test_shift():
    np.testing.assert_array_equal(
        optcore.schedules.shift_schedule(line, 2)(jnp.arange(3)), [1, 0, -1]
    )
    np.testing.assert_array_equal(
        optcore.schedules.shift_schedule(line, -2)(jnp.arange(4)), [3, 3, 3, 2]
    )
    np.testing.assert_array_equal(
        optcore.schedules.shift_schedule(line, 0)(jnp.arange(3)), [3, 2, 1]
    )
    for offset in (1, LAST):
        assert optcore.schedules.shift_schedule(identity, offset)(LAST) == np.float32(LAST)
    assert optcore.schedules.shift_schedule(identity, LAST)(0) == np.float32(LAST)
    assert optcore.schedules.shift_schedule(identity, -LAST)(LAST) == 0
    with pytest.raises(ValueError, match="offset"):
        optcore.schedules.shift_schedule(line, 2**31)


def test_a_resumed_run_sees_the_rest_of_the_schedule():
    whole = optcore.warmup_cosine_decay_schedule(0.0, 1.0, 3, 20)
    rest = optcore.schedules.shift_schedule(whole, 7)
    np.testing.assert_array_equal(rest(jnp.arange(20)), whole(jnp.arange(7, 27)))


def test_clamp():
    values = jnp.arange(7)
    both = optcore.schedules.clamp_schedule(line, -1.0, 2.0)
    np.testing.assert_array_equal(both(values), [2, 2, 1, 0, -1, -1, -1])
    low = optcore.schedules.clamp_schedule(line, minimum=-1.0)
    np.testing.assert_array_equal(low(values), [3, 2, 1, 0, -1, -1, -1])
    high = optcore.schedules.clamp_schedule(line, maximum=2.0)
    np.testing.assert_array_equal(high(values), [2, 2, 1, 0, -1, -2, -3])
    optcore.schedules.clamp_schedule(line, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"minimum must not exceed maximum=1\.0, got 2\.0"):
        optcore.schedules.clamp_schedule(line, 2.0, 1.0)


def test_defaults():
    oracles.same_defaults(optcore.join_schedules, optax.join_schedules)
