"""Linear algebra of one matrix, batched over leading axes, without trees and without state.

`newton_schulz` computes the orthogonal factor of a matrix by products, with the coefficients of
`keller`, `you`, `polar_express`, `chebyshev`, `deepseek_v4` or `cubic5`, or with your own.
`inverse_root`, `eigenbasis`, `refresh_eigenbasis` and `spectral_norm` are for preconditioners, and
`merge_axes`, `to_blocks` and `from_blocks` make arrays into matrices of a limited size. The guide
is README.md in this folder.
"""

from ._blocks import from_blocks as from_blocks
from ._blocks import merge_axes as merge_axes
from ._blocks import to_blocks as to_blocks
from ._coefficients import chebyshev as chebyshev
from ._coefficients import cubic5 as cubic5
from ._coefficients import deepseek_v4 as deepseek_v4
from ._coefficients import keller as keller
from ._coefficients import polar_express as polar_express
from ._coefficients import you as you
from ._eigenbases import eigenbasis as eigenbasis
from ._eigenbases import refresh_eigenbasis as refresh_eigenbasis
from ._newton_schulz import newton_schulz as newton_schulz
from ._newton_schulz import polar_flops as polar_flops
from ._roots import inverse_root as inverse_root
from ._spectral_norm import spectral_norm as spectral_norm
