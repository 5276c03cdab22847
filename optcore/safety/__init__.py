"""Guards against NaN, spikes and overflow.

`guard` skips steps that are not finite, `skip_on_spike` those far above the last ones, and `check`
raises after too many in a row. `dynamic_loss_scale`, `scaled_value_and_grad` and `loss_scale` are
for float16, and `strict` refuses extra arguments that nothing takes. The guide is README.md in
this folder.
"""

from ._check import check as check
from ._dynamic_loss_scale import DynamicLossScaleState as DynamicLossScaleState
from ._dynamic_loss_scale import dynamic_loss_scale as dynamic_loss_scale
from ._dynamic_loss_scale import loss_scale as loss_scale
from ._dynamic_loss_scale import scaled_value_and_grad as scaled_value_and_grad
from ._guard import GuardState as GuardState
from ._guard import guard as guard
from ._skip_on_spike import SkipOnSpikeState as SkipOnSpikeState
from ._skip_on_spike import skip_on_spike as skip_on_spike
from ._strict import strict as strict
