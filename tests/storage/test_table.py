"""The guide's table of formats: its rows, and that what it promises to train does."""

import functools
import re

import jax
import pytest

from tests import storage_table
from tests.examples import need
from tests.storage_table import FORMATS

need("sklearn")
TASKS = {"digits": storage_table.digits, "characters": storage_table.language}
BY_NAME = {format.name: format for format in FORMATS}


def rows():
    """The cells of each row of the guide's table, by the format's name."""
    text = storage_table.GUIDE.read_text()
    table = text.partition(storage_table.BEGIN)[2].partition(storage_table.END)[0]
    cells = [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_table_has_every_format():
    assert list(rows()) == list(BY_NAME)
    for name, (*_, verdict) in rows().items():
        holds = BY_NAME[name].holds
        assert verdict.endswith("(may miss)") != holds, name
        assert not holds or verdict in ("yes", "-"), name


@pytest.mark.parametrize("name", ["adam, float32", 'split_weights(store(adam, "int8"), 8)'])
def test_bytes_are_those_of_the_table(name):
    square, awkward, *_ = rows()[name]
    assert square == f"{storage_table.bytes_per_parameter(BY_NAME[name], (1024, 1024)):.3f}"
    assert awkward == f"{storage_table.bytes_per_parameter(BY_NAME[name], (257, 1001)):.3f}"


@functools.cache
def trained(task, name):
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return storage_table.final_losses(TASKS[task](), BY_NAME[name])


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", [f.name for f in FORMATS[1:] if f.holds])
def test_it_trains_as_float32_does(task, name):
    """The mean over the seeds lies within their spread in float32."""
    reference = trained(task, FORMATS[0].name)
    assert reference.mean() < 0.6
    assert storage_table.as_good(trained(task, name), reference)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_bfloat16_alone_does_not(task):
    """Otherwise the test above would show nothing."""
    reference = trained(task, FORMATS[0].name)
    assert not storage_table.as_good(trained(task, "adam, bfloat16 parameters"), reference)
