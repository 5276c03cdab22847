"""Every name of optax's is there, under the same path, with the same signature."""

import importlib
import inspect
import pkgutil
import types

import optax
import optax.contrib
import pytest

import optcore.optax
from optcore.optax._door import FACTORIES

MODULES = [
    "optax",
    *(
        f"optax.{name}"
        for name in (
            "assignment",
            "contrib",
            "experimental",
            "losses",
            "microbatching",
            "perturbations",
            "projections",
            "schedules",
            "second_order",
            "transforms",
            "tree",
            "tree_utils",
        )
    ),
    *(
        f"optax._src.{module.name}"
        for module in pkgutil.iter_modules(optax._src.__path__)
        if module.name != "test_utils" and not module.name.endswith("_test")
    ),
]


def names(module):
    """What a module of optax's offers: no module of another library that it imports."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not (isinstance(value, types.ModuleType) and value.__name__.split(".")[0] != "optax")
    }


@pytest.mark.sample(None)
@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_every_name(name):
    theirs = importlib.import_module(name)
    ours = importlib.import_module(f"optcore.{name}")
    public = {
        n: v
        for n, v in names(theirs).items()
        if not isinstance(v, types.ModuleType) or n in getattr(theirs, "__all__", ())
    }
    assert not set(public) - set(vars(ours))
    assert set(getattr(theirs, "__all__", ())) <= {*dir(ours), *optax._deprecations}
    for n, value in public.items():
        if inspect.isfunction(value):
            assert inspect.signature(getattr(ours, n)) == inspect.signature(value), n


def test_the_same_thing_under_every_path():
    assert optcore.optax._src.alias.adam is optcore.optax.adam
    assert optcore.optax.transforms.clip is optcore.optax.clip
    assert optcore.optax.contrib.adopt is not optax.contrib.adopt
    assert optcore.optax.multi_transform is optcore.optax.partition
    assert optcore.optax.losses.l2_loss is optax.l2_loss
    assert optcore.optax.__version__ == optax.__version__


def test_deprecated_names_warn_as_optax_warns():
    with pytest.warns(DeprecationWarning, match="contrib"):
        assert optcore.optax.dpsgd is not None
    with pytest.raises(AttributeError):
        optcore.optax.no_such_name  # noqa: B018


# What optax computes, and why. The list is to become shorter; nothing may be added in silence.
HANDED_ON = {
    # Not in optcore yet.
    "cocob", "dadapt_adamw", "dog", "dowg", "galore", "mechanize", "momo", "momo_adam", "muon",
    "prodigy", "schedule_free", "schedule_free_adamw", "schedule_free_sgd",
    "scale_by_backtracking_linesearch", "scale_by_cocob", "scale_by_distance_over_gradients",
    "scale_by_galore", "scale_by_lbfgs", "scale_by_muon", "scale_by_polyak",
    "scale_by_zoom_linesearch",
    # The native one follows the paper, and no argument makes it optax's.
    "scale_by_adan", "scale_by_rprop", "sophia",
    "hutchinson_estimator_diag_hessian",
    # Random numbers of optax's keys.
    "add_noise", "differentially_private_aggregate", "dpsgd",
    # Wrappers and the like, whose semantics exist in optax alone.
    "MultiSteps", "apply_every", "apply_if_finite", "conditionally_mask",
    "conditionally_transform", "flatten", "freeze", "inject_hyperparams", "lookahead", "masked",
    "measure_with_ema", "monitor", "normalize", "partition", "sam", "selective_transform",
    "snapshot", "split_real_and_imaginary", "stateless", "stateless_with_tree_map",
}  # fmt: skip

# A function of optax's own: it makes nothing.
NO_FACTORY = {"with_extra_args_support"}


# They make transformations, and optax does not annotate it.
UNANNOTATED = {
    "dog", "dowg", "hutchinson_estimator_diag_hessian", "monitor", "scale_by_factored_rms",
}  # fmt: skip


def test_every_factory_is_declared():
    found = UNANNOTATED | {
        value.__name__
        for module in (optax, optax.contrib, optax.transforms, optax.schedules)
        for value in names(module).values()
        if inspect.isfunction(value)
        and "GradientTransformation" in str(inspect.signature(value).return_annotation)
    }
    renamed = {"inject_stateful_hyperparams"}
    assert found - set(FACTORIES) == NO_FACTORY | renamed


def test_what_is_handed_on_is_listed():
    found = {name for name, factory in FACTORIES.items() if factory.declared_by.handed_on}
    assert found - {"as_optax"} == HANDED_ON
