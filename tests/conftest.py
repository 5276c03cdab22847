"""Strict settings for every test: 8 virtual CPU devices, no promotion of dtypes or ranks."""

import gc
import os

import jaxlib.version

os.environ["XLA_FLAGS"] = " ".join(
    [
        # Most of the tests' time is compilation, of programs that run once.
        "--xla_backend_optimization_level=0",
        # The older emitters compile in two thirds of the time. XLA ends a process that names a
        # flag which it does not know, and will forget this one some day: later versions do
        # without.
        "--xla_cpu_use_fusion_emitters=false" if jaxlib.version.__version_info__ < (0, 11) else "",
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
    ]
)

import jax
import pytest

# Tracing makes many objects and few cycles; looking for them takes a fourteenth of the time.
gc.set_threshold(100_000, 50, 50)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def broadcasting():
    """For models that add a bias to rows, as users' do; the library itself never does."""
    with jax.numpy_rank_promotion("allow"):
        yield


def pytest_collection_finish():
    """What the modules made is there to stay: no collection of garbage needs to walk it again."""
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Compiled programs of one module are of no use to the next, and take memory."""
    yield
    jax.clear_caches()
