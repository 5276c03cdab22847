"""Each script ends where it ends with the real optax."""

import jax
import numpy as np
import optax
import pytest

import optcore.optax
from tests import oracles
from tests.optax.applications import APPLICATIONS
from tests.optax.scripts import SCRIPTS


@pytest.mark.filterwarnings('ignore:"seed" is deprecated:DeprecationWarning')
@pytest.mark.parametrize("script", [*SCRIPTS, *APPLICATIONS], ids=lambda script: script.__name__)
def test_a_script_ends_where_it_does_with_optax(script):
    # In float64, in which the digits that optax loses do not hide what else may differ.
    with oracles.double_precision(True):
        start, expected = script(optax)
        _, found = script(optcore.optax)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    moved = [
        np.abs(np.asarray(e, float) - np.asarray(s, float)).max()
        for s, e in zip(jax.tree.leaves(start), jax.tree.leaves(expected), strict=True)
    ]
    assert max(moved) > 1e-3
    for mine, other, size in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), moved, strict=True
    ):
        assert mine.dtype == other.dtype
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-6 * max(size, 1e-3))
