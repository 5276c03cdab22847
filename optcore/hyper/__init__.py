"""Hyper-parameters of a run: held in the state, set, read and stacked."""

from ._inject import InjectStatefulHyperparamsState as InjectStatefulHyperparamsState
from ._inject import inject as inject
from ._inject_hyperparams import inject_foreign as inject_foreign
from ._inject_hyperparams import inject_hyperparams as inject_hyperparams
from ._read import hyperparameters as hyperparameters
from ._read import read as read
from ._set_hyperparams import set_hyperparams as set_hyperparams
from ._stack import stack as stack
