"""A transformation for each label of a tree of labels."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from .._core import (
    GradientTransformation,
    Mask,
    Params,
    State,
    Updates,
    is_none,
    is_partial,
    named_parameters,
    renamed,
    transformation,
)
from ..compose._chain import example_momentum
from ..transforms import set_to_zero, trace
from ._groups import Assign, Grouped, Groups
from ._masked import MaskedState, by_mask
from ._route import Labels, nearest_label, spread_labels


class PartitionState(NamedTuple):
    """The states of the transformations.

    Attributes:
      inner_states: a `MaskedState` per label, with `None` for the parameters of other labels.
    """

    inner_states: Mapping[Hashable, MaskedState]


@transformation(
    "wrapper",
    example={"transforms": {"all": example_momentum()}, "param_labels": "all"},
    partial="parameters",
    per_example="results",
)
def partition(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: Labels,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformation:
    """Give each parameter to the transformation of its label.

    `route` does the same by paths and shapes.

    Args:
      transforms: a transformation per label.
      param_labels: a tree of labels that is a prefix of the parameters, or a function from the
        parameters (or the updates, if `update` is given no parameters) to one.
      mask_compatible_extra_args: whether all extra arguments of `update` that are trees like the
        parameters are split too; `grad` always is, see `route`.

    Raises:
      ValueError: at `init`, a parameter's label has no transformation, or a transformation's
        label no parameter; or the labels do not fit the parameters; something contains
        `dynamic_loss_scale`, which must stand outside.
      TypeError: the labels cannot be sorted.

    >>> import jax.numpy as jnp, optcore
    >>> rates = {"fast": optcore.sgd(1.0), "slow": optcore.sgd(0.25)}
    >>> tx = partition(rates, {"w": "slow", "b": "fast"})
    >>> grads = {"w": jnp.float32(1.0), "b": jnp.float32(1.0)}
    >>> updates, _ = tx.update(grads, tx.init(grads))
    >>> updates["w"].item(), updates["b"].item()
    (-0.25, -1.0)
    """
    names = list(transforms)
    _check_sortable(names)

    def assign(tree: Any) -> list[int | None]:
        numbers: list[int | None] = []
        marks = spread_labels("partition", param_labels, tree)
        for (path, leaf), label in zip(named_parameters(tree), marks, strict=True):
            if leaf is not None and label not in transforms:
                raise ValueError(
                    f"partition: the parameter {path!r} has the label {label!r}, for which there "
                    f"is no transformation{nearest_label(label, names)}; the labels are "
                    f"{', '.join(map(repr, names)) or 'none'}"
                )
            numbers.append(None if leaf is None else names.index(label))
        return numbers

    def check_used(params: Params) -> None:
        numbers = assign(params)
        for i, label in enumerate(names):
            if i not in numbers:
                used = {names[n]: None for n in numbers if n is not None}
                raise ValueError(
                    f"partition: no parameter has the label {label!r}{nearest_label(label, used)}; "
                    f"the parameters have {', '.join(map(repr, used)) or 'none'}"
                )

    def init(params: Params) -> PartitionState:
        if not is_partial(params):
            check_used(params)
        return pair.init(params)

    pair = _partitioned("partition", transforms, assign, mask_compatible_extra_args)
    return Grouped(init, pair.update, pair.members, assign, pair.aggregation)


def _check_sortable(labels: Sequence[Any]) -> None:
    """Raise where JAX would fail to flatten a dict of the transformations, or of their states."""
    try:
        sorted(labels)
    except TypeError:
        raise TypeError(
            "partition: the labels are keys of a dict, which JAX must be able to sort; got "
            f"{', '.join(map(repr, labels))}; use strings alone, or an enum.StrEnum or IntEnum"
        ) from None


@transformation(
    "wrapper",
    example={"transforms": {"all": trace(0.5)}, "param_labels": "all"},
    partial="parameters",
    per_example="results",
)
def multi_transform(
    transforms: Mapping[Hashable, GradientTransformation],
    param_labels: Labels,
    *,
    mask_compatible_extra_args: bool = False,
) -> GradientTransformation:
    """Another name of `partition`, which optax had before.

    >>> import optcore
    >>> tx = multi_transform({"all": optcore.sgd(0.1)}, "all")
    >>> tx.init(0.0) == optcore.partition({"all": optcore.sgd(0.1)}, "all").init(0.0)
    True
    """
    return partition(
        transforms, param_labels, mask_compatible_extra_args=mask_compatible_extra_args
    )


@transformation(
    "wrapper", example={"freeze_mask": False}, partial="parameters", per_example="results"
)
def selective_transform(
    optimizer: GradientTransformation, *, freeze_mask: Mask
) -> GradientTransformation:
    """Train the parameters where the mask is False; the others stay, and cost no memory.

    Args:
      optimizer: what trains.
      freeze_mask: True where a parameter stays: a tree of booleans that is a prefix of the
        parameters, or a function from them to one.

    Raises:
      ValueError: the mask does not fit the parameters, or `optimizer` contains
        `dynamic_loss_scale`, which must stand outside.
      TypeError: the mask holds something other than booleans.

    Frozen means no decay too:

    >>> import jax.numpy as jnp, optcore
    >>> tx = selective_transform(optcore.adamw(0.1), freeze_mask={"a": True, "b": False})
    >>> params = {"a": jnp.ones(3), "b": jnp.ones(3)}
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> updates["a"].tolist()
    [0.0, 0.0, 0.0]
    """
    frozen = by_mask("selective_transform", freeze_mask)

    def assign(tree: Any) -> list[int | None]:
        leaves = jax.tree.leaves(tree, is_leaf=is_none)
        return [
            None if leaf is None else int(number is not None)
            for leaf, number in zip(leaves, frozen(tree), strict=True)
        ]

    return _partitioned(
        "selective_transform", {"train": optimizer, "freeze": set_to_zero()}, assign
    )


def _partitioned(
    owner: str,
    transforms: Mapping[Hashable, GradientTransformation],
    assign: Assign,
    split_trees: bool | None = None,
) -> Grouped:
    """The pair whose state is a `PartitionState`."""
    labels = list(transforms)
    groups = Groups(owner, list(transforms.values()), assign, split_trees)

    def states(inner: list[State]) -> PartitionState:
        return PartitionState(dict(zip(labels, map(MaskedState, inner), strict=True)))

    def inner(state: PartitionState) -> list[State]:
        return [state.inner_states[label].inner_state for label in labels]

    def init(params: Params) -> PartitionState:
        return states(groups.init(params))

    def update(
        updates: Updates, state: PartitionState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, PartitionState]:
        updates, new = groups.update(updates, inner(state), params, extra)
        return updates, states(new)

    parts = groups.aggregation()
    if parts is not None:
        parts = renamed(parts, inner, states)
    members = [(str(k), tx) for k, tx in transforms.items()]
    return Grouped(init, update, members, assign, parts)
