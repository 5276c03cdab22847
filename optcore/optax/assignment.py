"""Assignment problems: the names of `optax.assignment`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.assignment import *

_mirror(globals(), "optax.assignment")
