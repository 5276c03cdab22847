"""What programs take from `_src.linear_algebra`: `optax._src.linear_algebra`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.linear_algebra import *

mirror(globals(), "optax._src.linear_algebra")
