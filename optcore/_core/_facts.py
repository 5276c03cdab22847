"""The facts of a factory, which are declared beside its algorithm."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

Kind = Literal["optimizer", "direction", "transform", "wrapper", "schedule"]
KINDS: tuple[str, ...] = get_args(Kind)
Place = Literal["rate", "decay", "drift", "freeze"]
PLACES: tuple[str, ...] = get_args(Place)
Partial = Literal["parameters", "steps"]
PARTIAL: tuple[str, ...] = get_args(Partial)
PerExample = Literal["aggregates", "single", "inner", "results"]
PER_EXAMPLE: tuple[str, ...] = get_args(PerExample)
Arguments = Mapping[str, Any]
"""The normalised arguments of a factory by name."""


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """The facts of a factory, as it declares them; its name never matters.

    Attributes:
      kind: `"optimizer"` (its updates are steps), `"direction"` (without rate and sign),
        `"transform"`, `"wrapper"` (of other transformations), or `"schedule"`.
      example: keyword arguments of a sensible instance, or a function that makes one; the
        conformance suite runs on it.
      needs: the arguments that `update` requires besides updates and state, such as `("params",)`.
      real_only: the algorithm is not defined for complex parameters.
      per_example: how it handles updates with one gradient per example along a first axis. It makes
        one update of them (`"aggregates"`), or acts on each element alone, independently of other
        examples and of its state (`"single"`). A wrapper does what its parts do (`"inner"`), or
        uses only their results (`"results"`). With `None` it must not see examples, and is refused
        in front of an aggregation.
      stage: the kind of a transform, by which a chain refuses wrong orders: it turns directions
        into steps (`"rate"`, unless its argument `flip_sign` is False), adds a weight decay to a
        direction of ascent (`"decay"`), moves parameters whose update is zero (`"drift"`), or makes
        updates zero (`"freeze"`).
      uses: the optional extra arguments of `update`, or a function from the factory's arguments by
        name to these; `None` for any argument. Arguments in the signature of `update` need not be
        listed, nor those of transformations that the factory is given or returns.
      holds: for a wrapper whose state has a field `hyperparams`: a function from the factory's
        arguments by name to the hyper-parameters in it, as a dict from key to path.
      strict: `update` refuses extra arguments that nothing in it takes.
      outermost: nothing may wrap it, because it relies on its updates being added unchanged.
      chains: it applies the transformations that it is given one after another.
      partial: each inner transformation sees some of the `"parameters"`, or gives some of the
        `"steps"`, or a part of each.
      skips: it does not pass every step to the transformation that it wraps.
      skips_nonfinite: a gradient that is not finite changes only the counters of its state; or a
        function from the factory's arguments by name to this fact.
      scales_loss: it expects the gradients of a loss that was multiplied by its scale.
      all_reduces: the number of sequential all-reduces in an `update` if devices hold parts of the
        parameters: a norm counts 1, and several independent ones count 1 together. Those of its
        inner transformations are not counted. `None` if it is unknown.
      whole: inside `shard_map` it refuses arrays of which a device holds a part, because it depends
        on the axes along which they are cut.
    """

    kind: Kind
    _: dataclasses.KW_ONLY
    example: Mapping[str, Any] | Callable[[], Any]
    needs: tuple[str, ...] = ()
    real_only: bool = False
    per_example: PerExample | None = None
    stage: Place | None = None
    uses: tuple[str, ...] | Callable[[Arguments], tuple[str, ...] | None] = ()
    holds: Callable[[Arguments], dict[str, str]] | None = None
    strict: bool = False
    outermost: bool = False
    chains: bool = False
    partial: Partial | None = None
    skips: bool = False
    skips_nonfinite: bool | Callable[[Arguments], bool] = False
    scales_loss: bool = False
    all_reduces: int | None = 0
    whole: bool = False

    def __post_init__(self) -> None:
        for name, value, options in (
            ("kind", self.kind, KINDS),
            ("stage", self.stage, PLACES),
            ("per_example", self.per_example, PER_EXAMPLE),
            ("partial", self.partial, PARTIAL),
        ):
            if value is not None and value not in options:
                raise ValueError(
                    f"transformation: {name} must be one of {', '.join(options)}, got {value!r}"
                )
        for name in ("real_only", "strict", "outermost", "chains", "skips", "scales_loss", "whole"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"transformation: {name} must be True or False, got {getattr(self, name)!r}"
                )
        if isinstance(self.all_reduces, bool) or not isinstance(self.all_reduces, int | None):
            raise TypeError(f"transformation: all_reduces must be an int, got {self.all_reduces!r}")
        for name in ("needs", "uses"):
            names = getattr(self, name)
            if not callable(names) and not _are_names(names):
                raise TypeError(f"transformation: {name} must be a tuple of names, got {names!r}")

    def known(self, fact: str, arguments: Arguments) -> Any:
        """A fact that can depend on the factory's arguments."""
        value = getattr(self, fact)
        return value(arguments) if callable(value) else value


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)
