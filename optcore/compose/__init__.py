"""Transformations of transformations."""

from ._chain import chain as chain
from ._chain import named_chain as named_chain
from ._stack import stack as stack
