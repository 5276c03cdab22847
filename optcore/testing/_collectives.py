"""The collectives of a compiled program, found in its text."""

import collections
import re
from collections.abc import Mapping

KINDS = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
_CALL = re.compile(rf" ({'|'.join(KINDS)})(?:-start)?\(")
_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.-]+) .*\{$", re.MULTILINE)
_NAME = re.compile(r"%([\w.-]+)")
_LOOP = re.compile(r" while\(.*(?:condition|body)=%?([\w.-]+), (?:condition|body)=%?([\w.-]+)")


def collectives(text: str) -> dict[str, int]:
    """The number of collectives of each kind in a compiled program.

    Args:
      text: `jax.jit(f).lower(...).compile().as_text()`.

    >>> collectives("  x = f32[] all-reduce(y), channel_id=1")
    {'all-reduce': 1}
    """
    return dict(collections.Counter(_CALL.findall(text)))


def collectives_in_loops(text: str) -> dict[str, int]:
    """Collectives that run once per loop iteration, which cannot be combined with others."""
    bodies = _computations(text)
    inside: set[str] = set()
    new = {name for found in _LOOP.findall(text) for name in found}
    while new:
        inside |= new
        new = {n for name in new for n in _NAME.findall(bodies.get(name, ""))} & bodies.keys()
        new -= inside
    return collectives("\n".join(bodies.get(name, "") for name in sorted(inside)))


def _computations(text: str) -> Mapping[str, str]:
    heads = list(_HEAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return {head.group(1): text[head.end() : end] for head, end in zip(heads, ends, strict=True)}
