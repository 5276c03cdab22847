"""Tables of Newton-Schulz coefficients: published numbers, and the theorems behind them."""

import json
import pathlib

import numpy as np
import pytest

from optcore import linalg

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden/newton_schulz.json").read_text())
"""The least and the largest value on [lower, 1] of each schedule, and the error."""

PAPER = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
]
"""Amsel et al., arXiv 2505.16932, before the safety factor."""

DION = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]
"""That of dion and modded-nanogpt."""

SCHEDULES = {
    "keller5": linalg.keller(),
    "you5": linalg.you(),
    "pe_1.02(dion/modded)": linalg.polar_express(5, cushion=0.02, safety=1.02, compounded=True),
    "pe8_1.01(paper)": linalg.polar_express(),
    "dsv4_10": linalg.deepseek_v4(),
    "cubic5": linalg.cubic5(),
}


def composed(coefficients, s):
    for a, b, c in coefficients:
        s = a * s + b * s**3 + c * s**5
    return s


@pytest.mark.parametrize("name", SCHEDULES)
def test_values_are_those_of_the_references(name):
    for lower, (least, largest, error) in GOLDEN[name].items():
        s = np.concatenate(
            [np.linspace(float(lower), 1, 200001), np.geomspace(float(lower), 1, 200001)]
        )
        # dion divides the matrix by 1.02 times its norm.
        values = composed(SCHEDULES[name], s / 1.02 if name.startswith("pe_1.02") else s)
        assert values.min() == pytest.approx(least, rel=1e-5)
        assert values.max() == pytest.approx(largest, rel=1e-5)
        assert np.abs(values - 1).max() == pytest.approx(error, rel=1e-4, abs=1e-12)


def test_both_published_tables_come_out_of_the_generator():
    np.testing.assert_allclose(linalg.polar_express(8, safety=1.0), PAPER, rtol=1e-8)
    divided = [(a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in PAPER[:-1]]
    np.testing.assert_allclose(linalg.polar_express(8), [*divided, PAPER[-1]], rtol=1e-8)
    made = linalg.polar_express(5, cushion=0.02, safety=1.02, compounded=True)
    np.testing.assert_allclose(made, DION, rtol=1e-12)


def test_the_first_polynomial_has_equal_errors_at_four_points():
    """Chebyshev's theorem: no odd quintic is closer to 1."""
    ((a, b, c),) = linalg.polar_express(1, lower=0.1)
    s = np.linspace(0.1, 1, 100001)
    error = composed([(a, b, c)], s) - 1
    largest = np.abs(error).max()
    signs = np.sign(error[np.abs(error) > largest * (1 - 1e-6)])
    assert (np.diff(signs) != 0).sum() == 3


def test_cubics_have_equal_errors_at_three_points_and_converge():
    first = linalg.chebyshev(1, lower=0.1)
    s = np.linspace(0.1, 1, 100001)
    error = composed(first, s) - 1
    largest = np.abs(error).max()
    signs = np.sign(error[np.abs(error) > largest * (1 - 1e-6)])
    assert (np.diff(signs) != 0).sum() == 2
    assert np.abs(composed(linalg.chebyshev(8, lower=0.1), s) - 1).max() < 1e-12
    assert all(c == 0 for _, _, c in first)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linalg.keller(0), "keller: steps must be at least 1, got 0"),
        (lambda: linalg.polar_express(0), "polar_express: steps must be at least 1"),
        (lambda: linalg.polar_express(lower=0.0), r"lower must be in \(0, 1\), got 0.0"),
        (lambda: linalg.polar_express(cushion=1.5), r"cushion must be in \(0, 1\), got 1.5"),
        (lambda: linalg.polar_express(safety=0.9), "safety must be at least 1, got 0.9"),
        (lambda: linalg.chebyshev(0), "chebyshev: steps must be at least 1"),
        (lambda: linalg.chebyshev(lower=2.0), r"lower must be in \(0, 1\), got 2.0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_guide_shows_the_errors():
    text = (pathlib.Path(__file__).parents[2] / "optcore/linalg/README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 7
    for line in rows:
        call, steps, products, *errors = (cell.strip() for cell in line.strip("|").split("|"))
        coefficients = eval(call.strip("`"), vars(linalg))
        assert int(steps) == len(coefficients)
        assert int(products) == sum(3 if c else 2 for _, _, c in coefficients)
        for lower, error in zip((1e-3, 1e-2, 1e-1), errors, strict=True):
            s = np.geomspace(lower, 1, 400001)
            found = np.abs(composed(coefficients, s) - 1).max()
            assert found == pytest.approx(float(error), rel=0.06, abs=1e-14)
