"""Codecs: the published round trip, nearest codes, second moments that stay positive."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.storage._codecs import CODECS, Encoded, decode, encode
from tests.storage.narrow import across_exponents

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "golden" / "quantization_maps.json").read_text()
)
SIGNS = pytest.mark.parametrize("signed", [True, False], ids=["signed", "nonnegative"])
# The largest error in units of the block's largest element.
ERRORS = {
    ("int8", True): 0.0071,
    ("int8", False): 0.0036,
    ("int8_softsign", True): 0.0080,
    ("int8_softsign", False): 0.0041,
    ("int8_linear", True): 0.004,
    ("fp8", True): 0.0358,
    ("fp8", False): 0.0358,
    ("int4", True): 0.1126,
    ("int4", False): 0.0625,
}


def test_published_round_trip():
    i = np.arange(1024)
    x = jnp.float32(np.sin(0.37 * i) * 10.0 ** (-3 * (i % 7) / 6))
    expected = GOLDEN["roundtrip"]
    codes, scales = encode(x, None, "int8", True, 256)
    np.testing.assert_allclose(scales, np.float32(expected["scale"]), rtol=1e-7)
    assert codes[:16].tolist() == expected["codes_first16"]
    assert int(codes.astype(jnp.int32).sum()) == expected["codes_sum"]
    error = np.asarray(decode(Encoded(codes, scales), "int8", True, 256) - x, np.float64)
    assert np.abs(error).max() == pytest.approx(expected["max_abs_err"], rel=1e-5)
    relative = np.sqrt(np.sum(error**2) / np.sum(np.asarray(x, np.float64) ** 2))
    assert relative == pytest.approx(expected["rel_rms_err"], rel=1e-5)


@SIGNS
def test_dynamic_codes_are_the_nearest(signed):
    """Against a search, also one float to either side of where the code changes."""
    values = optcore.storage.dynamic_map(signed=signed)
    edges = (values[1:] + values[:-1]) / np.float32(2)
    near = [np.nextafter(edges, np.float32(s)) for s in (-2, 2)]
    spread = across_exponents(50_000, -26, 0, 3)
    spread = spread if signed else np.abs(spread)
    x = np.concatenate([edges, *near, values, spread, [1.0]]).astype(np.float32)
    codes, scales = encode(x, None, "int8", signed, x.size)
    assert scales.tolist() == [1.0]
    expected = np.searchsorted(edges, x, side="right")
    expected = expected if signed else np.where(x > 0, np.maximum(expected, 1), expected)
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize(("name", "signed"), ERRORS)
def test_round_trip_error(name, signed):
    """Of numbers of one size, in units of the largest in the block."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-3 if signed else 0, 3, (5, 70)).astype(np.float32)
    block = 32
    back = np.asarray(decode(encode(x, None, name, signed, block), name, signed, block))
    assert back.shape == x.shape
    blocks = [slice(0, 32), slice(32, 64), slice(64, 70)]
    worst = max(
        (np.abs(back - x)[:, b] / np.abs(x)[:, b].max(axis=1, keepdims=True)).max() for b in blocks
    )
    assert 0.5 * ERRORS[name, signed] < worst < ERRORS[name, signed]


@pytest.mark.parametrize(("name", "signed"), ERRORS)
def test_shapes_follow_the_parameter(name, signed):
    for shape in ((3, 2, 70), (33,)):
        codes, scales = encode(jnp.ones(shape), None, name, signed, 32)
        packed = name == "int4" and shape[-1] % 2 == 0
        assert codes.shape == (*shape[:-1], shape[-1] // (2 if packed else 1))
        assert scales.shape == (*shape[:-1], -(-shape[-1] // 32))
        np.testing.assert_allclose(
            decode(Encoded(codes, scales), name, signed, 32), np.ones(shape), rtol=2**-7
        )


@pytest.mark.parametrize(("name", "signed"), ERRORS)
@pytest.mark.parametrize("size", [1e-34, 1e-8, 1.0, 1e38])
def test_scales_hold_any_size(name, signed, size):
    x = jnp.float32([1.0, 0.5, 0.75, 0.25]) * size
    back = decode(encode(x, None, name, signed, 4), name, signed, 4)
    np.testing.assert_allclose(back, x, atol=0.13 * size)


@pytest.mark.parametrize(("name", "signed"), ERRORS)
def test_zeros_stay_zeros(name, signed):
    x = jnp.zeros((2, 64)).at[0, 0].set(1.0)
    back = decode(encode(x, None, name, signed, 32), name, signed, 32)
    assert not np.any(np.asarray(back)[1])
    assert not np.any(np.asarray(back)[0, 32:])
    tiny = jnp.full(64, 1e-40)
    assert np.isfinite(decode(encode(tiny, None, name, signed, 32), name, signed, 32)).all()


@pytest.mark.parametrize("name", [n for n in CODECS if n != "int8_linear"])
def test_positive_stays_positive(name):
    """A second moment far below the largest of its block does not become zero."""
    x = jnp.float32([1.0, 1e-3, 1e-7, 1e-12, 1e-30])
    back = np.asarray(decode(encode(x, None, name, False, 5), name, False, 5))
    assert (back > 0).all()


@pytest.mark.parametrize(("name", "signed"), ERRORS)
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_what_is_not_finite_is_not_hidden(name, signed, poison):
    x = jnp.ones(64).at[3].set(poison)
    back = np.asarray(decode(encode(x, None, name, signed, 32), name, signed, 32))
    assert not np.isfinite(back[3])
    assert np.isfinite(back[32:]).all()


def test_softsign_is_finest_near_zero():
    """Half as far apart near zero as near the largest, as the formula says."""
    codes, scales = jnp.int8([0, 1, 126, 127]), jnp.bfloat16([1.0])
    values = decode(Encoded(codes, scales), "int8_softsign", True, 4).tolist()
    assert values[1] - values[0] == pytest.approx(1 / 253)
    assert values[3] - values[2] == pytest.approx(1 - 126 / 128)


def test_encoding_is_compiled_into_one_program():
    """No map is searched element by element, and nothing is unrolled over a block."""
    text = jax.jit(lambda x: encode(x, None, "int8", True, 256)).lower(jnp.ones((4, 512))).as_text()
    assert "while" not in text
