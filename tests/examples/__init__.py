"""Examples run as tests, each skipped where what it needs is not installed."""

import importlib.util

import pytest


def need(*modules):
    """Skip the test module that asks unless all can be found; importing them takes seconds."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed", allow_module_level=True)
