"""Tracebacks that show the caller's code and an algorithm's, and not what lies between."""

import os
import types

import jax

_HERE = os.path.dirname(__file__)


def shorten(error: Exception) -> None:
    """Take the frames of the core out of an error's traceback, unless JAX is to show its own."""
    if getattr(jax.config, "jax_traceback_filtering", "auto") == "off":
        return
    frames, trace = [], error.__traceback__
    while trace is not None:
        if os.path.dirname(trace.tb_frame.f_code.co_filename) != _HERE:
            frames.append(trace)
        trace = trace.tb_next
    kept = None
    for frame in reversed(frames):
        kept = types.TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    error.__traceback__ = kept
