"""optax's namespace and behaviour, with optcore's algorithms: `import optcore.optax as optax`.

Every public name of optax is here, under the same path. What optcore has computes with optcore's
algorithms, in states of optax's classes; everything else is optax's own. For new programs `optcore`
has the same, with one spelling for one idea. The guide is README.md in this folder.
"""

try:
    import optax as _optax
except ModuleNotFoundError as error:
    if error.name != "optax":
        raise
    message = "optcore.optax needs optax: pip install 'optcore[optax]'"
    raise ModuleNotFoundError(message, name="optax") from error

from typing import TYPE_CHECKING, Any

from . import _optimizers as _optimizers
from ._as_optax import as_optax as as_optax
from ._mirror import mirror as _mirror

if TYPE_CHECKING:
    from optax import *

    # For checkers that do not look into optax, which has no `py.typed`.
    def __getattr__(name: str) -> Any: ...


_mirror(globals(), _optax.__name__)

from . import _src as _src  # noqa: E402 (these mirror what was replaced above)
from . import assignment as assignment  # noqa: E402
from . import contrib as contrib  # noqa: E402
from . import experimental as experimental  # noqa: E402
from . import losses as losses  # noqa: E402
from . import microbatching as microbatching  # noqa: E402
from . import perturbations as perturbations  # noqa: E402
from . import projections as projections  # noqa: E402
from . import schedules as schedules  # noqa: E402
from . import second_order as second_order  # noqa: E402
from . import transforms as transforms  # noqa: E402
from . import tree as tree  # noqa: E402
from . import tree_utils as tree_utils  # noqa: E402
