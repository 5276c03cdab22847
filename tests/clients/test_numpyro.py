"""numpyro's SVI asks whether an optimizer is optax's."""

import jax
import numpy as np
import optax
import pytest

import optcore
import optcore.optax

numpyro = pytest.importorskip("numpyro")


def model(y):
    mean = numpyro.sample("mean", numpyro.distributions.Normal(0.0, 10.0))
    numpyro.sample("y", numpyro.distributions.Normal(mean, 1.0), obs=y)


def test_svi_finds_what_it_finds_with_optax():
    y = 3.0 + jax.random.normal(jax.random.key(0), (50,))

    def found(tx):
        guide = numpyro.infer.autoguide.AutoNormal(model)
        svi = numpyro.infer.SVI(model, guide, tx, numpyro.infer.Trace_ELBO())
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            result = svi.run(jax.random.key(1), 100, y, progress_bar=False)
        return result.params["mean_auto_loc"]

    expected = found(optax.adam(0.1))
    assert abs(expected - y.mean()) < 0.3
    for tx in (optcore.optax.adam(0.1), optcore.optax.as_optax(optcore.adam(0.1))):
        np.testing.assert_allclose(found(tx), expected, atol=1e-5 * expected)
