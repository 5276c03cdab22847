"""What is known of a factory: the facts that stand beside its algorithm, listed once."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

Kind = Literal["optimizer", "direction", "transform", "wrapper", "schedule"]
KINDS: tuple[str, ...] = get_args(Kind)
Place = Literal["rate", "decay", "drift", "freeze"]
PLACES: tuple[str, ...] = get_args(Place)
Partial = Literal["parameters", "masked", "steps"]
PARTIAL: tuple[str, ...] = get_args(Partial)
PerExample = Literal["aggregates", "single", "inner", "results"]
PER_EXAMPLE: tuple[str, ...] = get_args(PerExample)
Arguments = Mapping[str, Any]
"""The arguments of a factory by name, as they were normalised."""


@dataclasses.dataclass(frozen=True, eq=False)
class Facts:
    """The facts of a factory, which go by what it declares and never by its name.

    Attributes:
      kind: `"optimizer"` (its updates are steps), `"direction"` (without rate and sign),
        `"transform"`, `"wrapper"` (of other transformations), or `"schedule"`.
      example: keyword arguments of a sensible instance, or a function that makes one; the
        conformance suite runs on it.
      needs: what `update` must be given besides updates and state, such as `("params",)`.
      real_only: the algorithm has no meaning for complex parameters.
      per_example: what it does to updates with one gradient per example along a first axis: it
        makes one update of them (`"aggregates"`), or acts on each alone, by elements, so that
        neither other examples nor what it remembers of them have a part in it (`"single"`). A
        wrapper does what its parts do (`"inner"`), or uses only what they make of the examples
        (`"results"`). With `None` it must see no examples, and in front of what aggregates it
        is refused.
      stage: what a chain must know of a transform to refuse nonsense: that it turns directions
        into steps (`"rate"`, unless its argument `flip_sign` is False), that it adds to a
        direction of ascent what shrinks weights (`"decay"`), that it moves parameters whose
        update is zero (`"drift"`), or that it makes updates zero (`"freeze"`).
      uses: the extra arguments that `update` uses if they are there, or a function that says so
        of the factory's arguments by name, `None` for anything. What `update` names in its
        signature needs no mention, nor what the transformations use that the factory is given or
        returns.
      holds: for a wrapper whose state has a field `hyperparams`: a function of the factory's
        arguments by name that says which hyper-parameters are in it, as a dict from key to path.
      strict: `update` refuses extra arguments that nothing in it takes.
      outermost: nothing may wrap it, since it relies on its updates being added as they are.
      chains: it applies the transformations that it is given one after another.
      partial: each transformation that it is given sees some of the `"parameters"`, also where
        those of the others pass (`"masked"`), or gives some of the `"steps"`, or a part of each.
      skips: it keeps some steps from what it wraps.
      skips_nonfinite: a gradient that is not finite leaves its state as it is, but for its
        counters; or a function that says so of the factory's arguments by name.
      scales_loss: it expects the gradients of a loss that was multiplied by its scale.
      all_reduces: how many times devices that hold parts of the parameters must hear of each
        other in an `update`, one after another: a norm counts 1, and several that do not wait for
        each other 1 together. Those of what it is given, or makes, are not counted here. `None` if
        it is not known.
      whole: inside `shard_map` it refuses arrays of which a device holds a part, since it must know
        along which of their own axes they are cut.
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
        """A fact that may depend on the factory's arguments."""
        value = getattr(self, fact)
        return value(arguments) if callable(value) else value


def _are_names(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)
