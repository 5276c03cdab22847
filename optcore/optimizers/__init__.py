"""Ready optimizers, by what multiplies the gradient: nothing, or a number per coordinate."""

from . import diagonal as diagonal
from . import momentum as momentum
