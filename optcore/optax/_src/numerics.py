"""What programs take from `_src.numerics`: `optax._src.numerics`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.numerics import *

mirror(globals(), "optax._src.numerics")
