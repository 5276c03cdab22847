"""Arithmetic of trees: the names of `optax.tree_utils`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.tree_utils import *

_mirror(globals(), "optax.tree_utils")
