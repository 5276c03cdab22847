"""Second-order quantities: the names of `optax.second_order`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.second_order import *

_mirror(globals(), "optax.second_order")
