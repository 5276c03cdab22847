"""Finding settings: the loop, sweeps, and the learning-rate range test.

`minimize` is a training loop for scripts. `sweep` trains with every combination of settings in
one program. `lr_range_test` finds a learning rate with one short run, and `plot_range_test` draws
it. The guide is README.md in this folder.
"""

from ._minimize import History as History
from ._minimize import minimize as minimize
from ._phases import Phases as Phases
from ._phases import Suggestions as Suggestions
from ._plot import plot_range_test as plot_range_test
from ._range_test import RangeTest as RangeTest
from ._range_test import lr_range_test as lr_range_test
from ._sweep import Sweep as Sweep
from ._sweep import sweep as sweep
