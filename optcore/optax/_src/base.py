"""What programs take from `_src.base`: `optax._src.base`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.base import *

mirror(globals(), "optax._src.base")
