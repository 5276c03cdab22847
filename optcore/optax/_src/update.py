"""What programs take from `_src.update`: `optax._src.update`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.update import *

mirror(globals(), "optax._src.update")
