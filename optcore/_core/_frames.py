"""Tracebacks that show the code of the caller and of the algorithm, without frames between."""

import os
import types

import jax

_HERE = os.path.dirname(__file__)


def shorten(error: Exception) -> None:
    """Remove the frames of the core from the traceback of an error and of its causes.

    The frame that raised is kept. Nothing changes if JAX is set to show its own frames.
    """
    if getattr(jax.config, "jax_traceback_filtering", "auto") == "off":
        return
    errors: list[BaseException | None] = [error]
    seen: set[int] = set()
    while errors:
        one = errors.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = _without_core(one.__traceback__)
            errors += [one.__cause__, one.__context__]


def _without_core(trace: types.TracebackType | None) -> types.TracebackType | None:
    frames = []
    while trace is not None:
        last = trace.tb_next is None
        if last or os.path.dirname(trace.tb_frame.f_code.co_filename) != _HERE:
            frames.append(trace)
        trace = trace.tb_next
    kept = None
    for frame in reversed(frames):
        kept = types.TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept
