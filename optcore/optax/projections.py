"""Projections: the names of `optax.projections`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.projections import *

_mirror(globals(), "optax.projections")
