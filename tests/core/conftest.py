"""What the library runs on each platform, run here."""

import jax
import pytest


@pytest.fixture(params=["cpu", "gpu"])
def platform(request, monkeypatch):
    """The library takes itself to be on that platform; what it then chooses runs on the CPU.

    On a CPU it is alone: several devices run what accelerators do. JAX finds a compiled function
    again by the function itself, so a test makes its own.
    """
    monkeypatch.setattr(jax, "default_backend", lambda: request.param)
    if request.param == "cpu":
        monkeypatch.setattr(jax, "device_count", lambda: 1)
    return request.param
