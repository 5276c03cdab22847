"""The modules of `optax._src` that programs import from."""

from . import alias as alias
from . import base as base
from . import combine as combine
from . import constrain as constrain
from . import deprecations as deprecations
from . import factorized as factorized
from . import linear_algebra as linear_algebra
from . import linesearch as linesearch
from . import lookahead as lookahead
from . import numerics as numerics
from . import schedule as schedule
from . import transform as transform
from . import update as update
from . import utils as utils
from . import wrappers as wrappers
