"""What a user sees of a factory in `help`, in an editor, and where a name is not known."""

import inspect
import pydoc
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

import optcore
from optcore._core import REGISTRY
from tests.named import named
from tests.rules import for_each

Strength = Annotated[optcore.Hyperparameter, optcore.Range(0, 5)]
Where = Mapping[str, bool] | Callable[[Any], Any]


@pytest.fixture(autouse=True)
def _registry():
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def shown(factory):
    return {n: str(p) for n, p in inspect.signature(factory).parameters.items()}


def test_annotations_are_shown_by_name():
    assert str(inspect.signature(optcore.adamw)) == (
        "(learning_rate: Rate, b1: Decay = 0.9, b2: Decay = 0.999, eps: Rate = 1e-08, "
        "eps_root: Rate = 0.0, mu_dtype: DType | None = None, weight_decay: Rate = 0.0001, "
        "mask: Mask | None = None, *, nesterov: bool = False) -> GradientTransformation"
    )
    assert shown(optcore.join_schedules) == {
        "schedules": "schedules: Sequence[Schedule]",
        "boundaries": "boundaries: Sequence[Length]",
    }
    assert shown(optcore.route)["rules"] == "*rules: tuple[Pattern, GradientTransformation]"


OWN = [f.name for f in optcore.registry().values() if f.key.startswith("optcore:")]


@for_each(lambda: dict(zip(OWN, OWN, strict=True)))
def test_help_has_no_machinery(name):
    text = pydoc.plain(pydoc.render_doc(named(name)))
    signature = text.split("\n\n")[1].splitlines()[0]
    assert signature.startswith(f"{name}(")
    for word in ("Annotated", "Optional[", "Union[", "typing.", "optcore._core", "jaxlib"):
        assert word not in signature


def test_names_in_a_users_factory():
    class Unhashable:
        __hash__ = None

    @optcore.transformation("transform", example={"rate": 0.5})
    def shrink(
        rate: optcore.Rate,
        strength: Strength = 1.0,
        narrow: Annotated[optcore.Hyperparameter, optcore.Range(1, 2)] = 1.0,
        ranges: Annotated[int, optcore.Range(2, 4)] = 2,
        where: Where | None = None,
        parts: Sequence[int | str] = (),
        mode: Literal["a", "b"] = "a",
        odd: Annotated[Any, Unhashable()] = 0,
        later: "Mapping[str, Any] | None" = None,
        function: Callable[[int], Any] | Callable[..., Any] | None = None,
        bare=0,
    ) -> optcore.GradientTransformation:
        return optcore.scale(rate)

    assert str(inspect.signature(shrink)) == (
        "(rate: Rate, strength: Strength = 1.0, narrow: Hyperparameter = 1.0, ranges: int = 2, "
        "where: Where | None = None, parts: Sequence[int | str] = (), "
        "mode: Literal['a', 'b'] = 'a', odd: Any = 0, later: Mapping[str, Any] | None = None, "
        "function: Callable[[int], Any] | Callable[..., Any] | None = None, bare=0)"
        " -> GradientTransformation"
    )
    assert shrink(0.5, 2.0) == shrink(rate=0.5, strength=2.0)


def test_type_hints_are_the_real_ones():
    hints = typing.get_type_hints(optcore.adamw, include_extras=True)
    assert hints["learning_rate"] == optcore.Rate
    assert hints["mu_dtype"] == optcore.DType | None
    assert typing.get_type_hints(optcore.adamw)["return"] is optcore.GradientTransformation
    real = inspect.signature(optcore.adamw).parameters["b1"].annotation.annotation
    assert real == optcore.Decay


def test_methods_print_whose_they_are():
    tx = optcore.adamw(1e-3)
    for method in (tx.update, tx.init):
        assert repr(tx) in repr(method)
    assert "update of adamw(learning_rate=0.001)" in repr(tx.update)
    assert tx.update == tx.update
    assert tx.update != optcore.adamw(1e-3).update


@pytest.mark.parametrize(
    ("factory", "given", "hint"),
    [
        ("adam", "lr", "did you mean 'learning_rate'?"),
        ("adam", "betas", "did you mean 'b1' and 'b2'?"),
        ("adan", "betas", "did you mean 'b1' and 'b2' and 'b3'?"),
        ("lion", "beta1", "did you mean 'b1'?"),
        ("adam", "beta_2", "did you mean 'b2'?"),
        ("adam", "epsilon", "did you mean 'eps'?"),
        ("adam", "momentum", "did you mean 'b1'?"),
        ("sgd", "beta", "did you mean 'momentum'?"),
        ("adamw", "wd", "did you mean 'weight_decay'?"),
        ("adamw", "decay", "did you mean 'weight_decay'?"),
        ("rmsprop", "rho", "did you mean 'decay'?"),
        ("rmsprop", "alpha", "did you mean 'decay'?"),
        ("polyak_sgd", "lr", "did you mean 'max_learning_rate'?"),
        ("scale", "lr", "did you mean 'step_size'?"),
        ("sgd", "betas", "the arguments are learning_rate, "),
        ("sgd", "wd", "the arguments are learning_rate, "),
        ("adam", "amsgrad", "the arguments are learning_rate, "),
    ],
)
def test_names_of_other_libraries(factory, given, hint):
    with pytest.raises(TypeError) as caught:
        named(factory)(**{given: 0.5})
    assert f"{factory}: unknown argument {given!r}; {hint}" in str(caught.value)


def test_every_unknown_name_has_its_hint():
    with pytest.raises(TypeError, match=r"'lr'; did .* 'learning_rate'\?; .*'wd'; did you mean 'w"):
        optcore.adamw(lr=0.1, wd=0.1)
