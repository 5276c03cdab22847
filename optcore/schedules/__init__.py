"""Pure functions from the step count (int32, from 0) to a float32 value."""

from ._decay import constant_schedule as constant_schedule
from ._decay import cosine_decay_schedule as cosine_decay_schedule
from ._decay import exponential_decay as exponential_decay
from ._decay import linear_schedule as linear_schedule
from ._decay import polynomial_schedule as polynomial_schedule
from ._piecewise import join_schedules as join_schedules
from ._piecewise import piecewise_constant_schedule as piecewise_constant_schedule
from ._piecewise import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
