"""What programs import: the names of `optax._src.factorized`, with optcore's own among them."""

from typing import TYPE_CHECKING, Any

from .._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax._src.factorized import *

    # For checkers that do not look into optax, which has no `py.typed`.
    def __getattr__(name: str) -> Any: ...


_mirror(globals(), "optax._src.factorized")
