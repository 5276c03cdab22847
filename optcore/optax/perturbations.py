"""Perturbations: the names of `optax.perturbations`, with optcore's own among them."""

from typing import TYPE_CHECKING

from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax.perturbations import *

_mirror(globals(), "optax.perturbations")
