"""The subject of the checks: a transformation, test parameters, and extra arguments."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from .._core import (
    REGISTRY,
    Declared,
    DeclaredTransformation,
    Factory,
    State,
    apply_updates,
    is_inexact,
    wide,
)

STEPS = 2
TOLERANCE = 2e-6


@dataclasses.dataclass(frozen=True)
class Subject:
    """A transformation under test.

    Attributes:
      name: for messages and test ids.
      tx: the transformation (or schedule).
      params: small test parameters; by default a nested tree.
      extra: the arguments that `update` needs besides updates, state and parameters.
      descends: whether its updates are steps that should lower a loss.
      complex: whether it is defined for complex parameters.
      per_example: whether it takes one gradient per example; it gets each gradient twice.
      strict: whether it refuses extra arguments that nothing in it takes.

    >>> import optcore
    >>> subject = Subject("mine", optcore.scale(-0.1), descends=True)
    >>> updates, state = subject.run()
    >>> len(updates)
    2
    """

    name: str
    tx: Any
    params: Any = dataclasses.field(default_factory=lambda: default_params())
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    descends: bool = False
    complex: bool = True
    per_example: bool = False
    strict: bool = False

    @property
    def declared(self) -> bool:
        """Whether it should have the declared properties (values, config, sweeps)."""
        return isinstance(self.tx, Declared)

    def update(self, grads: Any, state: State, params: Any, tx: Any = None) -> tuple[Any, State]:
        """One call of `update` with everything it needs."""
        if self.per_example:
            grads = jax.tree.map(lambda g: jnp.stack([g, g]), grads)
        return (tx or self.tx).update(grads, state, params, **self.extra)

    def run(self, tx: Any = None, params: Any = None, grads: Any = None) -> tuple[list[Any], State]:
        """The updates of a few steps at fixed parameters, and the last state."""
        params = self.params if params is None else params
        state = (tx or self.tx).init(params)
        made = []
        for step in range(STEPS):
            g = gradients(params, step) if grads is None else grads
            updates, state = self.update(g, state, params, tx)
            made.append(updates)
        return made, state


def default_params() -> Any:
    """A small nested tree: matrix, vector, scalar, `None`, empty and zero-size leaves."""
    return {
        "dense": {"kernel": sample((4, 3), 1), "bias": sample((3,), 2)},
        "scale": sample((), 3),
        "nothing": None,
        "empty": {},
        "none_of_it": jnp.zeros((0, 3)),
    }


def sample(shape: tuple[int, ...], seed: int, dtype: Any = jnp.float32) -> jax.Array:
    """Numbers of both signs with magnitudes between 0.1 and 2, determined by a seed."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], shape)
    values = signs * rng.uniform(0.1, 2.0, shape)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        values = values + 1j * rng.uniform(-1.0, 1.0, shape)
    return jnp.asarray(values, dtype)


def gradients(params: Any, step: int) -> Any:
    """Gradients like the parameters, different for each step; `None` for integers."""
    leaves, treedef = jax.tree.flatten(params)
    return treedef.unflatten(
        [
            sample(np.shape(p), 100 * (step + 1) + i, p.dtype) if is_inexact(p) else None
            for i, p in enumerate(leaves)
        ]
    )


def subjects(kind: str | None = None) -> list[Subject]:
    """The example of every registered factory of a kind; by default, of every transformation.

    >>> "adam" in [subject.name for subject in subjects("optimizer")]
    True
    """
    return [
        subject(factory)
        for factory in REGISTRY.values()
        if factory.kind == kind or (kind is None and factory.kind != "schedule")
    ]


def subject(factory: Factory) -> Subject:
    """The example of one factory."""
    return Subject(
        factory.name,
        factory.example(),
        extra={need: EXTRAS[need]() for need in factory.needs if need != "params"},
        descends=factory.kind == "optimizer",
        complex=not factory.real_only,
        per_example=factory.per_example == "aggregates",
        strict=factory.strict,
    )


def _quartic(params: Any) -> jax.Array:
    leaves = [p.astype(jnp.float32) for p in jax.tree.leaves(params) if is_inexact(p)]
    return sum((jnp.sum(p**4) for p in leaves), jnp.float32(0.0))


