"""Arithmetic of trees, by the older names: `optax.tree_utils`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from ._mirror import mirror

if TYPE_CHECKING:
    from optax.tree_utils import *

mirror(globals(), "optax.tree_utils")
