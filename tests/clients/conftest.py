"""Models of users and of other libraries broadcast biases."""

import pytest


@pytest.fixture(autouse=True)
def _broadcasting(broadcasting):
    """As in a user's program."""
