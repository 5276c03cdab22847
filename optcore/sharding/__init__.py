"""States on many devices: where each array of a state belongs.

`state_shardings` computes it from the algorithm and the shardings of the parameters, and
`init_sharded` makes the state there. With `zero` the state is cut along an axis of the mesh along
which the parameters are copied. `agree` says over which axes the parts of an array make up the
whole, inside `shard_map`. The guide is README.md in this folder.
"""

from ._agree import agree as agree
from ._state_shardings import init_sharded as init_sharded
from ._state_shardings import state_shardings as state_shardings
