"""What programs take from `_src.constrain`: `optax._src.constrain`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.constrain import *

mirror(globals(), "optax._src.constrain")
