"""Transformations of transformations: in a chain, in turn, around and beside each other.

`chain` and `named_chain` join transformations. `accumulate` and `microbatch` make one step of
several gradients, `switch` changes the optimizer at a step, `sam`, `lookahead`, `cautious`,
`graft` and `flatten` change what an optimizer does, and `monitor` measures it. The guide is
README.md in this folder.
"""

from .._core import LookaheadParams as LookaheadParams
from ._accumulate import AccumulateState as AccumulateState
from ._accumulate import accumulate as accumulate
from ._cautious import CautiousState as CautiousState
from ._cautious import cautious as cautious
from ._chain import chain as chain
from ._chain import named_chain as named_chain
from ._descend import descend as descend
from ._flatten import flatten as flatten
from ._graft import GraftState as GraftState
from ._graft import graft as graft
from ._lookahead import LookaheadState as LookaheadState
from ._lookahead import lookahead as lookahead
from ._microbatch import microbatch as microbatch
from ._monitor import MonitorState as MonitorState
from ._monitor import monitor as monitor
from ._sam import SamState as SamState
from ._sam import asam as asam
from ._sam import sam as sam
from ._split_real_and_imaginary import SplitRealAndImaginaryArrays as SplitRealAndImaginaryArrays
from ._split_real_and_imaginary import SplitRealAndImaginaryState as SplitRealAndImaginaryState
from ._split_real_and_imaginary import split_real_and_imaginary as split_real_and_imaginary
from ._switch import SwitchState as SwitchState
from ._switch import switch as switch
