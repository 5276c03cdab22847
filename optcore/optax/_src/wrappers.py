"""What programs take from `_src.wrappers`: `optax._src.wrappers`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.wrappers import *

mirror(globals(), "optax._src.wrappers")
