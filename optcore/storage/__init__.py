"""Fewer bits and fewer rows.

`store` keeps moments in few bits. `master_weights`, `split_weights`, `kahan` and
`stochastic_rounding` let bfloat16 parameters learn. `lazy_rows`, `RowSparse` and
`sparse_value_and_grad` update only the rows of a table that a batch has seen. The guide is
README.md in this folder.
"""

from ._catch_up import CatchUpState as CatchUpState
from ._kahan import KahanState as KahanState
from ._kahan import kahan as kahan
from ._lazy_rows import LazyRowsState as LazyRowsState
from ._lazy_rows import lazy_rows as lazy_rows
from ._maps import dynamic_map as dynamic_map
from ._master_weights import MasterWeightsState as MasterWeightsState
from ._master_weights import master_weights as master_weights
from ._row_sparse import RowSparse as RowSparse
from ._slots import SLOTS as SLOTS
from ._sparse_grad import sparse_value_and_grad as sparse_value_and_grad
from ._split_weights import SplitWeightsState as SplitWeightsState
from ._split_weights import split_weights as split_weights
from ._stochastic_rounding import StochasticRoundingState as StochasticRoundingState
from ._stochastic_rounding import stochastic_rounding as stochastic_rounding
from ._store import StoreState as StoreState
from ._store import store as store
