"""`replace`: other arguments, by name and by path, checked at every level."""

import jax.numpy as jnp
import pytest

import optcore

RATE = optcore.linear_schedule(1.0, 0.0, 4)


def test_by_name():
    assert optcore.sgd(0.1).replace(learning_rate=0.5, momentum=0.9) == optcore.sgd(0.5, 0.9)
    assert RATE.replace(end_value=0.5) == optcore.linear_schedule(1.0, 0.5, 4)
    assert optcore.sgd(0.1).replace() == optcore.sgd(0.1)


def test_by_path_and_by_its_end():
    tx = optcore.chain(optcore.clip(1.0), optcore.chain(optcore.adam(0.1)))
    expected = optcore.chain(optcore.clip(1.0), optcore.chain(optcore.adam(0.2)))
    for name in (
        "transforms.1.transforms.0.learning_rate",
        "transforms.0.learning_rate",
        "learning_rate",
    ):
        assert tx.replace(**{name: 0.2}) == expected
    changed = tx.replace(learning_rate=0.2, max_delta=2.0, b1=0.5)
    assert changed == optcore.chain(optcore.clip(2.0), optcore.chain(optcore.adam(0.2, 0.5)))
    assert tx.arguments["transforms"][0] == optcore.clip(1.0)


def test_a_whole_part():
    tx = optcore.chain(optcore.clip(1.0), optcore.adam(0.1))
    changed = tx.replace(**{"transforms.0": optcore.clip_by_global_norm(2.0)})
    assert changed == optcore.chain(optcore.clip_by_global_norm(2.0), optcore.adam(0.1))
    parts = optcore.route(("a", optcore.sgd(0.1)), ("b", optcore.adam(0.1)))
    with pytest.raises(TypeError, match="one is in the other"):
        tx.replace(**{"transforms.1": optcore.sgd(0.1), "learning_rate": 0.2})
    assert parts.replace(a=optcore.FREEZE).arguments["rules"][0] == ("a", optcore.FREEZE)


def test_every_kind_of_argument():
    """Also static ones, absent ones, and numbers that become schedules."""
    tx = optcore.chain(optcore.sgd(0.1))
    changed = tx.replace(nesterov=True, momentum=0.9, learning_rate=RATE)
    assert changed == optcore.chain(optcore.sgd(RATE, 0.9, nesterov=True))
    assert changed.replace(init_value=0.5) == optcore.chain(
        optcore.sgd(RATE.replace(init_value=0.5), 0.9, nesterov=True)
    )


def test_whole_arguments_come_before_parts():
    tx = optcore.chain(optcore.sgd(0.1))
    assert tx.replace(transforms=[optcore.adam(1.0)]) == optcore.chain(optcore.adam(1.0))
    scheduled = optcore.sgd(RATE)
    assert scheduled.replace(learning_rate=0.5) == optcore.sgd(0.5)
    assert scheduled.replace(**{"learning_rate.init_value": 0.5}) == optcore.sgd(
        RATE.replace(init_value=0.5)
    )


@pytest.mark.parametrize(
    ("tx", "path", "at"),
    [
        (
            optcore.named_chain(("clip", optcore.clip(1.0)), ("sgd", optcore.sgd(0.1))),
            "sgd.learning_rate",
            lambda tx: tx.arguments["transforms"][1][1],
        ),
        (
            optcore.route(("a", optcore.sgd(0.1)), ("b", optcore.sgd(0.3)), labels={"w": "a"}),
            "a.learning_rate",
            lambda tx: tx.arguments["rules"][0][1],
        ),
        (
            optcore.route(("*/bias", optcore.sgd(0.1)), ("*", optcore.adam(0.3))),
            "*/bias.learning_rate",
            lambda tx: tx.arguments["rules"][0][1],
        ),
        (
            optcore.route((optcore.has_ndim(1), optcore.sgd(0.1)), ("*", optcore.adam(0.3))),
            "rules.0.learning_rate",
            lambda tx: tx.arguments["rules"][0][1],
        ),
        (
            optcore.graft(optcore.sgd(0.1), optcore.adam(0.3)),
            "magnitude.learning_rate",
            lambda tx: tx.arguments["magnitude"],
        ),
    ],
    ids=["names", "labels", "rules", "predicates", "parts"],
)
def test_inside_every_container(tx, path, at):
    assert path in optcore.hyperparameters(tx)
    changed = tx.replace(**{path: 0.2})
    assert at(changed) == optcore.sgd(0.2)
    assert changed.replace(**{path: 0.1}) == tx


