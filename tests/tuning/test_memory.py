"""The size of memory, on devices that report it and on others."""

import os
import types

import jax
import pytest

from optcore.tuning._memory import device_memory


@pytest.mark.parametrize("stats", [None, {}, {"bytes_in_use": 3}, {"bytes_limit": 7}])
def test_memory_of_the_device_or_of_the_machine(stats, monkeypatch):
    device = types.SimpleNamespace(memory_stats=lambda: stats)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 5, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert device_memory() == (7 if stats and "bytes_limit" in stats else 5 * 4096)


@pytest.mark.parametrize("error", [AttributeError, ValueError, OSError])
def test_memory_of_a_machine_that_does_not_say(error, monkeypatch):
    def unknown(name):
        raise error(name)

    device = types.SimpleNamespace(memory_stats=lambda: None)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(os, "sysconf", unknown)
    assert device_memory() == float("inf")
