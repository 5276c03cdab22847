"""Transformations one after another; optcore's are computed in one function per leaf."""

from collections import OrderedDict
from typing import Any

import optax

from .._core import GradientTransformation, Leafwise, begin, settle, within
from ._door import dtypes_are_ours, instead_of, like

Pair = GradientTransformation


@instead_of(optax.chain)
def chain(*args: Any) -> Pair:
    if not args:
        raise ValueError("chain() needs at least one transformation")
    links = [
        link if isinstance(link, Leafwise) else optax.with_extra_args_support(link) for link in args
    ]
    ours = [isinstance(link, Leafwise) or dtypes_are_ours(link) for link in links]

    def init(params: Any) -> tuple[Any, ...]:
        return tuple(link.init(params) for link in links)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        if len(state) != len(links):
            raise ValueError(
                f"chain: expected the states of {len(links)} transformations, got {len(state)}; "
                "was the state made by this chain's init?"
            )
        # The updates have the dtypes that the next part, from optax or the user, expects.
        model, new_state = updates, []
        updates = begin(updates)
        for link, own, s in zip(links, ours, state, strict=True):
            if own:
                updates, s = link.update(updates, s, params, **extra)
            else:
                updates = like(settle(updates), settle(model), params)
                with within("outermost"):
                    updates, s = link.update(updates, s, params, **extra)
                model = updates
            new_state.append(s)
        if ours[-1] and not all(ours):
            updates = like(settle(updates), settle(model), params)
        return updates, tuple(new_state)

    return Leafwise(init, update)


@instead_of(optax.named_chain)
def named_chain(*args: Any) -> Pair:
    names = [name for name, _ in args]
    if len(set(names)) < len(names):
        raise ValueError(f"named_chain: each name must occur once, got {names}")
    links = [transformation for _, transformation in args]
    inner = chain(*links) if links else optax.named_chain()

    def init(params: Any) -> OrderedDict[str, Any]:
        return OrderedDict(zip(names, inner.init(params), strict=True))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        states = tuple(state[name] for name in names)
        updates, states = inner.update(updates, states, params, **extra)
        return updates, OrderedDict(zip(names, states, strict=True))

    return Leafwise(init, update) if links else inner