def _towards_zero(params: Any, step: int) -> Any:
    """A gradient of the sum of squares."""
    return jax.tree.map(lambda p: 0.3 * p if is_inexact(p) else None, params)


EXTRAS: Mapping[str, Any] = {
    "value": lambda: jnp.float32(1.0),
    "key": lambda: jax.random.key(0),
    "obj_fn": lambda: _quartic,
    "grad_fn": lambda: _towards_zero,
}


def assert_close(got: Any, expected: Any, tolerance: float = TOLERANCE, what: str = "") -> None:
    """Every leaf is within `tolerance` of the expected one, relative to its largest element."""
    got_leaves, expected_leaves = jax.tree.leaves(got), jax.tree.leaves(expected)
    assert jax.tree.structure(got) == jax.tree.structure(expected), (
        f"{what}: expected the structure {jax.tree.structure(expected)}, "
        f"got {jax.tree.structure(got)}"
    )
    for path, a, b in zip(_paths(expected), got_leaves, expected_leaves, strict=True):
        a, b = _as_numbers(a), _as_numbers(b)
        assert a.shape == b.shape, f"{what}{path}: expected shape {b.shape}, got {a.shape}"
        if not b.size:
            continue
        error, size = np.max(np.abs(a - b)), np.max(np.abs(b))
        assert error <= tolerance * size + 1e-30 or np.array_equal(a, b), (
            f"{what}{path}: differs by {error:.3g}, {error / (size or 1):.3g} of the largest "
            f"element; the tolerance is {tolerance:.3g}"
        )


def assert_finite(tree: Any, what: str) -> None:
    """No leaf holds NaN or an infinity."""
    for path, leaf in zip(_paths(tree), jax.tree.leaves(tree), strict=True):
        assert not is_inexact(leaf) or np.all(np.isfinite(_as_numbers(leaf))), (
            f"{what}{path} is not finite: {leaf}"
        )


def assert_same_types(got: Any, expected: Any, what: str) -> None:
    """Structure, shapes and dtypes are equal, and no leaf is weakly typed."""
    assert jax.tree.structure(got) == jax.tree.structure(expected), (
        f"{what}: the structure changed from {jax.tree.structure(expected)} "
        f"to {jax.tree.structure(got)}"
    )
    for path, a, b in zip(
        _paths(expected), jax.tree.leaves(got), jax.tree.leaves(expected), strict=True
    ):
        a_type, b_type = jax.typeof(a), jax.typeof(b)
        assert (a_type.shape, a_type.dtype) == (b_type.shape, b_type.dtype), (
            f"{what}{path}: expected {b_type}, got {a_type}"
        )
        assert not getattr(a_type, "weak_type", False), f"{what}{path} is weakly typed"


def assert_updates_fit(updates: Any, grads: Any, params: Any, what: str) -> None:
    """Updates have the parameters' shapes, in at least float32; `None` where the gradient is."""
    leaves, treedef = jax.tree.flatten(grads, is_leaf=lambda g: g is None)
    columns = (treedef.flatten_up_to(updates), treedef.flatten_up_to(params))
    for g, u, p in zip(leaves, *columns, strict=True):
        if g is None:
            assert u is None, f"{what}: expected None for a gradient that is None, got {u}"
            continue
        assert u.shape == p.shape, f"{what}: expected shape {p.shape}, got {u.shape}"
        assert u.dtype == wide(p.dtype), f"{what}: expected {wide(p.dtype)}, got {u.dtype}"


def traced_once(function: Any) -> Any:
    """`jit(function)`, which fails if it is traced a second time."""

    def traced(*args: Any) -> Any:
        return function(*args)

    # chex counts by name, and one name serves every subject.
    chex.clear_trace_counter()
    return jax.jit(chex.assert_max_traces(traced, n=1))


def training_step(subject: Subject) -> Any:
    """Map `(gradients, state, parameters)` to parameters and state after one update."""

    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = subject.update(grads, state, params)
        return apply_updates(params, updates), state

    return step


def with_arrays(tx: DeclaredTransformation) -> DeclaredTransformation:
    """The same transformation with float32 arrays for hyper-parameters."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tx)


def _paths(tree: Any) -> list[str]:
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [f" at {jax.tree_util.keystr(path)}" for path, _ in paths]


def _as_numbers(leaf: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(leaf)
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
