"""Transformations that stand alone: scale, momentum and averages, clip, decay, constrain."""

from ._clip import adaptive_grad_clip as adaptive_grad_clip
from ._clip import clip as clip
from ._clip import clip_by_block_rms as clip_by_block_rms
from ._clip import clip_by_global_norm as clip_by_global_norm
from ._clip import clip_by_norm as clip_by_norm
from ._constrain import ZeroNansState as ZeroNansState
from ._constrain import keep_params_nonnegative as keep_params_nonnegative
from ._constrain import zero_nans as zero_nans
from ._ema import EmaState as EmaState
from ._ema import ema as ema
from ._scale import scale as scale
from ._scale import scale_by_learning_rate as scale_by_learning_rate
from ._scale import scale_by_schedule as scale_by_schedule
from ._stateless import identity as identity
from ._stateless import set_to_zero as set_to_zero
from ._stateless import stateless as stateless
from ._trace import TraceState as TraceState
from ._trace import trace as trace
from ._weight_decay import add_decayed_weights as add_decayed_weights
