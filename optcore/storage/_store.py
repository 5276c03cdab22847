"""Low-bit moments for any optimizer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core import (
    Count,
    GradientTransformation,
    Key,
    Length,
    Params,
    State,
    Updates,
    adapt,
    flatten_like,
    increment,
    is_partial,
    key_data,
    leaf_keys,
    parameter_name,
    path_name,
    slot_of,
    transformation,
    typed_key,
    whole_size,
    zero_count,
)
from ._codecs import BF16, CODECS, Encoded, decode, encode
from ._slots import SLOTS, SlotKind, check_matches, check_rules, field_of, kind_of


class StoreState(NamedTuple):
    """The state of `inner`, with encoded arrays.

    Attributes:
      count: int32, updates made so far; only for a codec with stochastic rounding.
      key: the data of the user's key, uint32; only for such a codec.
      inner: the state of `inner`, with codes in place of each encoded array.
      scales: the block scales of each array of codes that has scales, by the array's path in
        `inner`, such as `0/mu/dense`.
    """

    count: jax.Array | None  # type: ignore[assignment]
    key: jax.Array | None
    inner: State
    scales: dict[str, jax.Array]


@transformation(
    "wrapper",
    example={"codec": "int8", "block": 2, "min_size": 1},
    per_example="results",
    all_reduces=1,
)
def store(
    inner: GradientTransformation,
    codec: str | Mapping[str, str] = "int8",
    *,
    key: Key | None = None,
    block: Length | None = None,
    min_size: Count = 4096,
    min_ndim: Length = 1,
    rules: Mapping[str, SlotKind] | None = None,
) -> GradientTransformation:
    """Store the moments of `inner` in few bits: decode before each step, encode after it.

    | codec | what is stored | block | bytes per number |
    |---|---|---|---|
    | `"bf16"` | bfloat16, rounded stochastically | - | 2 |
    | `"int8"` | the nearest value of `dynamic_map`, in units of the block's largest | 256 | 1.016 |
    | `"int8_softsign"` | int8 of `2x / (1 + abs(x))`, uint8 roots of second moments | 32 | 1.063 |
    | `"int8_linear"` | 127 even steps to either side; not for second moments | 256 | 1.016 |
    | `"fp8"` | float8 E4M3, in units of 1/448 of the block's largest | 256 | 1.016 |
    | `"int4"` | a signed dynamic map of 16 values; 1/16, …, 1 for second moments | 128 | 0.531 |

    `"int8"` is that of Dettmers et al. (arXiv 2110.02861), `"int4"` that of Li et al. (arXiv
    2309.01507) without rank-1 normalisation, `"int8_softsign"` that of FlashOptim (arXiv
    2602.23349) with scales in bfloat16, because float16 loses values below 6e-8. Other scales are
    float32. Blocks run along the last axis: codes have the shape of the array, and scales have that
    shape with the last axis divided, so both can be sharded like the parameter.

    The name of a state field determines whether it may be negative (`SLOTS` lists them all): first
    moments, sums and earlier gradients may, second moments may not. A positive second moment is
    never decoded as 0, because its first moment would then be divided by epsilon. Everything else
    is not encoded: counts, keys, hyper-parameters, copies and averages of parameters, step sizes,
    complex and double-precision arrays, and arrays of fewer than `min_size` elements or `min_ndim`
    axes. A number that is not finite makes its whole block non-finite.

    A sum rather than an average (`adagrad`, `madgrad`) stops growing once its increments are
    smaller than half the distance between two codes; with `"bf16"` it does not.

    Args:
      inner: any optimizer or direction.
      codec: a name, or a dict from a state field to a name; other fields are not encoded.
      key: a typed random key; required for `"bf16"`, and only for it.
      block: how many elements share a scale.
      min_size: float32 arrays with fewer elements are not encoded.
      min_ndim: float32 arrays with fewer axes are not encoded.
      rules: a dict from a regular expression, searched in the path of a state's array (such as
        `0/mu/encoder/kernel`), to `"signed"`, `"nonnegative"` or `"float32"` (not encoded). A rule
        takes precedence over the field's name; fields with unknown names need a rule.

    Raises:
      ValueError: no such codec, field or kind; a key or a block that the codec does not use; a
        large array without a rule or a known name; two rules that disagree, or one that matches
        nothing in the state; `"int8_linear"` for second moments; a `store` inside `inner`.
      TypeError: `"bf16"` without a key.

    Adam's state takes a quarter of the memory:

    >>> import jax, jax.numpy as jnp, optcore
    >>> params = jnp.zeros((64, 256))
    >>> for tx in (optcore.adam(1e-3), store(optcore.adam(1e-3), "int8")):
    ...     arrays = jax.tree.leaves(tx.init(params))
    ...     print(round(sum(x.nbytes for x in arrays) / params.size, 2))
    8.0
    2.03
    """
    _check(codec, key, block)
    check_rules(rules)
    inner, known = adapt(inner), dict(rules or {})

    def name_for(path: Any) -> str | None:
        return codec if isinstance(codec, str) else codec.get(field_of(path) or "")

    def plan(path: Any, x: Any) -> str | None:
        """The codec of an array of the first state, or `None` if it is not encoded."""
        name, kind = name_for(path), kind_of(path, known)
        if name is None or kind == "float32" or not _is_real(x):
            return None
        if name == "int8_linear" and kind == "nonnegative":
            raise ValueError(
                f"store: {path_name(path)!r} is a second moment, which int8_linear cannot hold: "
                "values below 1/254 of its block's largest would become 0, and the step that its "
                "root divides would explode; use 'int8' or 'int8_softsign', or a dict "
                "of codecs by field"
            )
        # A bfloat16 array stays bfloat16, stochastically rounded: in later steps, perhaps on some
        # of its rows, only the dtype tells whether an array is encoded for "bf16".
        few_bits = name == BF16 and x.dtype == jnp.bfloat16 and kind is not None
        if not few_bits and (x.ndim < min_ndim or whole_size(x) < max(min_size, 1)):
            return None
        if kind is None:
            raise ValueError(
                f"store: the state holds {path_name(path)!r}, {x.dtype}{list(x.shape)}, and no "
                "field on its path tells whether it may be negative; give a rule, such as "
                f"rules={{{path_name(path)!r}: 'signed'}}, or 'nonnegative', or 'float32' to "
                "leave it as it is"
            )
        return name

    def found(path: Any, codes: Any, scales: Any) -> str | None:
        """The codec of an array of a later state."""
        name = name_for(path)
        is_bf16 = name == BF16 and getattr(codes, "dtype", None) == jnp.bfloat16
        moment = kind_of(path, known) in ("signed", "nonnegative")
        return name if scales is not None or (is_bf16 and moment) else None

    def encoded(
        state: State, chosen: list[str | None], data: jax.Array | None, count: jax.Array | None
    ) -> StoreState:
        paths, treedef = jax.tree_util.tree_flatten_with_path(state)
        keys: list[Any] = [None] * len(paths)
        if key is not None and data is not None and count is not None:
            keys = flatten_like(treedef, leaf_keys(typed_key(data, key), count, state))
        codes, scales = [], {}
        for (path, x), name, own in zip(paths, chosen, keys, strict=True):
            both = Encoded(x, None)
            if name is not None:
                both = encode(x, own, name, kind_of(path, known) == "signed", block)
            codes.append(slot_of(x, both.codes))
            if both.scales is not None:
                scales[parameter_name(path)] = slot_of(x, both.scales)
        return StoreState(count, data, treedef.unflatten(codes), scales)

    def init(params: Params) -> StoreState:
        state = inner.init(params)
        _check_alone(state)
        if not is_partial(params):
            check_matches(state, known)
        chosen = [plan(path, x) for path, x in jax.tree_util.tree_flatten_with_path(state)[0]]
        count = None if key is None else zero_count()
        # XLA would compute the codes of zeros while it compiles, which takes a minute.
        state = jax.tree.map(_opaque, state)
        data = None if key is None else key_data(key)
        return encoded(state, chosen, data, count)

    def update(
        updates: Updates, state: StoreState, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, StoreState]:
        paths, treedef = jax.tree_util.tree_flatten_with_path(state.inner)
        parts = [
            (path, Encoded(codes, state.scales.get(parameter_name(path)))) for path, codes in paths
        ]
        chosen = [found(path, *both) for path, both in parts]
        whole = treedef.unflatten(
            both.codes
            if name is None
            else decode(both, name, kind_of(path, known) == "signed", block)
            for (path, both), name in zip(parts, chosen, strict=True)
        )
        updates, new = inner.update(updates, whole, params, **extra)
        count = None if state.count is None else increment(state.count)
        return updates, encoded(new, chosen, state.key, count)

    return GradientTransformation(init, update)


def _opaque(x: Any) -> Any:
    return slot_of(x, jax.lax.optimization_barrier(x)) if _is_real(x) else x


def _check_alone(state: State) -> None:
    """Raise if part of a state is already encoded: the two encodings could not be told apart."""
    paths, _ = jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_stored)
    for path, x in paths:
        if _is_stored(x):
            where = f" at {path_name(path)!r}" if path else ""
            raise ValueError(
                f"store: inner holds a store{where}, and a state cannot be encoded twice; use one "
                "store, with a dict from a state field to a codec, or route with a store in "
                "each part"
            )


def _is_stored(x: Any) -> bool:
    return isinstance(x, StoreState)


def _is_real(x: Any) -> bool:
    """Whether it is an array of real numbers that float32 can hold."""
    return getattr(x, "dtype", None) in (jnp.float32, jnp.bfloat16, jnp.float16)


def _check(codec: Any, key: Any, block: Any) -> None:
    if isinstance(codec, Mapping):
        unknown = [field for field in codec if field not in SLOTS]
        if unknown or not codec:
            got = repr(unknown[0]) if unknown else "none"
            raise ValueError(
                f"store: the keys of a dict of codecs must be state fields, of {', '.join(SLOTS)}; "
                f"got {got}"
            )
    names = list(codec.values()) if isinstance(codec, Mapping) else [codec]
    for name in names:
        if not isinstance(name, str) or name not in (BF16, *CODECS):
            options = ", ".join(map(repr, (BF16, *CODECS)))
            raise ValueError(f"store: codec must be one of {options}, got {name!r}")
    if BF16 in names and key is None:
        raise TypeError(
            "store: the codec 'bf16' rounds at random and needs a key, such as jax.random.key(0)"
        )
    if BF16 not in names and key is not None:
        raise ValueError(f"store: the codec {codec!r} rounds to nearest and uses no key")
    if block is not None and all(name == BF16 for name in names):
        raise ValueError(f"store: the codec {codec!r} has no scales, so no block, got {block}")
