"""Fewer bits: the donated step of one large leaf against that of Adam in float32."""

from collections.abc import Iterator
from typing import Any

import optcore

from .large import donated_step
from .rows import LARGE, STORED
from .timing import Row, interleave, row


def measure(options: Any) -> Iterator[Row]:
    """Per format, with the bytes of its state and parameter in the note."""
    size = options.size or LARGE
    for name, (dtype, wrap) in STORED.items():
        if not options.picks("storage", name):
            continue
        adam = optcore.adam(1e-3)
        plain, _ = donated_step(optcore, adam, size, 1, options)
        ours, state_bytes = donated_step(optcore, wrap(adam), size, 1, options, dtype)
        samples = interleave({"optcore": ours, "adam": plain}, options.repeats)
        note = f"bytes of state per parameter: {state_bytes / size:.3g}, of adam 8"
        yield row("storage", f"adam, {name}", samples, note)
