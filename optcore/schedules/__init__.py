"""Schedules: pure functions from the step count (int32, from 0) to a float32 value.

`warmup_cosine_decay_schedule`, `linear_schedule`, `cosine_restarts_schedule`, `onecycle_schedule`
and many others are made here. `join_schedules`, `prepend_warmup`, `append_cooldown` and
`scale_schedule` change and join them, and `cycle_ends` says where cycles end. The guide is
README.md in this folder.
"""

from ._ademamix import ademamix_alpha_schedule as ademamix_alpha_schedule
from ._ademamix import ademamix_b3_schedule as ademamix_b3_schedule
from ._chebyshev import chebyshev_schedule as chebyshev_schedule
from ._compose import clamp_schedule as clamp_schedule
from ._compose import join_schedules as join_schedules
from ._compose import multiply_schedules as multiply_schedules
from ._compose import scale_schedule as scale_schedule
from ._compose import shift_schedule as shift_schedule
from ._cooldown import append_cooldown as append_cooldown
from ._cooldown import knee_schedule as knee_schedule
from ._cooldown import warmup_stable_decay_schedule as warmup_stable_decay_schedule
from ._cycles import cycle_ends as cycle_ends
from ._cyclic import cyclic_momentum_schedule as cyclic_momentum_schedule
from ._cyclic import cyclic_schedule as cyclic_schedule
from ._decay import constant_schedule as constant_schedule
from ._decay import cosine_decay_schedule as cosine_decay_schedule
from ._decay import exponential_decay as exponential_decay
from ._decay import linear_schedule as linear_schedule
from ._decay import polynomial_schedule as polynomial_schedule
from ._inverse import inverse_sqrt_schedule as inverse_sqrt_schedule
from ._inverse import inverse_time_schedule as inverse_time_schedule
from ._inverse import noam_schedule as noam_schedule
from ._inverse import power_schedule as power_schedule
from ._onecycle import cosine_onecycle_schedule as cosine_onecycle_schedule
from ._onecycle import linear_onecycle_schedule as linear_onecycle_schedule
from ._onecycle import onecycle_momentum_schedule as onecycle_momentum_schedule
from ._onecycle import onecycle_schedule as onecycle_schedule
from ._piecewise import piecewise_constant_schedule as piecewise_constant_schedule
from ._piecewise import piecewise_interpolate_schedule as piecewise_interpolate_schedule
from ._piecewise import step_decay_schedule as step_decay_schedule
from ._restarts import cosine_restarts_schedule as cosine_restarts_schedule
from ._restarts import sgdr_schedule as sgdr_schedule
from ._rex import rex_schedule as rex_schedule
from ._warmup import prepend_warmup as prepend_warmup
from ._warmup import warmup_constant_schedule as warmup_constant_schedule
from ._warmup import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
from ._warmup import warmup_exponential_decay_schedule as warmup_exponential_decay_schedule
from ._warmup import warmup_linear_decay_schedule as warmup_linear_decay_schedule
