"""Which parameters: groups of them by path, shape or label, each with its transformation."""

from ._describe import Table as Table
from ._describe import describe as describe
from ._freeze import freeze as freeze
from ._masked import MaskedState as MaskedState
from ._masked import masked as masked
from ._partition import PartitionState as PartitionState
from ._partition import multi_transform as multi_transform
from ._partition import partition as partition
from ._partition import selective_transform as selective_transform
from ._predicates import Predicate as Predicate
from ._predicates import has_dtype as has_dtype
from ._predicates import has_ndim as has_ndim
from ._predicates import has_path as has_path
from ._predicates import has_shape as has_shape
from ._route import FREEZE as FREEZE
from ._route import RouteState as RouteState
from ._route import route as route
