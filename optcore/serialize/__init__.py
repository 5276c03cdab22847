"""Optimizers and schedules as plain data.

`to_config` writes a declared transformation, with everything inside it, as data that JSON can
hold, and `from_config` makes it again. States are trees of arrays, and are saved like any other.
The guide is README.md in this folder.
"""

from ._config import from_config as from_config
from ._config import to_config as to_config
