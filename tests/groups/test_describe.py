"""What happens to each parameter, as a table."""

import jax
import jax.numpy as jnp
import optax
import pytest

import optcore
from optcore import FREEZE, adam, chain, describe, has_ndim, route, sgd
from tests.partial import masked

PARAMS = {"embed": jnp.zeros((4, 2)), "out": {"w": jnp.zeros((2, 3)), "b": jnp.zeros(3)}}


def cells(tx, params=PARAMS):
    """The table's rows without the header, by parameter."""
    header, *lines = describe(tx, params).splitlines()
    names = ("parameter", "shape", "group", "state bytes", "hyper-parameters")
    starts = [header.index(name) for name in names]
    rows = [
        [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        for line in lines
    ]
    return {path: rest for path, *rest in rows}


def total(tx, params=PARAMS):
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tx.init(params)))


def test_route():
    tx = route(("embed", FREEZE), (has_ndim(2), adam(0.1)), ("*", sgd(0.2, 0.9)))
    rows = cells(tx)
    assert list(rows) == ["embed", "out/b", "out/w", "(any)", "(sum)"]
    assert rows["embed"] == ["float32[4,2]", "embed", "0", "set_to_zero"]
    adams = "adam learning_rate=0.1 b1=0.9 b2=0.999 eps=1e-08 eps_root=0"
    assert rows["out/w"] == ["float32[2,3]", "has_ndim(2)", "48", adams]
    assert rows["out/b"] == ["float32[3]", "*", "12", "sgd learning_rate=0.2 momentum=0.9"]
    assert rows["(any)"][2] == "4"
    assert rows["(sum)"][2] == str(total(tx)) == "64"


def test_through_chain_and_labels():
    tx = chain(
        optcore.clip_by_global_norm(1.0),
        masked(optcore.trace(0.5), {"embed": True, "out": False}),
        route(
            ("e", optcore.trace(0.25)),
            ("o", optcore.scale(3.0)),
            labels={"embed": "e", "out": "o"},
        ),
        optcore.scale_by_learning_rate(0.1),
    )
    rows = cells(tx)
    first, last = "clip_by_global_norm max_norm=1", "scale_by_learning_rate learning_rate=0.1"
    assert rows["embed"][1:] == [
        "chosen, e",
        "64",
        f"{first}; trace decay=0.5; trace decay=0.25; {last}",
    ]
    assert rows["out/b"][1:] == ["other, o", "0", f"{first}; identity; scale step_size=3; {last}"]


def test_through_wrappers_and_nested_routes():
    inner = route(("*/b", sgd(0.1)), ("*", sgd(optcore.constant_schedule(0.2))))
    tx = optcore.skip_on_spike(route(("out/*", inner), ("*", optax.sgd(0.3))), 4)
    rows = cells(tx)
    assert rows["out/b"][1] == "out/* > */b"
    assert rows["out/b"][3] == "skip_on_spike sigma_factor=6; sgd learning_rate=0.1"
    assert rows["out/w"][3].endswith("sgd learning_rate=constant_schedule(value=0.2)")
    assert rows["embed"][1:] == ["*", "0", "skip_on_spike sigma_factor=6; optax's"]
    assert rows["(sum)"][2] == str(total(tx))


@pytest.mark.parametrize("name", ["adafactor", "sm3", "adamw", "noisy_sgd", "lars"])
def test_bytes_add_up(name):
    tx = optcore.registry()[name].example()
    params = {"a": jnp.zeros((130, 140)), "b": jnp.zeros(3)}
    rows = cells(tx, params)
    assert int(rows["(sum)"][2]) == sum(int(rows[n][2]) for n in ("a", "b", "(any)"))
    assert int(rows["(sum)"][2]) == sum(x.nbytes for x in jax.tree.leaves(tx.init(params)))


def test_shapes_are_enough_and_numbers_may_be_arrays():
    shapes = jax.eval_shape(lambda: PARAMS)
    tx = route(("embed", FREEZE), ("*", adam(0.1)))
    assert describe(tx, shapes) == describe(tx, PARAMS)
    arrays = jax.tree.map(jnp.asarray, tx)
    assert describe(arrays, PARAMS) == describe(tx, PARAMS)
    traced = jax.eval_shape(lambda tx: len(describe(tx, PARAMS)) and jnp.zeros(2), tx)
    assert traced.shape == (2,)


def test_it_shows_itself_as_it_prints():
    table = describe(sgd(0.1), PARAMS)
    assert repr(table) == str(table)
    assert isinstance(table, str)


def test_what_init_refuses_is_refused():
    with pytest.raises(ValueError, match="no rule for the parameter 'out/b'"):
        describe(route(("embed", sgd(0.1))), PARAMS)
    with pytest.raises(ValueError, match="matches no parameter"):
        describe(route(("x", sgd(0.1)), ("*", FREEZE)), PARAMS)
    with pytest.raises(TypeError, match=r"expected a transformation, .* dict; .*describe\(tx, par"):
        describe(PARAMS, sgd(0.1))
