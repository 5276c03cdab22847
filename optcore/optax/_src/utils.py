"""What programs take from `_src.utils`: `optax._src.utils`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.utils import *

mirror(globals(), "optax._src.utils")
