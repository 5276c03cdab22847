"""Which parameters a rule matches: by path, rank, shape or dtype, and combinations of these."""

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import is_none, named_parameters

Pattern = str | re.Pattern[str] | Callable[[str, Any], bool]
"""A pattern that matches parameters: a glob or a regular expression over the path, or a function
of `(path, leaf)`, such as a `Predicate`."""


@dataclasses.dataclass(frozen=True)
class Predicate:
    """A function `(path, leaf) -> bool` that combines with `&`, `|` and `~`.

    `has_path`, `has_ndim`, `has_shape` and `has_dtype` make predicates. They are compared by value,
    print as the expression that makes them, and can be part of a config. The other side of `&` and
    `|` may be any function of `(path, leaf)`. They serve as rules of `route`, and as masks.

    Attributes:
      name: the property that is tested.
      arguments: the values to test for.

    >>> import jax.numpy as jnp
    >>> hidden = has_ndim(2) & ~has_path("embed/*")
    >>> hidden
    has_ndim(2) & ~has_path('embed/*')
    >>> hidden("dense/kernel", jnp.zeros((2, 3))), hidden("embed/table", jnp.zeros((2, 3)))
    (True, False)
    """

    name: str
    arguments: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.name not in _TESTS:
            raise ValueError(
                f"Predicate: name must be one of {', '.join(_TESTS)}, got {self.name!r}"
            )

    def __call__(self, path: str, leaf: Any) -> bool:
        """Whether it matches the parameter `leaf` at `path`."""
        return _TESTS[self.name](path, leaf, *self.arguments)

    def on_tree(self, params: Any) -> Any:
        """A tree like the parameters that holds the answer for each, as masks need it."""
        treedef = jax.tree.structure(params, is_leaf=is_none)
        answers = [
            None if leaf is None else bool(self(path, leaf))
            for path, leaf in named_parameters(params)
        ]
        return treedef.unflatten(answers)

    def __and__(self, other: Any) -> "Predicate":
        return self._with("and", self, other)

    def __rand__(self, other: Any) -> "Predicate":
        return self._with("and", other, self)

    def __or__(self, other: Any) -> "Predicate":
        return self._with("or", self, other)

    def __ror__(self, other: Any) -> "Predicate":
        return self._with("or", other, self)

    def __invert__(self) -> "Predicate":
        return Predicate("not", (self,))

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is a function of (path, leaf): combine it with &, | and ~")

    def __repr__(self) -> str:
        shown = [repr(x) for x in self.arguments]
        if self.name not in _SIGNS:
            return f"{self.name}({', '.join(shown)})"
        shown = [
            f"({s})" if self._binds(x) else s for s, x in zip(shown, self.arguments, strict=True)
        ]
        sign = _SIGNS[self.name]
        return f"{sign}{shown[0]}" if self.name == "not" else f" {sign} ".join(shown)

    def _binds(self, part: Any) -> bool:
        """Whether a part of this expression needs brackets."""
        return isinstance(part, Predicate) and part.name in _SIGNS and part.name != "not"

    @staticmethod
    def _with(name: str, first: Any, second: Any) -> "Predicate":
        for side in (first, second):
            if not callable(side):
                raise TypeError(
                    f"a predicate combines with functions of (path, leaf), got {side!r}; "
                    "for a path use has_path"
                )
        return Predicate(name, (first, second))


_SIGNS = {"and": "&", "or": "|", "not": "~"}


def has_path(pattern: str | re.Pattern[str]) -> Predicate:
    """Parameters whose path matches.

    Args:
      pattern: a glob over the whole path: `*` matches any characters, including `/`, `?` matches
        one character, and `[ab]` one of several; case matters. A glob that begins with `*/` also
        matches at the top of the tree: `*/bias` matches every leaf called `bias`. Or a compiled
        regular expression, which is searched for in the path.

    A path consists of the keys, indices and attributes that lead to the leaf, joined by `/`,
    without the attribute `value` of Flax boxes: `encoder/layers/0/bias`.

    Raises:
      TypeError: the pattern is neither.

    >>> import re
    >>> has_path("*/bias")("decoder/0/bias", None), has_path("*/bias")("bias", None)
    (True, True)
    >>> has_path(re.compile(r"^layers/[0-3]/"))("layers/4/bias", None)
    False
    """
    if not isinstance(pattern, (str, re.Pattern)):
        raise TypeError(
            f"has_path: pattern must be a glob or a compiled regular expression, got {pattern!r}"
        )
    return Predicate("has_path", (pattern,))


