"""The parts of a chain: clips, momentum and averages, decay, scales, constraints, noise.

`clip_by_global_norm`, `trace`, `ema`, `add_decayed_weights`, `scale_by_learning_rate` and
`reduce_on_plateau` are the usual ones, and `stateless` makes one of a function. The guide, which
also says how to write your own, is README.md in this folder.
"""

from ._clip import adaptive_grad_clip as adaptive_grad_clip
from ._clip import clip as clip
from ._clip import clip_by_block_rms as clip_by_block_rms
from ._clip import clip_by_global_norm as clip_by_global_norm
from ._clip import clip_by_norm as clip_by_norm
from ._clip import unitwise_clip as unitwise_clip
from ._clip import unitwise_norm as unitwise_norm
from ._constrain import ZeroNansState as ZeroNansState
from ._constrain import keep_params_in_ball as keep_params_in_ball
from ._constrain import keep_params_in_box as keep_params_in_box
from ._constrain import keep_params_nonnegative as keep_params_nonnegative
from ._constrain import zero_nans as zero_nans
from ._ema import EmaState as EmaState
from ._ema import ema as ema
from ._mars import MarsState as MarsState
from ._mars import mars as mars
from ._noise import AddNoiseState as AddNoiseState
from ._noise import add_noise as add_noise
from ._normalize import centralize as centralize
from ._normalize import normalize_by_update_norm as normalize_by_update_norm
from ._normalize import scale_by_param_block_norm as scale_by_param_block_norm
from ._normalize import scale_by_param_block_rms as scale_by_param_block_rms
from ._normalize import scale_to_param_norm as scale_to_param_norm
from ._per_example import per_example_global_norm_clip as per_example_global_norm_clip
from ._per_example import per_example_layer_norm_clip as per_example_layer_norm_clip
from ._plateau import ReduceLROnPlateauState as ReduceLROnPlateauState
from ._plateau import reduce_on_plateau as reduce_on_plateau
from ._privacy import DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState
from ._privacy import differentially_private_aggregate as differentially_private_aggregate
from ._proximal import shrink_weights as shrink_weights
from ._scale import scale as scale
from ._scale import scale_by_learning_rate as scale_by_learning_rate
from ._sign import scale_by_sign as scale_by_sign
from ._sphere import KeepParamsNormState as KeepParamsNormState
from ._sphere import keep_params_norm as keep_params_norm
from ._sphere import matrices as matrices
from ._stateless import identity as identity
from ._stateless import set_to_zero as set_to_zero
from ._stateless import stateless as stateless
from ._trace import TraceState as TraceState
from ._trace import trace as trace
from ._trust_ratio import scale_by_trust_ratio as scale_by_trust_ratio
from ._weight_decay import AddDecayToInitState as AddDecayToInitState
from ._weight_decay import add_cautious_decayed_weights as add_cautious_decayed_weights
from ._weight_decay import add_corrected_decayed_weights as add_corrected_decayed_weights
from ._weight_decay import add_decay_to_init as add_decay_to_init
from ._weight_decay import add_decayed_weights as add_decayed_weights
from ._weight_decay import add_independent_decayed_weights as add_independent_decayed_weights
from ._weight_decay import add_l1_decay as add_l1_decay
from ._zclip import ZclipState as ZclipState
from ._zclip import zclip as zclip
