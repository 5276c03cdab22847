"""Contributed optimizers: the names of `optax.contrib`, with optcore's own among them."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax.contrib import *

mirror(globals(), "optax.contrib")
