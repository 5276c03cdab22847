"""Which parameters to evaluate: averages, slow parameters, snapshots."""

from .._core import LookaheadParams as LookaheadParams
from ._eval_params import eval_params as eval_params
from ._snapshots import Snapshots as Snapshots
from ._snapshots import ensemble_probabilities as ensemble_probabilities
from ._snapshots import init_snapshots as init_snapshots
from ._snapshots import snapshot_members as snapshot_members
from ._snapshots import take_snapshot as take_snapshot
from ._with_average import WithAverageState as WithAverageState
from ._with_average import with_average as with_average
