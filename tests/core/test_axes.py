"""Axes that an argument names: counted from 0, and errors that name the argument."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore._core import own_axes

ARRAY = jax.ShapeDtypeStruct((2, 3, 4), jnp.float32)


@pytest.mark.parametrize(
    ("axes", "found"),
    [(None, (0, 1, 2)), (-1, (2,)), ((0, -2), (0, 1)), ((), ()), (np.int64(1), (1,))],
)
def test_axes_are_counted_from_zero(axes, found):
    assert own_axes("f: axes", axes, ARRAY) == found


@pytest.mark.parametrize("axes", [3, -4, (0, 3)])
def test_an_axis_that_is_not_there(axes):
    with pytest.raises(ValueError, match=r"f: axes must lie in \[-3, 3\) .*float32\[2,3,4\], got"):
        own_axes("f: axes", axes, ARRAY)


def test_an_axis_that_is_named_twice():
    with pytest.raises(ValueError, match=r"f: axes must name each axis .* once, got \(0, -3\)"):
        own_axes("f: axes", (0, -3), ARRAY)


@pytest.mark.parametrize(
    ("tx", "where"),
    [
        (optcore.centralize(output_axis=2), "centralize: output_axis"),
        (optcore.adaptive_grad_clip(0.1, axis=2), "adaptive_grad_clip: axis"),
        (optcore.transforms.keep_params_in_ball(1.0, axes=2), "keep_params_in_ball: axes"),
        (optcore.transforms.keep_params_norm(axes=(-3, -1)), "keep_params_norm: axes"),
        (optcore.transforms.scale_to_param_norm(axes=2), "scale_to_param_norm: axes"),
        (optcore.graft(optcore.sgd(0.1), optcore.sgd(0.1), axis=2), "graft: axis"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_who_takes_axes_says_which_argument_is_wrong(tx, where):
    w = jnp.ones((2, 3))
    with pytest.raises(ValueError, match=rf"{where} must lie in \[-2, 2\)"):
        tx.update(w, tx.init(w), w)
