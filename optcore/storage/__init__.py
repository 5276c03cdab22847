"""Fewer bits: parameters of low precision that still learn, and moments in few bits."""

from ._codecs import Encoded as Encoded
from ._kahan import KahanState as KahanState
from ._kahan import kahan as kahan
from ._maps import dynamic_map as dynamic_map
from ._master_weights import MasterWeightsState as MasterWeightsState
from ._master_weights import master_weights as master_weights
from ._slots import SLOTS as SLOTS
from ._split_weights import SplitWeightsState as SplitWeightsState
from ._split_weights import split_weights as split_weights
from ._stochastic_rounding import StochasticRoundingState as StochasticRoundingState
from ._stochastic_rounding import stochastic_rounding as stochastic_rounding
from ._store import StoreState as StoreState
from ._store import store as store
