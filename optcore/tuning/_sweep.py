"""Sweeps: training with all settings in one program."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core import named_leaves
from ._memory import device_memory, live_bytes
from ._progress import progress_bar


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """The table of a sweep; `print` shows it, best run first.

    Attributes:
      settings: for each argument, its values in the order of the runs: NumPy arrays `(runs,)`.
      results: for each result, its values in the runs: NumPy arrays `(runs, …)`.
      objective: the result by which the best is chosen.
      maximize: whether more is better.

    >>> Sweep({"rate": np.array([1, 2])}, {"loss": np.array([np.nan, 3.0])}, "loss", False).best
    {'rate': 2}
    """

    settings: dict[str, np.ndarray[Any, Any]]
    results: dict[str, np.ndarray[Any, Any]]
    objective: str
    maximize: bool

    @property
    def table(self) -> dict[str, np.ndarray[Any, Any]]:
        """All columns by name, settings first; as a data frame: `pandas.DataFrame(table)`."""
        return {**self.settings, **self.results}

    @property
    def order(self) -> np.ndarray[Any, Any]:
        """The runs from best to worst; runs that gave NaN come last."""
        values = self.results[self.objective].astype(np.float64)
        losses = -values if self.maximize else values
        return np.argsort(np.where(np.isnan(losses), np.inf, losses), kind="stable")

    @property
    def best(self) -> dict[str, Any]:
        """The arguments of the best run, as Python numbers.

        Raises:
          ValueError: no run gave a finite number.
        """
        i = self.order[0]
        if not np.isfinite(self.results[self.objective][i]):
            raise ValueError(f"sweep: no run gave a finite {self.objective!r}")
        return {name: values[i].item() for name, values in self.settings.items()}

    def __str__(self) -> str:
        columns = {name: x for name, x in self.table.items() if x.ndim == 1}
        cells = [[name, *(f"{x[i]:.4g}" for i in self.order)] for name, x in columns.items()]
        widths = [max(map(len, column)) for column in cells]
        lines = zip(*cells, strict=True)
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        )


def sweep(
    train_fn: Callable[..., Any],
    settings: Mapping[str, Sequence[float]],
    *,
    objective: str | None = None,
    maximize: bool = False,
    chunk: int | None = None,
    memory: int | None = None,
    progress: bool = True,
) -> Sweep:
    """Train with every combination of settings, in one compiled program.

    `train_fn` is traced once, under `jax.vmap`; its arguments are scalars that it may pass to an
    optimizer (`adam(learning_rate)`), a schedule, or `jax.random.key(seed)`.

    Args:
      train_fn: takes the settings by name; returns a scalar, or a tree of results.
      settings: the values of each argument; the last one changes fastest. Only numbers are allowed:
        a setting that changes the program needs one sweep per value.
      objective: the path of the result that ranks the runs, if there are several results.
      maximize: whether more is better.
      chunk: the number of runs at once, ≥ 1. By default all, or as many as fit in memory by a
        conservative estimate. All chunks run in the same program.
      memory: the bytes available for a chunk, by default all memory of the device.
      progress: a bar over the chunks on stderr, if tqdm is installed and stderr is a terminal.

    Returns:
      A `Sweep`: `best`, `table`.

    Raises:
      TypeError: a value is not a number.
      ValueError: a setting has no values or has integers beyond int32, or the objective is unknown
        or missing.

    Gradient descent on a quadratic of curvature 4 is fastest at a rate of 1/4:

    >>> import optcore
    >>> def final_loss(learning_rate):
    ...     tx = optcore.sgd(learning_rate)
    ...     w = jnp.float32(1.0)
    ...     u, _ = tx.update(4 * w, tx.init(w))
    ...     return 2 * (w + u) ** 2
    >>> found = sweep(final_loss, {"learning_rate": [0.125, 0.25, 0.5]})
    >>> found.best
    {'learning_rate': 0.25}
    >>> print(found)
    learning_rate  result
             0.25       0
            0.125     0.5
              0.5       2
    """
    columns = _columns(settings)
    runs = len(next(iter(columns.values())))
    for name, number in (("chunk", chunk), ("memory", memory)):
        if number is not None and number < 1:
            raise ValueError(f"sweep: {name} must be at least 1, got {number}")
    mapped = jax.jit(jax.vmap(lambda arguments: train_fn(**arguments)))

    def traced(size: int) -> Any:
        return mapped.trace(
            {name: jax.ShapeDtypeStruct((size,), x.dtype) for name, x in columns.items()}
        )

    size = min(chunk or runs, runs)
    program = traced(size)
    if chunk is None:
        needs = live_bytes(program.jaxpr.jaxpr)
        limit = device_memory() if memory is None else memory
        if needs > limit:
            size = max(1, int(size * limit / needs))
            program = traced(size)
    compiled = program.lower().compile()

    parts = []
    with progress_bar(runs, "run", progress) as advance:
        for start in range(0, runs, size):
            # The last chunk is padded, so that one program serves all.
            rows = np.minimum(np.arange(start, start + size), runs - 1)
            got = compiled({name: jnp.asarray(x[rows]) for name, x in columns.items()})
            number = min(size, runs - start)
            parts.append(jax.tree.map(lambda x, n=number: x[:n], jax.device_get(got)))
            advance(number)
    together = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    results = {_name(path): x for path, x in named_leaves(together) if x is not None}
    return Sweep(columns, results, _objective(results, objective), maximize)


def _name(path: str) -> str:
    return "result" if path.startswith("(") else path


def _columns(settings: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray[Any, Any]]:
    values: dict[str, np.ndarray[Any, Any]] = {}
    for name, given in settings.items():
        array = np.asarray(given)
        if array.ndim != 1 or array.dtype.kind not in "biuf":
            raise TypeError(
                f"sweep: {name} must be a sequence of numbers, got {given!r}; use a separate "
                "sweep for each value of any other setting"
            )
        if not array.size:
            raise ValueError(f"sweep: {name} must have at least one value, got none")
        kind = {"f": np.float32, "b": np.bool_}.get(array.dtype.kind, np.int32)
        if kind is np.int32 and not (array.min() >= -(2**31) and array.max() < 2**31):
            raise ValueError(f"sweep: {name} must hold integers that fit in int32, got {given!r}")
        values[name] = array.astype(kind)
    if not values:
        raise ValueError("sweep: settings must hold at least one argument, got none")
    rows = itertools.product(*values.values())
    return {
        name: np.asarray(column, values[name].dtype)
        for name, column in zip(values, zip(*rows, strict=True), strict=True)
    }


def _objective(results: dict[str, np.ndarray[Any, Any]], objective: str | None) -> str:
    scalars = [name for name, x in results.items() if x.ndim == 1]
    if objective is None and len(scalars) == 1:
        return scalars[0]
    if objective not in scalars:
        raise ValueError(
            f"sweep: objective must be one of the scalar results "
            f"{', '.join(map(repr, scalars)) or '(there is none)'}, got {objective!r}"
        )
    return objective
