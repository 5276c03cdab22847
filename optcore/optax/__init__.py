"""optax's namespace and behaviour, with optcore's algorithms: `import optcore.optax as optax`.

Every public name of optax is here, under the same path. What optcore has computes with optcore's
algorithms, in states of optax's classes; all else is optax's own. Whoever writes a new program
finds the same in `optcore`, with one spelling for one idea.
"""

try:
    import optax as _optax
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "optcore.optax needs optax: pip install 'optcore[optax]'"
    ) from error

from typing import TYPE_CHECKING

from . import _optimizers as _optimizers
from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax import *

_mirror(globals(), _optax.__name__)

from . import (  # noqa: E402 (they mirror what was replaced above)
    assignment,
    contrib,
    experimental,
    losses,
    microbatching,
    perturbations,
    projections,
    schedules,
    second_order,
    transforms,
    tree,
    tree_utils,
)
