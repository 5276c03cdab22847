"""Transformations of transformations."""

from ._cautious import CautiousState as CautiousState
from ._cautious import cautious as cautious
from ._chain import chain as chain
from ._chain import named_chain as named_chain
from ._graft import GraftState as GraftState
from ._graft import graft as graft
from ._inject import InjectStatefulHyperparamsState as InjectStatefulHyperparamsState
from ._inject import inject as inject
from ._inject_hyperparams import inject_foreign as inject_foreign
from ._inject_hyperparams import inject_hyperparams as inject_hyperparams
from ._sam import SamState as SamState
from ._sam import asam as asam
from ._sam import sam as sam
from ._set_hyperparams import set_hyperparams as set_hyperparams
from ._skip_on_spike import SkipOnSpikeState as SkipOnSpikeState
from ._skip_on_spike import skip_on_spike as skip_on_spike
from ._split_real_and_imaginary import SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays
from ._split_real_and_imaginary import SplitRealAndImaginaryState as SplitRealAndImaginaryState
from ._split_real_and_imaginary import split_real_and_imaginary as split_real_and_imaginary
from ._stack import stack as stack
from ._strict import strict as strict
from ._switch import SwitchState as SwitchState
from ._switch import switch as switch
