"""Finding settings: the loop, sweeps, and the learning-rate range test."""

from ._minimize import History as History
from ._minimize import minimize as minimize
from ._phases import Phases as Phases
from ._phases import Suggestions as Suggestions
from ._plot import plot_range_test as plot_range_test
from ._range_test import RangeTest as RangeTest
from ._range_test import lr_range_test as lr_range_test
from ._sweep import Sweep as Sweep
from ._sweep import sweep as sweep
