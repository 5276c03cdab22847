"""Schedules: the names of `optax.schedules`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.schedules import *

_mirror(globals(), "optax.schedules")
