"""Optimizers that multiply the gradient by one number per coordinate."""

from ._adagrad import ScaleByRssState as ScaleByRssState
from ._adagrad import adagrad as adagrad
from ._adagrad import scale_by_rss as scale_by_rss
from ._adam import ScaleByAdamState as ScaleByAdamState
from ._adam import adam as adam
from ._adam import adamw as adamw
from ._adam import scale_by_adam as scale_by_adam
from ._rmsprop import ScaleByRmsState as ScaleByRmsState
from ._rmsprop import ScaleByStddevState as ScaleByStddevState
from ._rmsprop import rmsprop as rmsprop
from ._rmsprop import scale_by_rms as scale_by_rms
from ._rmsprop import scale_by_stddev as scale_by_stddev
