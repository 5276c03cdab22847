"""What keeps a run from harm: guards, checks, skipped spikes and loss scales."""

from ._apply_if_finite import ApplyIfFiniteState as ApplyIfFiniteState
from ._apply_if_finite import apply_if_finite as apply_if_finite
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
