"""Projections: the names of `optax.projections`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror

if TYPE_CHECKING:
    from optax.projections import *

mirror(globals(), "optax.projections")
