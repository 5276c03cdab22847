"""What programs take from `_src.deprecations`: `optax._src.deprecations`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.deprecations import *

mirror(globals(), "optax._src.deprecations")
