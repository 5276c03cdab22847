"""The values of codes, against the published ones."""

import json
import pathlib

import numpy as np
import pytest

import optcore
from optcore.storage._maps import linear_map

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "golden" / "quantization_maps.json").read_text()
)
MAPS = {
    "ao_signed8": optcore.storage.dynamic_map(signed=True),
    "ao_unsigned8": optcore.storage.dynamic_map(signed=False),
    "ao_signed4": optcore.storage.dynamic_map(signed=True, bits=4),
    "ao_unsigned4": linear_map(16),
}


@pytest.mark.parametrize("name", MAPS)
def test_they_are_the_published_ones(name):
    np.testing.assert_array_equal(MAPS[name], np.float32(GOLDEN[name]))


def test_bad_arguments():
    for wrong in (1, 9):
        with pytest.raises(ValueError, match="bits must lie in"):
            optcore.storage.dynamic_map(signed=True, bits=wrong)


def test_a_map_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        optcore.storage.dynamic_map(signed=True)[0] = 1.0
