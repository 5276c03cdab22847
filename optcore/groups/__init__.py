"""Groups of parameters, by path, rank, shape, dtype or label.

`route` gives each parameter to the transformation of the first rule that matches it, and `FREEZE`
keeps parameters as they are. `has_path`, `has_ndim`, `has_shape` and `has_dtype` are patterns of
rules, and `describe` shows which rule each parameter follows. The guide is README.md in this
folder.
"""

from ._describe import Table as Table
from ._describe import describe as describe
from ._predicates import Predicate as Predicate
from ._predicates import has_dtype as has_dtype
from ._predicates import has_ndim as has_ndim
from ._predicates import has_path as has_path
from ._predicates import has_shape as has_shape
from ._route import FREEZE as FREEZE
from ._route import RouteState as RouteState
from ._route import route as route
