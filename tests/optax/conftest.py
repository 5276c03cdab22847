"""optax promotes dtypes and ranks; code compared with it runs as its users run it."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _promotion_as_by_default():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
