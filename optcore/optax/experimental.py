"""What optax tries out: the names of `optax.experimental`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror

if TYPE_CHECKING:
    from optax.experimental import *

mirror(globals(), "optax.experimental")
