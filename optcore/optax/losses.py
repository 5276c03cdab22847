"""Losses: the names of `optax.losses`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.losses import *

_mirror(globals(), "optax.losses")
