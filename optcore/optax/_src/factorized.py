"""What programs take from `_src.factorized`: `optax._src.factorized`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.factorized import *

mirror(globals(), "optax._src.factorized")
