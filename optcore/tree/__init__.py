"""Finding things in a state, or in any tree.

`find` returns the state of a type, and `map_params` maps a function over what belongs to
parameters. There is no tree arithmetic here: `jax.tree.map` does it, and `optcore.global_norm`
takes norms. The guide is README.md in this folder.
"""

from ._find import find as find
from ._map_params import map_params as map_params
from ._nodes import NamedTupleKey as NamedTupleKey
