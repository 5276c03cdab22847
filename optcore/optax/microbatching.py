"""Microbatching: the names of `optax.microbatching`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.microbatching import *

_mirror(globals(), "optax.microbatching")
