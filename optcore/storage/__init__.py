"""Fewer rows: gradients of tables of which a batch sees few rows."""

from ._catch_up import CatchUpState as CatchUpState
from ._lazy_rows import LazyRowsState as LazyRowsState
from ._lazy_rows import lazy_rows as lazy_rows
from ._row_sparse import RowSparse as RowSparse
from ._sparse_grad import sparse_value_and_grad as sparse_value_and_grad