def has_ndim(*ranks: int) -> Predicate:
    """Parameters whose number of axes is one of these.

    Args:
      ranks: 0 for scalars, 1 for vectors, 2 for matrices.

    Raises:
      TypeError: a rank is not an int, or no rank is given.

    >>> import jax.numpy as jnp
    >>> has_ndim(0, 1)("bias", jnp.zeros(3)), has_ndim(0, 1)("kernel", jnp.zeros((3, 3)))
    (True, False)
    """
    if not ranks or not all(_is_size(rank) for rank in ranks):
        raise TypeError(f"has_ndim: ranks must be ints ≥ 0, at least one, got {ranks!r}")
    return Predicate("has_ndim", tuple(int(rank) for rank in ranks))


def has_shape(*shape: int | None) -> Predicate:
    """Parameters of this shape.

    Args:
      shape: a size per axis; `None` matches any size.

    Raises:
      TypeError: a size is neither an int nor `None`.

    >>> import jax.numpy as jnp
    >>> has_shape(None, 3)("w", jnp.zeros((7, 3))), has_shape(None, 3)("w", jnp.zeros(3))
    (True, False)
    """
    if not all(size is None or _is_size(size) for size in shape):
        raise TypeError(f"has_shape: sizes must be ints ≥ 0 or None, got {shape!r}")
    return Predicate("has_shape", tuple(size if size is None else int(size) for size in shape))


def has_dtype(*dtypes: Any) -> Predicate:
    """Parameters of one of these dtypes.

    Raises:
      TypeError: an argument is not a dtype, or no dtype is given.

    >>> import jax.numpy as jnp
    >>> has_dtype("bfloat16", "float16")("w", jnp.zeros(3, jnp.bfloat16))
    True
    """
    if not dtypes:
        raise TypeError("has_dtype: expected at least one dtype, got none")
    try:
        return Predicate("has_dtype", tuple(jnp.dtype(dtype).name for dtype in dtypes))
    except TypeError as error:
        raise TypeError(f"has_dtype: expected dtypes, got {dtypes!r}") from error


def _is_size(x: Any) -> bool:
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool) and int(x) >= 0


def _path_matches(path: str, leaf: Any, pattern: str | re.Pattern[str]) -> bool:
    if isinstance(pattern, re.Pattern):
        return pattern.search(path) is not None
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(f"/{path}", pattern)


def _shape_matches(path: str, leaf: Any, *shape: int | None) -> bool:
    got = np.shape(leaf)
    return len(got) == len(shape) and all(
        want in (None, size) for want, size in zip(shape, got, strict=True)
    )


def _dtype_matches(path: str, leaf: Any, *names: str) -> bool:
    return jnp.dtype(jnp.result_type(leaf)).name in names


_TESTS: Mapping[str, Callable[..., bool]] = {
    "has_path": _path_matches,
    "has_ndim": lambda path, leaf, *ranks: np.ndim(leaf) in ranks,
    "has_shape": _shape_matches,
    "has_dtype": _dtype_matches,
    "and": lambda path, leaf, *both: all(answer(one, path, leaf) for one in both),
    "or": lambda path, leaf, *both: any(answer(one, path, leaf) for one in both),
    "not": lambda path, leaf, inner: not inner(path, leaf),
}


def answer(pattern: Pattern, path: str, leaf: Any) -> bool:
    """Whether a pattern matches the parameter `leaf` at `path`.

    Raises:
      TypeError: a function returned something other than True or False.
    """
    if isinstance(pattern, (str, re.Pattern)):
        return _path_matches(path, leaf, pattern)
    said = pattern(path, leaf)
    if not isinstance(said, (bool, np.bool_)):
        raise TypeError(
            f"{pattern!r} must return True or False for the parameter {path!r}, got {said!r}; it "
            "may look at the path, the shape and the dtype, but not at the values"
        )
    return bool(said)
