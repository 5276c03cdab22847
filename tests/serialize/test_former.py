"""What earlier versions wrote still loads; names that went say where."""

import base64
import json
import pathlib
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore.serialize._former import IN_PLACE_OF
from tests.rules import for_each

door = pytest.importorskip("optcore.optax", reason="what left the native door is there")

WRITTEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "former.json").read_text())
"""Configs, pickled transformations and states, and the update that follows the state."""

PARAMS = {"w": jnp.arange(3.0), "b": jnp.float32(1.0)}


@pytest.fixture(autouse=True)
def _standard_promotion():
    """optax promotes dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def unpickled(text):
    return pickle.loads(base64.b64decode(text))


@for_each(lambda: WRITTEN)
def test_it_goes_on(written):
    """A run that was saved takes the step that it would have taken."""
    made = [optcore.from_config(written["config"]), unpickled(written["pickle"])]
    assert made[0] == made[1]
    for tx in made:
        state = jax.tree.map(jnp.asarray, unpickled(written["state"]))
        updates, _ = tx.update(PARAMS, state, PARAMS)
        for name, expected in written["update"].items():
            np.testing.assert_allclose(updates[name], expected, rtol=1e-6)
    assert optcore.from_config(optcore.to_config(made[0])) == made[0]


def test_what_is_written_covers_what_went():
    gone = {name for name in IN_PLACE_OF if not name.endswith("State")}
    functions = {"has_updated", "skip_large_updates", "inject_hyperparams"}
    assert gone - functions - {"skip_not_finite"} <= WRITTEN.keys()
    assert "optcore:skip_not_finite" in json.dumps(WRITTEN["MultiSteps, skipping"])


def test_functions_that_moved():
    for name, found in (
        ("unitwise_norm", optcore.transforms.unitwise_norm),
        ("skip_not_finite", door.skip_not_finite),
    ):
        config = {"format": 1, "factory": "optcore:stateless"}
        config["arguments"] = {"f": {"function": f"optcore:{name}"}}
        assert optcore.from_config(config).arguments["f"] is found
    with pytest.raises(KeyError, match="no function 'optcore:nothing'"):
        optcore.from_config({**config, "arguments": {"f": {"function": "optcore:nothing"}}})


@for_each(lambda: dict(zip(IN_PLACE_OF, IN_PLACE_OF, strict=True)))
def test_names_that_went_say_what_to_use(name):
    with pytest.raises(AttributeError, match=r"use .* is in optcore.optax") as error:
        getattr(optcore, name)
    assert error.value.name == name
    if name != "has_updated" and not name.endswith("State"):
        assert callable(getattr(door, name, None) or getattr(door.transforms, name))


def test_other_names_say_where_they_are():
    for name, message in (
        ("chebyshev_schedule", "it is optcore.schedules.chebyshev_schedule"),
        ("ScaleByAdamState", "it is optcore.optimizers.ScaleByAdamState"),
        ("adamm", "did you mean 'adam'"),
        ("AdamW", "did you mean 'adamw'"),
        ("softmax_cross_entropy", "it is optcore.optax.softmax_cross_entropy"),
        ("GradientTransformationExtraArgs", "it is optcore.optax.GradientTransformationExtraArgs"),
        ("nothing_like_it", "optcore has no 'nothing_like_it'$"),
        ("__nothing__", "module 'optcore' has no attribute"),
    ):
        with pytest.raises(AttributeError, match=message):
            getattr(optcore, name)
    assert optcore.optax is door
    assert callable(optcore.testing.check_transformation)
    assert not hasattr(optcore, "masked")


def test_chapters_say_it_too():
    for chapter, name in (
        (optcore.groups, "masked"),
        (optcore.compose, "MultiSteps"),
        (optcore.hyper, "inject_hyperparams"),
        (optcore.tree, "get"),
    ):
        with pytest.raises(AttributeError, match=rf"{chapter.__name__} has no '{name}': use "):
            getattr(chapter, name)
    with pytest.raises(AttributeError, match=r"module 'optcore.tree' has no attribute 'nothing'"):
        _ = optcore.tree.nothing
    assert {"optax", "testing", "adam"} <= set(dir(optcore))


def test_replacements_do_what_they_say():
    g = {"w": jnp.ones(2), "b": jnp.ones(2)}
    passing = optcore.route(("w", optcore.scale(3.0)), ("*", optcore.identity()))
    updates, _ = passing.update(g, passing.init(g), g)
    assert (updates["w"][0], updates["b"][0]) == (3, 1)
    mean, total = optcore.accumulate(optcore.sgd(1.0), every=3), door.apply_every(3)
    ours, theirs = mean.init(g), total.init(g)
    counts = [int(ours.count)]
    for _ in range(3):
        step, ours = mean.update(g, ours, g)
        summed, theirs = total.update(jax.tree.map(jnp.negative, g), theirs)
        counts.append(int(ours.count))
    assert 3 * step["w"][0] == summed["w"][0] == -3
    assert counts == [0, 0, 0, 1]
    spikes = optcore.skip_on_spike(optcore.accumulate(optcore.sgd(1.0), every=2), 4)
    state = spikes.init(g)
    for size in (1.0, 1.1, 1.0, 1.1, 1e6, 1.0):
        _, state = spikes.update(jax.tree.map(lambda x, s=size: s * x, g), state, g)
    assert state.inner.mini_step == 1
    assert float(state.inner.acc_grads["w"][0]) < 2


def test_the_changelog_names_what_went():
    text = (pathlib.Path(__file__).parents[2] / "CHANGELOG.md").read_text()
    removed = text.partition("### Removed")[2].partition("\n###")[0]
    assert IN_PLACE_OF.keys() <= set(re.findall(r"`(\w+)`", removed))
