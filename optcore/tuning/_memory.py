"""An estimate of a program's memory before it runs."""

import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.extend import core


def device_memory() -> float:
    """The memory of the device, or of the machine, in bytes; infinity if it is unknown."""
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit:
        return float(limit)
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def live_bytes(jaxpr: Any) -> int:
    """The peak number of bytes that are live at once in a traced program.

    Its inputs and constants do not count. Compilers merge operations and need less.
    """
    last: dict[Any, int] = {v: len(jaxpr.eqns) for v in jaxpr.outvars if _is_variable(v)}
    for i, equation in enumerate(jaxpr.eqns):
        for v in filter(_is_variable, equation.invars):
            last[v] = max(i, last.get(v, i))
    live, peak, made = 0, 0, set()
    for i, equation in enumerate(jaxpr.eqns):
        inner = max((live_bytes(sub) for sub in _inside(equation)), default=0)
        outs = sum(map(_bytes, equation.outvars))
        peak = max(peak, live + max(inner, outs))
        made |= set(equation.outvars)
        live += outs
        dead = {v for v in (*equation.invars, *equation.outvars) if _is_variable(v) and v in made}
        live -= sum(_bytes(v) for v in dead if last.get(v, i) == i)
    return peak


def _is_variable(v: Any) -> bool:
    return not isinstance(v, core.Literal)


def _bytes(v: Any) -> int:
    return int(np.prod(v.aval.shape)) * getattr(v.aval.dtype, "itemsize", 4)


def _inside(equation: Any) -> Iterator[Any]:
    """The programs that an operation such as a scan runs."""
    for value in equation.params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(part, core.ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, core.Jaxpr):
                yield part
