"""What programs take from `_src.lookahead`: `optax._src.lookahead`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.lookahead import *

mirror(globals(), "optax._src.lookahead")
