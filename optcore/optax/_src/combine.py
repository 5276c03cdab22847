"""What programs take from `_src.combine`: `optax._src.combine`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.combine import *

mirror(globals(), "optax._src.combine")
