"""Hyper-parameters: read, changed during a run, and stacked for a sweep.

`stack` makes one optimizer of several, for `vmap`. `inject` keeps the numbers of a transformation
in its state, where `set_hyperparams` replaces them; `inject_foreign` does so for factories that
declare nothing. `read` and `hyperparameters` return them. The guide is README.md in this folder.
"""

from .._core import ScheduledState as ScheduledState
from ._inject import InjectStatefulHyperparamsState as InjectStatefulHyperparamsState
from ._inject import inject as inject
from ._inject_foreign import inject_foreign as inject_foreign
from ._read import hyperparameters as hyperparameters
from ._read import read as read
from ._set_hyperparams import set_hyperparams as set_hyperparams
from ._stack import stack as stack