def test_one_of_several_numbers_by_their_key():
    tx = optcore.hyper.inject_foreign(
        lambda rate, decay: optcore.scale(-rate), {"rate": 0.5, "decay": 0.1}
    )
    changed = optcore.chain(tx).replace(**{"hyperparams.rate": 0.25})
    values = optcore.hyperparameters(changed)
    assert values == {
        "transforms.0.hyperparams.rate": 0.25,
        "transforms.0.hyperparams.decay": 0.1,
    }
    updates, _ = changed.update(jnp.ones(()), changed.init(jnp.zeros(())))
    assert updates == -0.25


CHAIN = optcore.chain(optcore.clip(1.0), optcore.adam(0.1))
TWO = optcore.graft(optcore.sgd(0.1), optcore.adam(0.3))


@pytest.mark.parametrize(
    ("tx", "arguments", "error", "pattern"),
    [
        (CHAIN, {"learning_rte": 1.0}, KeyError, "no argument 'learning_rte'; did .* 'learning_r"),
        (CHAIN, {"lr": 1.0}, KeyError, "did you mean 'learning_rate'"),
        (CHAIN, {"betas": 1.0}, KeyError, "did you mean 'b1' and 'b2'"),
        (CHAIN, {"transforms.2.b1": 1.0}, KeyError, r"did you mean 'transforms\.1\.b1'"),
        (
            CHAIN,
            {"zzz": 1.0},
            KeyError,
            r"'zzz'; it has transforms, transforms\.0, transforms\.0\.max_",
        ),
        (TWO, {"learning_rate": 1.0}, KeyError, r"give one of magnitude\.learning_rate, direction"),
        (CHAIN, {"b1": 1.5}, ValueError, r"adam: b1 must lie in \[0, 1\), got 1.5"),
        (CHAIN, {"nesterov": 1}, TypeError, "adam: nesterov must be True or False"),
        (CHAIN, {"b1": 0.5, "transforms.1.b1": 0.6}, TypeError, r"'transforms\.1\.b1' are one"),
        (CHAIN, {"transforms": [], "b1": 0.6}, TypeError, r"'transforms' and 'transforms\.1\.b1'"),
        (CHAIN, {"b1": 0.6, "transforms": []}, TypeError, "one is in the other"),
        (optcore.adam(0.1), {"lr": 1.0}, TypeError, "adam: unknown argument 'lr'; did you mean"),
        (optcore.adam(0.1), {"a.b1": 1.0}, TypeError, r"adam: unknown argument 'a\.b1'"),
    ],
)
def test_what_is_refused(tx, arguments, error, pattern):
    with pytest.raises(error, match=pattern):
        tx.replace(**arguments)


def test_every_level_is_checked():
    """The checks of a factory's body and of a chain run again."""
    with pytest.raises(ValueError, match="must exceed warmup_steps"):
        optcore.chain(optcore.sgd(optcore.warmup_cosine_decay_schedule(0.0, 1.0, 4, 8))).replace(
            warmup_steps=9
        )
    tx = optcore.chain(optcore.scale_by_learning_rate(0.1, flip_sign=False), optcore.sgd(0.1))
    with pytest.raises(ValueError, match="chain: sgd is behind scale_by_learning_rate"):
        tx.replace(flip_sign=True)
