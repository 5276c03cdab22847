"""Microbatching: the names of `optax.microbatching`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror

if TYPE_CHECKING:
    from optax.microbatching import *

mirror(globals(), "optax.microbatching")
