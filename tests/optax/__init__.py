"""Tests of optcore.optax."""
