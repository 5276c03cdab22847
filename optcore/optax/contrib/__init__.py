"""Contributed optimizers: the names of `optax.contrib`, with optcore's own among them."""

from typing import TYPE_CHECKING

from .._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.contrib import *

_mirror(globals(), "optax.contrib")
