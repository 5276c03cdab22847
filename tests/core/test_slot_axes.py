"""Which parameter the arrays of a state belong to, and which of its axes they keep."""

import jax
import jax.numpy as jnp
import pytest

import optcore

PARAMS = {"w": jnp.ones((4, 6)), "b": jnp.ones(3), "s": jnp.ones(())}


def axes(tx, params=None):
    """The axes of every array of a state that belongs to a parameter, by its path."""
    found, _ = jax.tree_util.tree_flatten_with_path(
        optcore.slot_axes(tx, PARAMS if params is None else params)
    )
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            jax.tree_util.keystr(slot.path, simple=True, separator="/"),
            slot.axes,
        )
        for path, slot in found
        if slot.path is not None
    }


def whole(field):
    return {f"{field}/w": ("w", (0, 1)), f"{field}/b": ("b", (0,)), f"{field}/s": ("s", ())}


def test_moments_keep_all_axes():
    assert axes(optcore.scale_by_adam()) == whole("mu") | whole("nu")


def test_factored_moments():
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2)
    assert axes(tx) == {
        "nu_row/w": ("w", (0, None)),
        "nu_col/w": ("w", (None, 1)),
        "nu/b": ("b", (0,)),
        "nu/s": ("s", ()),
    }


def test_the_largest_axes_may_be_any():
    tx = optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2)
    assert axes(tx, jnp.ones((8, 2, 4))) == {
        "nu_row": ("", (None, 1, 2)),
        "nu_col": ("", (0, 1, None)),
    }


def test_covers():
    assert axes(optcore.optimizers.scale_by_sm3()) == whole("mu") | {
        "nu/0/w": ("w", (0, None)),
        "nu/1/w": ("w", (None, 1)),
        "nu/0/b": ("b", (0,)),
        "nu/0/s": ("s", ()),
    }


def test_shared_and_single_moments():
    found = axes(optcore.optimizers.scale_by_adam_mini(axes={"w": (0,), "b": (), "s": ()}))
    assert found == whole("mu") | whole("nu") | {"nu/w": ("w", (None, 1))}
    found = axes(optcore.optimizers.scale_by_novograd())
    assert found == whole("mu") | {f"nu/{name}": (name, ()) for name in "wbs"}
    assert axes(optcore.transforms.zero_nans()) == {
        f"found_nan/{name}": (name, ()) for name in "wbs"
    }
    norms = optcore.transforms.keep_params_norm(axes=-1, mask={"w": True, "b": True, "s": False})
    assert axes(norms) == {"radius/w": ("w", (0, None)), "radius/b": ("b", (None,))}


@pytest.mark.parametrize("codec", ["int8", "int4"])
def test_codes_and_scales(codec):
    tx = optcore.store(
        optcore.optimizers.scale_by_factored_rms(min_dim_size_to_factor=2), codec, min_size=1
    )
    found = axes(tx)
    slots = {"nu_row/w": ("w", (0, None)), "nu_col/w": ("w", (None, 1)), "nu/b": ("b", (0,))}
    assert found == {f"inner/{name}": slot for name, slot in slots.items()} | {
        f"scales/{name}": slot for name, slot in slots.items()
    } | {"inner/nu/s": ("s", ())}


def test_through_wrappers_that_change_parameters():
    params = {"w": jnp.ones((4, 6), jnp.bfloat16), "z": jnp.ones(3, jnp.complex64)}
    found = axes(optcore.master_weights(optcore.trace(0.9)), {"w": params["w"]})
    assert found == {"master/w": ("w", (0, 1)), "inner/trace/w": ("w", (0, 1))}
    found = axes(optcore.split_real_and_imaginary(optcore.trace(0.9)), {"z": params["z"]})
    assert found == {f"inner/trace/z/{part}": ("z", (0,)) for part in ("real", "imaginary")}


def test_first_axes_that_are_no_axes_of_the_parameter():
    found = axes(optcore.with_average(optcore.sgd(0.1), "lawa", window=3), {"w": PARAMS["w"]})
    assert found == {"snapshots/params/w": ("w", (None, 0, 1))}
    found = axes(optcore.lazy_rows(optcore.trace(0.9), {"trace": 0.9}), {"w": PARAMS["w"]})
    assert {name: slot for name, slot in found.items() if "last_seen" in name} == {
        "inner/last_seen/w": ("w", (0,))
    }


def test_groups_and_masks_see_their_own():
    tx = optcore.route(("w", optcore.trace(0.5)), ("*", optcore.FREEZE))
    (found,) = axes(tx).values()
    assert found == ("w", (0, 1))


def test_what_belongs_to_none():
    """All parameters as one vector belong to no single one."""
    assert axes(optcore.flatten(optcore.trace(0.5))) == {}
    slots = jax.tree.leaves(optcore.slot_axes(optcore.scale_by_adam(), PARAMS))
    assert slots[0] == optcore.SlotAxes(None, ())


def test_abstract_parameters_and_nothing_is_kept():
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), PARAMS)
    assert axes(optcore.adam(0.1), shapes) == axes(optcore.adam(0.1))
    assert repr(optcore.slot_axes(optcore.trace(0.5), jnp.ones(2)).trace) == (
        "SlotAxes('(the tree itself)', axes=(0,))"
    )
