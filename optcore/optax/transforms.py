"""Transformations: the names of `optax.transforms`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.transforms import *

_mirror(globals(), "optax.transforms")
