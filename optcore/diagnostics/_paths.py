"""Plots and animations of paths over the contours of a loss of two parameters."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._matplotlib import axes_of, draw_contours, pyplot
from ._trajectory import Trajectory

Loss = Callable[[jax.Array], jax.Array]
Interval = tuple[float, float]


def plot_trajectories(
    loss_fn: Loss,
    trajectories: Mapping[str, Trajectory],
    *,
    x: Interval,
    y: Interval,
    axes: Any = None,
    log: bool = False,
    levels: int = 20,
) -> Any:
    """Draw the contours of a loss of two parameters, and paths over them.

    A path starts at a disc and ends at a cross; parts outside the picture are cut off.

    Args:
      loss_fn: from an array of shape (2,) to a scalar.
      trajectories: from labels to the results of `trajectory`.
      x: the interval of the first parameter.
      y: the interval of the second.
      axes: matplotlib's axes to draw into; by default those of a new figure.
      log: space contours by equal ratios of the height above the lowest one, rather than by equal
        steps.
      levels: the number of contours.

    Returns:
      The axes; `.figure.savefig("paths.png")` writes a file.

    Raises:
      ImportError: matplotlib is not installed (the extra `plot`).
      TypeError: `trajectories` is not a mapping.
      ValueError: an interval is empty, or a path does not have two parameters.

    >>> import jax.numpy as jnp, matplotlib, optcore
    >>> from optcore.diagnostics import bowl, trajectory
    >>> matplotlib.use("Agg")
    >>> path = trajectory(bowl, jnp.array([1.0, 1.0]), optcore.sgd(0.09), steps=30)
    >>> axes = plot_trajectories(bowl, {"sgd": path}, x=(-1.5, 1.5), y=(-1.5, 1.5))
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['sgd']
    """
    paths = _all_points("plot_trajectories", trajectories)
    grid = _grid("plot_trajectories", loss_fn, x, y)
    axes = axes_of("plot_trajectories", axes, (6.4, 5.2))
    draw_contours(axes, *grid, log, levels)
    for number, (label, points) in enumerate(paths.items()):
        color = f"C{number}"
        axes.plot(*points.T, color=color, label=label, lw=1.4, marker=".", ms=3, zorder=3)
        axes.plot(*points[0], color=color, marker="o", ms=7, zorder=4)
        axes.plot(*points[-1], color=color, marker="X", ms=8, mec="white", zorder=5)
    _label(axes, x, y)
    if paths:
        axes.legend()
    return axes


def animate_trajectories(
    loss_fn: Loss,
    trajectories: Mapping[str, Trajectory],
    file: str | Path,
    *,
    x: Interval,
    y: Interval,
    log: bool = False,
    levels: int = 20,
    frames: int = 60,
    per_second: int = 15,
) -> Path:
    """Write a GIF in which the paths of `plot_trajectories` grow side by side.

    Args:
      loss_fn: as for `plot_trajectories`.
      trajectories: likewise.
      file: the GIF to write.
      x: the interval of the first parameter.
      y: the interval of the second.
      log: contours in equal ratios.
      levels: the number of contours.
      frames: the number of pictures, ≥ 2, evenly spread over the steps so that the last one shows
        the end.
      per_second: pictures per second, ≥ 1.

    Returns:
      The path of the file.

    Raises:
      ImportError: matplotlib is not installed (the extra `plot`).
      TypeError: `trajectories` is not a mapping.
      ValueError: an interval is empty, there are too few frames, or a path does not have two
        parameters.

    >>> import jax.numpy as jnp, matplotlib, optcore, tempfile
    >>> from optcore.diagnostics import bowl, trajectory
    >>> matplotlib.use("Agg")
    >>> path = trajectory(bowl, jnp.array([1.0, 1.0]), optcore.sgd(0.09), steps=30)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = animate_trajectories(
    ...         bowl, {"sgd": path}, f"{folder}/a.gif", x=(-2, 2), y=(-2, 2), frames=2
    ...     )
    ...     made.read_bytes()[:3]
    b'GIF'
    """
    paths = _all_points("animate_trajectories", trajectories)
    if not paths:
        raise ValueError("animate_trajectories: expected at least one path, got none")
    if frames < 2 or per_second < 1:
        raise ValueError(
            f"animate_trajectories: frames must be at least 2 and per_second at least 1, got "
            f"{frames} and {per_second}"
        )
    grid = _grid("animate_trajectories", loss_fn, x, y)
    plt = pyplot("animate_trajectories")
    from matplotlib.animation import FuncAnimation, PillowWriter

    figure, axes = plt.subplots(figsize=(6.0, 5.6), layout="constrained")
    draw_contours(axes, *grid, log, levels)
    lines, heads = [], []
    for label in paths:
        (line,) = axes.plot([], [], label=label, lw=1.4, zorder=3)
        (head,) = axes.plot([], [], color=line.get_color(), marker="o", ms=7, zorder=4)
        lines.append(line)
        heads.append(head)
    _label(axes, x, y)
    figure.legend(loc="outside lower center", ncols=min(len(paths), 3))
    steps = max(len(points) - 1 for points in paths.values())

    def draw(frame: int) -> list[Any]:
        step = round(frame * steps / (frames - 1))
        for line, head, points in zip(lines, heads, paths.values(), strict=True):
            line.set_data(*points[: step + 1].T)
            head.set_data(*points[min(step, len(points) - 1), :, None])
        axes.set_title(f"step {step}")
        return [*lines, *heads]

    animation = FuncAnimation(figure, draw, frames=frames, blit=False)
    animation.save(str(file), writer=PillowWriter(fps=per_second))
    plt.close(figure)
    return Path(file)


def _all_points(
    owner: str, trajectories: Mapping[str, Trajectory]
) -> dict[str, np.ndarray[Any, Any]]:
    if not isinstance(trajectories, Mapping):
        raise TypeError(
            f"{owner}: trajectories must map labels to paths, such as {{'sgd': path}}, got "
            f"{type(trajectories).__name__}"
        )
    return {label: _points(owner, label, path) for label, path in trajectories.items()}


def _points(owner: str, label: str, path: Trajectory) -> np.ndarray[Any, Any]:
    shape = getattr(path.points, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] != 2:
        raise ValueError(
            f"{owner}: the path {label!r} must have two parameters, with points of shape "
            f"(steps + 1, 2), got {shape or type(path.points).__name__}"
        )
    points = np.array(path.points, np.float64)
    # A path that is not finite ends at its last finite point.
    finite = np.isfinite(points).all(axis=1)
    return points if finite.all() else points[: max(int(finite.argmin()), 1)]


def _grid(owner: str, loss_fn: Loss, x: Interval, y: Interval) -> tuple[Any, Any, Any]:
    for name, (low, high) in (("x", x), ("y", y)):
        if not low < high:
            raise ValueError(f"{owner}: {name} must be an interval (low, high), got {(low, high)}")
    columns, rows = (np.linspace(*interval, 161, dtype=np.float32) for interval in (x, y))
    points = jnp.stack(jnp.meshgrid(jnp.asarray(columns), jnp.asarray(rows)), axis=-1)
    heights = jax.jit(jax.vmap(jax.vmap(loss_fn)))(points)
    return columns, rows, np.asarray(heights, np.float64)


def _label(axes: Any, x: Interval, y: Interval) -> None:
    axes.set(xlabel="first parameter", ylabel="second parameter", xlim=x, ylim=y)
