"""What the library runs on each platform, run here."""

import jax
import pytest


@pytest.fixture(params=["cpu", "gpu"])
def platform(request, monkeypatch):
    """The library takes itself to be on that platform; what it then chooses runs on the CPU.

    JAX finds a compiled function again by the function itself, so a test makes its own.
    """
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    return request.param
