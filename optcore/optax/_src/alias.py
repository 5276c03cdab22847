"""What programs take from `_src.alias`: `optax._src.alias`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.alias import *

mirror(globals(), "optax._src.alias")
