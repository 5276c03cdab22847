"""Seeing what schedules and optimizers do: tables and plots."""

from ._schedules import plot_schedule as plot_schedule
from ._schedules import schedule_table as schedule_table
