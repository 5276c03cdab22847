"""Passes over memory: how often the compiled step reads or writes an array like the parameters.

Counted in the program that XLA made, so it is the same in every run, and says what bounds a row
of `large`.
"""

import math
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from .rows import OPTIMIZERS, Optimizer, composed, matrix, step
from .timing import Row

SIZE = 1 << 20
INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%(\S+) = (.*?) ([\w-]+)\((.*?)\)(?:, |$)")
SHAPE = re.compile(r"\b[a-z]+\d+\[([\d,]*)\]")
OPERAND = re.compile(r"%([\w.-]+)")
BRANCHES = re.compile(r"(?:branch_computations=\{([^}]*)\}|(?:true|false)_computation=(%[\w.-]+))")
FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "opt-barrier"}
RESCUE = "while"
"""What sums a norm, a second time only where it overflowed; large leaves are summed before it."""


def measure(options: Any) -> Iterator[Row]:
    """Per optimizer, alone and behind a clip with a schedule, on one large leaf."""
    for clipped in (False, True):
        for optimizer in OPTIMIZERS:
            name = optimizer.name + (", clip, schedule" if clipped else "")
            if options.picks("passes", name):
                yield _one(optimizer, clipped, name, options)


def _one(optimizer: Optimizer, clipped: bool, name: str, options: Any) -> Row:
    found = {}
    for library, lib in optimizer.libraries().items():
        tx = composed(lib, optimizer) if clipped else optimizer.make(lib, 1e-3)
        found[library], state = _compiled(lib, tx, options)
    # Parameters and state are read and written, gradients read, twice if clipped.
    floor = (4 if clipped else 3) + 2 * state
    ours = found["optcore"]
    ratios = {peer: ours / passes for peer, passes in found.items() if peer != "optcore"}
    return Row("passes", name, ours, "passes", ratios | {"floor": ours / floor})


def _compiled(lib: Any, tx: Any, options: Any) -> tuple[float, float]:
    """Passes of the step, and of arrays in the state."""
    params = jax.ShapeDtypeStruct(matrix(SIZE), jnp.float32)
    state = jax.eval_shape(tx.init, params)

    compiled = step(lib, tx, options.compiler_options).lower(params, state, params).compile()
    kept = sum(x.size for x in jax.tree.leaves(state)) / SIZE
    return passes(compiled.as_text()), kept


def passes(program: str) -> float:
    """Elements that the entry of an HLO program reads and writes, in units of `SIZE`."""
    computations = {}
    for block in program.split("\n\n"):
        header, _, body = block.strip("\n").partition("\n")
        name = header.removeprefix("ENTRY ").partition(" ")[0].lstrip("%")
        computations["ENTRY" if header.startswith("ENTRY ") else name] = body.splitlines()
    return _moved(computations, "ENTRY") / SIZE


def _moved(computations: dict[str, list[str]], name: str) -> int:
    """Elements that a computation moves; of branches the one that moves most."""
    sizes: dict[str, int] = {}
    moved = 0
    for line in computations[name]:
        found = INSTRUCTION.match(line)
        if found is None:
            continue
        result, kind, operation, operands = found.groups()
        dims = (text.split(",") if text else [] for text in SHAPE.findall(kind))
        sizes[result] = sum(math.prod(map(int, d)) for d in dims)
        if operation == "conditional":
            branches = OPERAND.findall(" ".join(map("".join, BRANCHES.findall(line))))
            moved += max(_moved(computations, branch) for branch in branches)
        elif operation not in FREE and operation != RESCUE:
            moved += sizes[result] + sum(sizes.get(x, 0) for x in OPERAND.findall(operands))
    return moved
