"""Finding things in a state, or in any tree, by name and by type, and setting them.

There is no tree arithmetic here: `jax.tree.map` does it, `optcore.global_norm` takes norms.
"""

from ._find import find as find
from ._get import get as get
from ._get import get_all_with_path as get_all_with_path
from ._map_params import map_params as map_params
from ._nodes import NamedTupleKey as NamedTupleKey
from ._set import set as set
