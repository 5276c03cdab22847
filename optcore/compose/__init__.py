"""Transformations of transformations."""

from ._cautious import CautiousState as CautiousState
from ._cautious import cautious as cautious
from ._chain import chain as chain
from ._chain import named_chain as named_chain
from ._graft import GraftState as GraftState
from ._graft import graft as graft
from ._monitor import MonitorState as MonitorState
from ._monitor import monitor as monitor
from ._skip_on_spike import SkipOnSpikeState as SkipOnSpikeState
from ._skip_on_spike import skip_on_spike as skip_on_spike
from ._split_real_and_imaginary import SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays
from ._split_real_and_imaginary import SplitRealAndImaginaryState as SplitRealAndImaginaryState
from ._split_real_and_imaginary import split_real_and_imaginary as split_real_and_imaginary
from ._stack import stack as stack
