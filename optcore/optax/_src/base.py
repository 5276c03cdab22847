"""What programs import: the names of `optax._src.base`, with optcore's own among them."""

from typing import TYPE_CHECKING, Any

from .._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax._src.base import *

    # For checkers that do not look into optax, which has no `py.typed`.
    def __getattr__(name: str) -> Any: ...


_mirror(globals(), "optax._src.base")
