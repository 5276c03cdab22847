"""The chapter's README runs."""

import re

import optcore.optax
from tests.optax.tables import README


def test_its_code_runs():
    namespace = {"__name__": "readme"}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(block, namespace)
    assert repr(namespace["optimizer"]).startswith(
        "chain(clip_by_global_norm(max_norm=1.0), adamw("
    )


def test_the_native_names_are_there():
    for name in re.findall(r"optcore\.(\w+)\(", README):
        assert hasattr(optcore, name), name
