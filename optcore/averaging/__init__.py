"""Averages of the parameters, and snapshots of them.

`with_average` keeps an average of the parameters after each update, and `eval_params` returns the
parameters to evaluate from any state. `init_snapshots`, `take_snapshot`, `snapshot_members` and
`ensemble_probabilities` make several networks of one run. The guide is README.md in this folder.
"""

from .._core import LookaheadParams as LookaheadParams
from ._eval_params import eval_params as eval_params
from ._snapshots import Snapshots as Snapshots
from ._snapshots import ensemble_probabilities as ensemble_probabilities
from ._snapshots import init_snapshots as init_snapshots
from ._snapshots import snapshot_members as snapshot_members
from ._snapshots import take_snapshot as take_snapshot
from ._with_average import WithAverageState as WithAverageState
from ._with_average import with_average as with_average
