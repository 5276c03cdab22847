"""Coefficients of Newton-Schulz iterations: published ones, and those that are computed."""

import math
from collections.abc import Sequence

import numpy as np

Coefficients = Sequence[tuple[float, float, float]]
"""For each step the `(a, b, c)` of the odd polynomial `a s + b s³ + c s⁵`."""


def keller(steps: int = 5) -> list[tuple[float, float, float]]:
    """One polynomial with a steep slope at 0, whose values stay within 0.68 and 1.14.

    K. Jordan et al., *Muon*, 2024.

    Args:
      steps: how often it is applied, at least 1.

    Raises:
      ValueError: `steps` is less than 1.

    >>> keller(2)
    [(3.4445, -4.775, 2.0315), (3.4445, -4.775, 2.0315)]
    """
    if steps < 1:
        raise ValueError(f"keller: steps must be at least 1, got {steps}")
    return [(3.4445, -4.7750, 2.0315)] * steps


def you() -> list[tuple[float, float, float]]:
    """Five polynomials of J. You, which end within 0.03 of 1 from 0.01 on.

    >>> len(you())
    5
    """
    return [
        (4.0848, -6.8946, 2.9270),
        (3.9505, -6.3029, 2.6377),
        (3.7418, -5.5913, 2.3037),
        (2.8769, -3.1427, 1.2046),
        (2.8366, -3.0525, 1.2012),
    ]


def deepseek_v4() -> list[tuple[float, float, float]]:
    """Eight steps of `keller` and two that converge to 1 (DeepSeek-AI, arXiv 2606.19348).

    >>> deepseek_v4()[-1]
    (2.0, -1.5, 0.5)
    """
    return [*keller(8), (2.0, -1.5, 0.5), (2.0, -1.5, 0.5)]


def cubic5() -> list[tuple[float, float, float]]:
    """Five cubic polynomials, with two products of matrices a step in place of three.

    *How Much Orthogonalization Does Muon Need?*, arXiv 2606.00371.

    >>> all(c == 0 for _, _, c in cubic5())
    True
    """
    return [
        (3.3656576, -3.3420992, 0.0),
        (2.5744352, -1.4957376, 0.0),
        (2.5368962, -1.4312570, 0.0),
        (2.4418906, -1.2764040, 0.0),
        (2.2230472, -0.9630650, 0.0),
    ]


def polar_express(
    steps: int = 8,
    *,
    lower: float = 1e-3,
    cushion: float = 0.02407327424182761,
    safety: float = 1.01,
    compounded: bool = False,
) -> list[tuple[float, float, float]]:
    r"""The composition that brings singular values in `[lower, 1]` closest to 1.

    Each polynomial minimises the largest error over the interval that the former ones leave
    (Amsel et al., arXiv 2505.16932, algorithm 1 and section 3.4):

    .. math::
        p_t = \arg\min_p \max_{s \in [l_t, u_t]} |1 - p(s)|, \quad
        l_{t+1} = p_t(l_t), \quad u_{t+1} = 2 - l_{t+1}

    The default is the paper's table. The table of dion and modded-nanogpt is
    `polar_express(5, cushion=0.02, safety=1.02, compounded=True)`; their matrix is divided by
    1.02 times its norm.

    Args:
      steps: how many polynomials, at least 1.
      lower: the smallest singular value that counts, in (0, 1).
      cushion: an interval counts as no wider than from `cushion` times its upper end, in (0, 1),
        so that rounding cannot leave it.
      safety: all polynomials but the last take their argument divided by it, at least 1.
      compounded: whether later polynomials are computed for what the division leaves.

    Raises:
      ValueError: an argument is out of range.

    >>> a, b, c = polar_express(1)[0]
    >>> round(a + b + c, 3)  # where the largest singular value goes
    1.992
    """
    if steps < 1:
        raise ValueError(f"polar_express: steps must be at least 1, got {steps}")
    for name, value in (("lower", lower), ("cushion", cushion)):
        if not 0 < value < 1:
            raise ValueError(f"polar_express: {name} must be in (0, 1), got {value}")
    if not safety >= 1:
        raise ValueError(f"polar_express: safety must be at least 1, got {safety}")
    made, upper = [], 1.0
    for step in range(steps):
        a, b, c = _centred(_minimax_quintic(max(lower, cushion * upper), upper), lower, upper)
        divisor = safety if step < steps - 1 else 1.0
        divided = a / divisor, b / divisor**3, c / divisor**5
        made.append(divided)
        lower = _value(divided if compounded else (a, b, c), lower)
        upper = 2 - lower
    return made


