"""What every plot function needs: matplotlib, imported late, and axes to draw into."""

from typing import Any


def pyplot(owner: str, instead: str = "") -> Any:
    """`matplotlib.pyplot`, or an `ImportError` that says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner} needs matplotlib: pip install 'optcore[plot]'{instead}"
        ) from error
    return plt


def axes_of(owner: str, axes: Any, size: tuple[float, float], instead: str = "") -> Any:
    """The axes that were given, or those of a new figure of this size in inches."""
    plt = pyplot(owner, instead)
    return axes if axes is not None else plt.subplots(figsize=size, layout="constrained")[1]
