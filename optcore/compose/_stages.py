"""The kinds of updates (gradients, directions, steps), and the orders of a chain to refuse."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._core import children, is_declared, loss_scale_in

_TURNED = "it would treat the steps of descent as gradients and turn them into steps of ascent"
_SCALE = "to change the size of steps use scale"
_GROW = (
    "behind steps of descent the weights would grow: put it in front of the learning rate, or use "
    "add_independent_decayed_weights"
)
_FROZEN = (
    "parameters frozen in front of it would still {}: freeze last, or use route(…, FREEZE), "
    "where frozen parameters have no state and do not move"
)

NONSENSE: Mapping[tuple[str, str], str] = {
    ("optimizer", "optimizer"): f"{_TURNED}; to train some parameters with each use route",
    ("optimizer", "rate"): f"{_TURNED}; {_SCALE}",
    ("optimizer", "direction"): (
        "it would treat the steps of descent as gradients, learning rate and decay included: put "
        "it in front, and its optimizer's direction (scale_by_…) in the optimizer's place"
    ),
    ("optimizer", "decay"): _GROW,
    ("rate", "optimizer"): f"{_TURNED}; the optimizer has a learning rate of its own",
    ("rate", "rate"): f"{_TURNED}; {_SCALE}, and for other rates of other parameters route",
    ("rate", "decay"): _GROW,
    ("freeze", "optimizer"): _FROZEN.format("have moments, and decay"),
    ("freeze", "drift"): _FROZEN.format("decay or shake, unless its mask says otherwise"),
}
"""Why the second may not follow the first, at any distance. The parts are: an optimizer; a
direction; a rate, which turns directions into steps; a decay of directions; a drift, which moves
parameters also where the update is zero; and a freeze, which makes it zero."""


def check_order(owner: str, transforms: Sequence[Any]) -> None:
    """Refuse a chain in which a transformation would treat steps as gradients.

    Transformations of other libraries are never refused. Neither are two rates that each apply to
    some of the parameters, because they may apply to different ones.

    Raises:
      ValueError: two of them may not be in this order; the message says why.
    """
    links = list(_links(transforms))
    for i, (later, later_parts) in enumerate(links):
        known = [earlier for earlier, _ in links[:i] if is_declared(earlier)]
        scale = loss_scale_in(later)
        if known and scale:
            raise ValueError(
                f"{owner}: {_name(later)} is behind {_name(known[0])}, which would see the "
                f"gradients of a scaled loss: use {scale}({owner}(...))"
            )
        for earlier, earlier_parts in links[:i]:
            for a in sorted(earlier_parts):
                for b in sorted(later_parts):
                    if (a, b) == ("rate", "rate") and _in_part(earlier) and _in_part(later):
                        continue
                    if (a, b) in NONSENSE:
                        raise ValueError(
                            f"{owner}: {_name(later)} is behind {_name(earlier)}: {NONSENSE[a, b]}"
                        )


def gives_steps(tx: Any) -> bool:
    """Whether it is known to give steps of descent: an optimizer, or a chain that makes one."""
    return "optimizer" in parts(tx)


def parts(tx: Any) -> frozenset[str]:
    """The kind of a whole transformation."""
    if not is_declared(tx):
        return frozenset()
    factory, arguments = tx.declaration.factory, tx.declaration.arguments
    if factory.kind in ("optimizer", "direction"):
        return frozenset([factory.kind])
    if factory.chains:
        found = frozenset().union(*(p for _, p in _links(members(tx))))
        return found - {"rate"} | {"optimizer"} if "rate" in found else found
    if factory.kind == "wrapper":
        found = frozenset().union(*map(parts, members(tx)))
        return found - {"drift"} if factory.partial == "parameters" else found
    if factory.stage == "rate":
        return frozenset(["rate"] if arguments.get("flip_sign", True) else [])
    everywhere = arguments.get("mask") is None
    if factory.stage == "decay":
        return frozenset(["decay", "drift"] if everywhere else ["decay"])
    if factory.stage == "drift":
        return frozenset(["drift"] if everywhere else [])
    return frozenset() if factory.stage is None else frozenset([factory.stage])


def _in_part(tx: Any) -> bool:
    """Whether it may apply a rate to some of the parameters only."""
    partial = tx.declaration.factory.partial if is_declared(tx) else None
    all_have_rates = all("rate" in parts(member) for member in members(tx))
    return partial == "parameters" and not all_have_rates


def _links(transforms: Sequence[Any]) -> Iterator[tuple[Any, frozenset[str]]]:
    """The links of a chain, including those of chains inside it, with their kinds."""
    for tx in transforms:
        if is_declared(tx) and tx.declaration.factory.chains:
            yield from _links(members(tx))
        else:
            yield tx, parts(tx)


def members(tx: Any) -> list[Any]:
    """The transformations among its arguments, in the order of the arguments."""
    return [part.value for part in children(tx, given=True) if part.is_transformation]


def _name(tx: Any) -> str:
    return tx.declaration.name if is_declared(tx) else type(tx).__name__
