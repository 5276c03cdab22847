"""Seeing what schedules and optimizers do, and what is wrong with a run.

`diagnose` says why a run has stopped improving. `curvature`, `sharpness`, `loss_line` and
`loss_surface` look at the loss around a point, `trajectory` records a path, and `schedule_table`
and the functions `plot_*` show them. The guide is README.md in this folder.
"""

from ._curvature import Curvature as Curvature
from ._curvature import curvature as curvature
from ._diagnose import Diagnosis as Diagnosis
from ._diagnose import diagnose as diagnose
from ._landscapes import beale as beale
from ._landscapes import bowl as bowl
from ._landscapes import cliff as cliff
from ._landscapes import plateau as plateau
from ._landscapes import rosenbrock as rosenbrock
from ._landscapes import saddle as saddle
from ._paths import animate_trajectories as animate_trajectories
from ._paths import plot_trajectories as plot_trajectories
from ._schedules import plot_schedule as plot_schedule
from ._schedules import schedule_table as schedule_table
from ._surface import LossLine as LossLine
from ._surface import LossSurface as LossSurface
from ._surface import Sharpness as Sharpness
from ._surface import filter_directions as filter_directions
from ._surface import loss_line as loss_line
from ._surface import loss_surface as loss_surface
from ._surface import sharpness as sharpness
from ._surface_plots import plot_loss_line as plot_loss_line
from ._surface_plots import plot_loss_surface as plot_loss_surface
from ._trajectory import Trajectory as Trajectory
from ._trajectory import trajectory as trajectory
