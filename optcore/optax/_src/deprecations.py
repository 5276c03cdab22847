"""What programs import: the names of `optax._src.deprecations`, with optcore's own among them."""

from typing import TYPE_CHECKING

from .._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax._src.deprecations import *

_mirror(globals(), "optax._src.deprecations")
