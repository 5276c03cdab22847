"""What programs take from `_src.schedule`: `optax._src.schedule`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.schedule import *

mirror(globals(), "optax._src.schedule")
