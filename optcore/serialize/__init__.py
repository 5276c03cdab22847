"""Optimizers as plain data."""

from ._config import from_config as from_config
from ._config import to_config as to_config
