"""Which parameters a rule means."""

import copy
import json
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore

MATRIX, VECTOR, SCALAR = jnp.zeros((2, 3)), jnp.zeros(3, jnp.bfloat16), jnp.zeros(())


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*", "a/b", True),
        ("bias", "bias", True),
        ("bias", "layer/bias", False),
        ("*/bias", "layer/0/bias", True),
        ("*/bias", "bias", True),
        ("*/bias", "layer/bias/x", False),
        ("*/bias", "layer/unbias", False),
        ("*bias", "layer/unbias", True),
        ("layer/?/w", "layer/3/w", True),
        ("layer/?/w", "layer/13/w", False),
        ("layer/[01]/*", "layer/1/w", True),
        ("layer/[01]/*", "layer/2/w", False),
        ("Bias", "bias", False),
        (re.compile(r"(q|k)_proj"), "layer/0/q_proj/w", True),
        (re.compile(r"^(q|k)_proj"), "layer/0/q_proj/w", False),
    ],
)
def test_paths(pattern, path, expected):
    assert optcore.has_path(pattern)(path, MATRIX) is expected


@pytest.mark.parametrize(
    ("predicate", "meant"),
    [
        (optcore.has_ndim(2), [True, False, False]),
        (optcore.has_ndim(0, 1), [False, True, True]),
        (optcore.has_shape(2, 3), [True, False, False]),
        (optcore.has_shape(None, 3), [True, False, False]),
        (optcore.has_shape(None), [False, True, False]),
        (optcore.has_shape(), [False, False, True]),
        (optcore.has_shape(3, 2), [False, False, False]),
        (optcore.has_dtype(jnp.bfloat16), [False, True, False]),
        (optcore.has_dtype("float32", "bfloat16"), [True, True, True]),
        (~optcore.has_ndim(2), [False, True, True]),
        (optcore.has_ndim(2) | optcore.has_ndim(0), [True, False, True]),
        (optcore.has_dtype("float32") & ~optcore.has_ndim(2), [False, False, True]),
        (optcore.has_dtype("float32") & (lambda path, leaf: leaf.size == 1), [False, False, True]),
        ((lambda path, leaf: leaf.size == 1) | optcore.has_ndim(1), [False, True, True]),
    ],
)
def test_leaves(predicate, meant):
    leaves = (MATRIX, VECTOR, SCALAR)
    assert [predicate("x", leaf) for leaf in leaves] == meant
    shapes = jax.eval_shape(lambda: leaves)
    assert [predicate("x", leaf) for leaf in shapes] == meant


def test_they_are_values():
    def made():
        some = optcore.has_path(re.compile("^a")) | optcore.has_shape(None, 3)
        return some & ~(optcore.has_ndim(2) | optcore.has_dtype(jnp.float16))

    predicate = made()
    assert predicate == made()
    assert hash(predicate) == hash(made())
    assert predicate != ~made()
    assert repr(predicate) == (
        "(has_path(re.compile('^a')) | has_shape(None, 3)) & ~(has_ndim(2) | has_dtype('float16'))"
    )
    assert eval(repr(predicate), {**vars(optcore), "re": re}) == predicate
    assert pickle.loads(pickle.dumps(predicate)) == predicate
    assert copy.deepcopy(predicate) == predicate
    tx = optcore.route((predicate, optcore.FREEZE), ("*", optcore.sgd(0.1)))
    assert optcore.from_config(json.loads(json.dumps(optcore.to_config(tx)))) == tx


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optcore.has_path(3), TypeError, "a glob or a compiled regular expression, got 3"),
        (lambda: optcore.has_ndim(), TypeError, "at least one"),
        (lambda: optcore.has_ndim(-1), TypeError, r"ints ≥ 0, at least one, got \(-1,\)"),
        (lambda: optcore.has_ndim(True), TypeError, "ints ≥ 0"),
        (lambda: optcore.has_shape("3"), TypeError, "ints ≥ 0 or None"),
        (lambda: optcore.has_dtype(), TypeError, "at least one dtype"),
        (lambda: optcore.has_dtype("float33"), TypeError, "expected dtypes"),
        (lambda: optcore.has_ndim(2) & "*/bias", TypeError, "for a path use has_path"),
        (lambda: bool(optcore.has_ndim(2) and "x"), TypeError, "combine it with &, | and ~"),
        (
            lambda: optcore.groups.Predicate("has_size", (3,)),
            ValueError,
            "name must be one of has_path",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=re.escape(message) if "(" not in message else message):
        make()


def test_a_predicate_is_a_mask():
    """What decays are matrices outside of the embedding."""
    params = {
        "embed": jnp.ones((2, 2)),
        "out": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)},
        "n": None,
    }
    chosen = optcore.has_ndim(2) & ~optcore.has_path("embed")
    tx = optcore.adamw(0.1, weight_decay=0.5, mask=chosen)
    by_tree = {"embed": False, "out": {"w": True, "b": False}, "n": None}
    same = optcore.adamw(0.1, weight_decay=0.5, mask=by_tree)
    zeros = jax.tree.map(jnp.zeros_like, params)
    got, _ = tx.update(zeros, tx.init(params), params)
    expected, _ = same.update(zeros, same.init(params), params)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, got, expected))
    np.testing.assert_allclose(got["out"]["w"], -0.05, rtol=1e-6)
    assert not jnp.any(got["embed"])
    assert tx == optcore.from_config(optcore.to_config(tx))
