"""Arithmetic of trees: the names of `optax.tree`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.tree import *

_mirror(globals(), "optax.tree")
