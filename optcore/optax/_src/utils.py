"""What programs import: the names of `optax._src.utils`, with optcore's own among them."""

from typing import TYPE_CHECKING

from .._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax._src.utils import *

_mirror(globals(), "optax._src.utils")
