"""The caller of a transformation: the user, or another one that has checked its arguments."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Literal

Mode = Literal["outermost", "eager", "traced"]

_local = threading.local()


def mode() -> Mode:
    """The caller: the user, a transformation that runs eagerly, or one that is traced."""
    return getattr(_local, "mode", "outermost")


@contextlib.contextmanager
def within(inner: Mode) -> Iterator[None]:
    """Mark calls inside as inner: the outermost call has checked its arguments."""
    before = mode()
    _local.mode = inner
    try:
        yield
    finally:
        _local.mode = before
