"""What optax tries out: the names of `optax.experimental`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.experimental import *

_mirror(globals(), "optax.experimental")
