"""A progress bar for long work on a terminal."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def progress_bar(total: int, unit: str, wanted: bool) -> Iterator[Callable[[int], Any]]:
    """A function to call with the number of units done since the last call.

    It draws a bar with tqdm, if that is installed, stderr is a terminal, and it is `wanted`;
    otherwise it does nothing.
    """
    tqdm = _tqdm() if wanted and sys.stderr is not None and sys.stderr.isatty() else None
    if tqdm is None:
        yield lambda done: None
        return
    with tqdm(total=total, unit=unit) as bar:
        yield bar.update


def _tqdm() -> Any:
    try:
        import tqdm
    except ImportError:
        return None
    return tqdm.tqdm
