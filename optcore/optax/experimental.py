"""Experiments: the names of `optax.experimental`, with optcore's own among them."""

from typing import TYPE_CHECKING, Any

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.experimental import *

    # For checkers that do not look into optax, which has no `py.typed`.
    def __getattr__(name: str) -> Any: ...


_mirror(globals(), "optax.experimental")
