"""Interleaved timing, and the statistics of a row."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

import jax

Run = Callable[[], float]
"""Does the work once and returns the seconds it took."""

SPREAD_LIMIT = 0.10


@dataclasses.dataclass
class Sample:
    """Seconds of one candidate over the rounds, or its ratios to another."""

    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Interquartile range over the median."""
        if len(self.values) < 4:
            return (max(self.values) - min(self.values)) / self.median
        low, _, high = statistics.quantiles(self.values, n=4)
        return (high - low) / self.median

    def over(self, peer: "Sample") -> "Sample":
        """The ratio in each round: where the machine's speed drifts, it drifts for both."""
        return Sample([a / b for a, b in zip(self.values, peer.values, strict=True)])


def timed(work: Callable[[], object]) -> float:
    """Seconds until the results of `work` are there."""
    start = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - start


def interleave(runs: Mapping[str, Run], repeats: int, warmup: int = 2) -> dict[str, Sample]:
    """Time the candidates in turn, so that a drift of the machine's speed meets all alike.

    If the spread of a ratio exceeds the limit, all are measured once more and the steadier run
    is kept.
    """
    samples = _measure(runs, repeats, warmup)
    if _worst(samples) > SPREAD_LIMIT:
        again = _measure(runs, repeats, 0)
        samples = min(samples, again, key=_worst)
    return samples


def _ratios(samples: Mapping[str, Sample]) -> dict[str, Sample]:
    """Of ours to each peer."""
    ours = samples["optcore"]
    return {peer: ours.over(s) for peer, s in samples.items() if peer != "optcore"}


def _worst(samples: Mapping[str, Sample]) -> float:
    """The largest spread of a ratio, or that of our time if nothing is there to compare."""
    ratios = _ratios(samples).values() or [samples["optcore"]]
    return max(sample.spread for sample in ratios)


def _measure(runs: Mapping[str, Run], repeats: int, warmup: int) -> dict[str, Sample]:
    for _ in range(warmup):
        for run in runs.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    for _ in range(repeats):
        for name in order:
            seconds[name].append(runs[name]())
        # In turn each follows each: none always bears what the one before leaves behind.
        order.reverse()
    return {name: Sample(values) for name, values in seconds.items()}


@dataclasses.dataclass
class Row:
    """One line of the table: a quantity of ours as a ratio to that of each peer."""

    group: str
    name: str
    ours: float
    unit: str
    ratios: dict[str, float]
    spread: float = 0.0
    note: str = ""

    @property
    def text(self) -> str:
        """The row as Markdown."""
        marked = " (!)" if self.spread > SPREAD_LIMIT else ""
        ratios = "; ".join(f"{peer} {ratio:.2f}" for peer, ratio in self.ratios.items())
        value = f"{self.ours:.4g} {self.unit}"
        return (
            f"| {self.group} | {self.name} | {value} | {ratios} "
            f"| {100 * self.spread:.0f} %{marked} | {self.note} |"
        )


def row(group: str, name: str, samples: Mapping[str, Sample], note: str = "") -> Row:
    """Our median time and the medians of its ratios to each peer, with their largest spread."""
    ratios = {peer: ratio.median for peer, ratio in _ratios(samples).items()}
    ours = 1000 * samples["optcore"].median
    return Row(group, name, ours, "ms", ratios, _worst(samples), note)


HEADER = """| group | row | optcore | optcore ÷ peer | spread | note |
| --- | --- | ---: | --- | ---: | --- |"""
