"""What programs take from `_src.linesearch`: `optax._src.linesearch`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from .._mirror import mirror

if TYPE_CHECKING:
    from optax._src.linesearch import *

mirror(globals(), "optax._src.linesearch")
