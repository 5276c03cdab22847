"""States on many devices: where each array of a state belongs.

`state_shardings` knows it from the algorithm and the shardings of the parameters, `init_sharded`
makes the state there, and `zero` cuts the state along an axis of the mesh along which the
parameters are copied.
"""

from ._agree import agree as agree
from ._state_shardings import init_sharded as init_sharded
from ._state_shardings import state_shardings as state_shardings
