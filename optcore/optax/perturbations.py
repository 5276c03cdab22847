"""Perturbations: `optax.perturbations`, with optcore's own in the place of what it has."""

from typing import TYPE_CHECKING

from ._mirror import mirror

if TYPE_CHECKING:
    from optax.perturbations import *

mirror(globals(), "optax.perturbations")
