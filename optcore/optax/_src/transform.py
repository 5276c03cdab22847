"""What programs take from `_src.transform`: `optax._src.transform`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.transform import *

mirror(globals(), "optax._src.transform")
