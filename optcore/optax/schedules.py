"""Schedules: the names of `optax.schedules`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror

if TYPE_CHECKING:
    from optax.schedules import *

mirror(globals(), "optax.schedules")
