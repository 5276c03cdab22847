"""Strict settings for every test: 8 virtual CPU devices, no promotion of dtypes or ranks."""

import gc
import itertools
import os

import jaxlib.version

os.environ["XLA_FLAGS"] = " ".join(
    [
        # Most of the tests' time is compilation, of programs that run once.
        "--xla_backend_optimization_level=0",
        # Splitting a small program for many threads takes longer than compiling it.
        "--xla_cpu_parallel_codegen_split_count=1",
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


CASES = 2
"""Cases of a test that run by default, spread evenly, unless `sample(n)` says otherwise."""


def pytest_addoption(parser):
    parser.addoption("--all-cases", action="store_true", help="leave no case of a test as slow")
    parser.addoption("--cases", type=int, help="how many cases of a test run by default, at most")
    parser.addoption(
        "--processes", type=int, default=2, help="how many processes train together, 2 or 4"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark as slow the cases of a test that are not in its sample."""
    if config.getoption("--all-cases"):
        return
    most = config.getoption("--cases")
    tests = {}
    for item in items:
        if hasattr(item, "callspec") and not item.get_closest_marker("slow"):
            tests.setdefault((item.path, item.cls, item.originalname), []).append(item)
    for cases in tests.values():
        marker = cases[0].get_closest_marker("sample")
        size = marker.args[0] if marker else CASES
        size = size if most is None else min(size or most, most)
        if size is None or len(cases) <= size:
            continue
        kept = {i * len(cases) // size for i in range(size)}
        for i, item in enumerate(cases):
            if i not in kept:
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """What the modules made is there to stay: no collection of garbage needs to walk it again."""
    gc.freeze()


_modules = itertools.count(1)


@pytest.fixture(autouse=True, scope="module")
def _forget_compiled_programs():
    """Compiled programs take memory; those of small operations are of use to the next modules."""
    yield
    if next(_modules) % 8 == 0:
        jax.clear_caches()