def chebyshev(steps: int = 8, *, lower: float = 1e-3) -> list[tuple[float, float, float]]:
    r"""The best cubic polynomials, in closed form (CANS, Grishina et al., arXiv 2506.10935).

    With `e = ((l² + l u + u²) / 3)^{3/2}`, the cubic closest to 1 on `[l, u]`, and its error:

    .. math::
        p(s) = \frac{2 \left((l^2 + l u + u^2) s - s^3\right)}{2 e + l^2 u + l u^2}, \quad
        \epsilon = \frac{2 e - l^2 u - l u^2}{2 e + l^2 u + l u^2}

    The next one is that of `[1 - ε, 1 + ε]`.

    Args:
      steps: how many polynomials, at least 1.
      lower: the smallest singular value that counts, in (0, 1).

    Raises:
      ValueError: an argument is out of range.

    >>> a, b, c = chebyshev(1, lower=0.5)[0]
    >>> round(0.5 * a + 0.125 * b, 6) == round(a + b, 6)  # the error at both ends
    True
    """
    if steps < 1:
        raise ValueError(f"chebyshev: steps must be at least 1, got {steps}")
    if not 0 < lower < 1:
        raise ValueError(f"chebyshev: lower must be in (0, 1), got {lower}")
    made, upper = [], 1.0
    for _ in range(steps):
        squares = lower**2 + lower * upper + upper**2
        ends, middle = lower**2 * upper + lower * upper**2, 2 * (squares / 3) ** 1.5
        made.append((2 * squares / (middle + ends), -2 / (middle + ends), 0.0))
        error = (middle - ends) / (middle + ends)
        lower, upper = 1 - error, 1 + error
    return made


def _value(coefficients: tuple[float, float, float], s: float) -> float:
    a, b, c = coefficients
    return a * s + b * s**3 + c * s**5


def _minimax_quintic(lower: float, upper: float) -> tuple[float, float, float]:
    """The odd quintic closest to 1 on an interval, by Remez's exchange of the inner extrema."""
    if lower / upper >= 1 - 5e-6:
        # The limit, where the system below is singular.
        return 1.875 / upper, -1.25 / upper**3, 0.375 / upper**5
    inner = np.array([(3 * lower + upper) / 4, (lower + 3 * upper) / 4])
    signs, error = np.array([1.0, -1.0, 1.0, -1.0]), math.inf
    while True:
        points = np.array([lower, *inner, upper])
        system = np.stack([points, points**3, points**5, signs], axis=1)
        a, b, c, new_error = (float(x) for x in np.linalg.solve(system, np.ones(4)))
        if abs(new_error - error) <= 1e-15:
            return a, b, c
        error = new_error
        # Where the derivative a + 3 b s² + 5 c s⁴ vanishes.
        root = math.sqrt(9 * b**2 - 20 * a * c)
        inner = np.sqrt((-3 * b + np.array([-root, root])) / (10 * c))


def _centred(
    polynomial: tuple[float, float, float], lower: float, upper: float
) -> tuple[float, float, float]:
    """Scaled so that the values at both ends of the interval are as far from 1."""
    a, b, c = polynomial
    scale = 2 / (_value(polynomial, lower) + _value(polynomial, upper))
    return a * scale, b * scale, c * scale
