"""Config: everything that is declared as plain JSON, and back."""

import base64
import json
import pathlib
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore


def through_json(tx):
    """As it comes out of strict JSON."""
    text = json.dumps(optcore.to_config(tx), allow_nan=False)
    return optcore.from_config(json.loads(text))


def halving(count):
    """A schedule of a user."""
    return 0.5 ** jnp.asarray(count, jnp.float32)


def only_matrices(params):
    """A mask of a user."""
    return jax.tree.map(lambda p: p.ndim == 2, params)


class Schedules:
    """A namespace of schedules."""

    @staticmethod
    def constant(count):
        return jnp.float32(0.25)


RESTARTS = optcore.cosine_restarts_schedule(0.1, 10, 2.0, warmup_steps=2)


@pytest.mark.parametrize(
    "tx",
    [
        optcore.with_average(optcore.adam(RESTARTS), "lawa", begin=3, every=10, window=4),
        optcore.with_average(optcore.sgd(0.1), "ema", decay=optcore.linear_schedule(0.9, 0.99, 5)),
        optcore.lookahead(optcore.adamw(1e-3), 5, 0.5, reset_state=True),
        optcore.chain(optcore.clip(float("inf")), optcore.sgd(halving)),
        optcore.sgd(Schedules.constant),
        optcore.adamw(1e-3, mask=only_matrices),
        optcore.adamw(1e-3, mask={"w": True, "b": [False, True]}),
        optcore.schedules.multiply_schedules(halving, RESTARTS),
        optcore.cyclic_schedule(0.0, 1.0, 3, scale_fn=halving, scale_mode="iterations"),
        optcore.ema(0.9, accumulator_dtype=jnp.bfloat16),
    ],
    ids=lambda tx: tx.declaration.name,
)
def test_round_trip(tx):
    restored = through_json(tx)
    assert restored == tx
    assert repr(restored) == repr(tx)


def test_round_trip_of_a_cooldown():
    """Made here: it evaluates its schedule, which takes half a second of compilation."""
    test_round_trip(optcore.append_cooldown(optcore.prepend_warmup(RESTARTS, 5), 50, 10))


def test_a_stacked_optimizer():
    stacked = optcore.stack([optcore.chain(optcore.clip(c), optcore.sgd(0.1)) for c in (1.0, 9.0)])
    restored = through_json(stacked)
    assert restored == stacked

    def first(tx):
        return tx.update(jnp.float32(5.0), tx.init(jnp.float32(0.0)))[0]

    np.testing.assert_allclose(jax.vmap(first)(restored), [-0.1, -0.5], rtol=1e-6)


def test_arrays_that_hold_infinity_are_strict_json():
    stacked = optcore.stack([optcore.clip(1.1), optcore.clip(float("inf"))])
    restored = through_json(stacked)
    assert restored == stacked
    assert restored.arguments["max_delta"].dtype == np.float32


def test_functions_are_written_by_their_names():
    arguments = optcore.to_config(optcore.sgd(Schedules.constant))["arguments"]
    assert arguments["learning_rate"] == {"function": f"{__name__}:Schedules.constant"}


def test_a_config_is_read_in_another_process():
    config = optcore.to_config(optcore.with_average(optcore.adam(RESTARTS), "tail"))
    assert config["format"] == 1
    script = "import json, sys, optcore; print(optcore.from_config(json.load(sys.stdin)))"
    run = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(config), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert run.stdout.strip() == repr(optcore.with_average(optcore.adam(RESTARTS), "tail"))


@pytest.mark.parametrize(
    ("tx", "message"),
    [
        (optcore.sgd(lambda count: 0.1), "sgd: learning_rate is the function"),
        (
            optcore.chain(optcore.clip(1.0), optcore.adamw(1e-3, mask=lambda p: p)),
            "adamw: mask is the function",
        ),
        (
            optcore.cyclic_schedule(0.0, 1.0, 3, scale_fn=lambda n: 1.0),
            "cyclic_schedule: scale_fn is the function",
        ),
        (
            optcore.with_average(optcore.sgd(0.1), "ema", decay=lambda count: 0.9),
            "with_average: decay is the function",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_function_without_a_name_is_refused_by_its_argument(tx, message):
    with pytest.raises(TypeError, match=message):
        optcore.to_config(tx)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({}, ValueError, "expected the result of to_config"),
        ({"factory": "optcore:sgd", "arguments": {}}, ValueError, "expected format 1, got None"),
        ({"format": 2, "factory": "optcore:sgd"}, ValueError, "expected format 1, got 2"),
        ({"format": 1, "factory": "optcore:sdg"}, KeyError, "no factory 'optcore:sdg'"),
        ({"format": 1, "factory": "optcore:sgd"}, TypeError, "missing a required argument"),
        (
            {"format": 1, "factory": "optcore:sgd", "arguments": {"learning_rate": {"nil": 1}}},
            ValueError,
            "expected what to_config writes, got {'nil': 1}",
        ),
        (
            {
                "format": 1,
                "factory": "optcore:sgd",
                "arguments": {"learning_rate": {"function": "nowhere:f"}},
            },
            KeyError,
            "no function 'nowhere:f' is known; import its module first",
        ),
        (
            {"format": 1, "factory": "optcore:sgd", "arguments": {"learning_rate": -1.0}},
            ValueError,
            "learning_rate must lie in",
        ),
    ],
)
def test_refuses_what_is_no_config(config, error, message):
    with pytest.raises(error, match=message):
        optcore.from_config(config)


def saved():
    """What an earlier layout of the library wrote, by `to_config` and by `pickle`."""
    path = pathlib.Path(__file__).parents[1] / "golden" / "saved_0_1.json"
    return json.loads(path.read_text())


def test_what_was_saved_before_still_loads():
    """The keys are names: they say nothing of the chapter, or of what the top exports."""
    for entry in saved():
        tx = optcore.from_config(entry["config"])
        assert repr(tx) == entry["repr"]
        if tx.declaration.factory.key == entry["config"]["factory"]:
            assert optcore.to_config(tx) == entry["config"]
        if entry["pickle"] is not None:
            assert pickle.loads(base64.b64decode(entry["pickle"])) == tx


def test_a_name_that_is_exported_nowhere_still_loads(monkeypatch):
    tx = optcore.guard(optcore.sgd(0.1))
    config, pickled = optcore.to_config(tx), pickle.dumps(tx)
    monkeypatch.delattr(optcore, "guard")
    monkeypatch.delattr(optcore.safety, "guard")
    assert optcore.from_config(config) == tx
    assert pickle.loads(pickled) == tx


def test_own_functions_go_by_their_public_name():
    tx = optcore.stateless(optcore.global_norm)
    config = optcore.to_config(tx)
    assert "optcore:global_norm" in json.dumps(config)
    assert optcore.from_config(config) == tx
