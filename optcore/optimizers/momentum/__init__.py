"""Optimizers that multiply the gradient by nothing: its sum, its sign, its average."""

from ._sgd import sgd as sgd
