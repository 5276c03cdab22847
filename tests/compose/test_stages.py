"""Which orders a chain refuses: every row of the table, and what it lets pass."""

import itertools

import jax.numpy as jnp
import optax
import pytest

import optcore
from optcore import chain, route
from optcore.compose._stages import NONSENSE, gives_steps, parts
from tests.partial import masked

RATE = optcore.scale_by_learning_rate(0.1)
DECAYS = [
    optcore.add_decayed_weights(0.1),
    optcore.add_decayed_weights(0.1, mask={"w": True}),
    optcore.transforms.add_cautious_decayed_weights(0.1),
    optcore.transforms.add_corrected_decayed_weights(0.1, 0.1, 0.2),
    optcore.transforms.add_decay_to_init(0.1),
    optcore.transforms.add_l1_decay(0.1),
    masked(optcore.add_decayed_weights(0.1), {"w": True}),
]
EXAMPLES = {
    "optimizer": [
        optcore.sgd(0.1),
        optcore.adamw(optcore.linear_schedule(0.1, 0.0, 9)),
        chain(optcore.clip(1.0), optcore.adam(0.1)),
        chain(chain(optcore.adam(0.1)), optcore.scale(2.0)),
        optcore.named_chain(("adam", optcore.adam(0.1))),
        optcore.cautious(optcore.adam(0.1)),
        optcore.cautious(chain(optcore.trace(0.9), RATE)),
        optcore.skip_on_spike(optcore.adam(0.1)),
        optcore.graft(optcore.sgd(0.1), optcore.adam(0.1)),
        optcore.flatten(optcore.adam(0.1)),
        route(("a", optcore.sgd(0.1)), ("*", optcore.FREEZE)),
        route(("a", optcore.sgd(0.1)), labels="a"),
    ],
    "direction": [
        optcore.trace(0.9),
        optcore.scale_by_adam(),
        optcore.ema(optcore.linear_schedule(0.5, 0.9, 9)),
        masked(optcore.scale_by_adam(), {"w": True}),
        optcore.split_real_and_imaginary(optcore.scale_by_adam()),
    ],
    "rate": [RATE, route(("a", RATE), ("*", optcore.scale_by_learning_rate(0.2)))],
    "decay": DECAYS,
    "drift": [
        *DECAYS[2:6],
        DECAYS[0],
        optcore.transforms.add_independent_decayed_weights(0.1),
        optcore.transforms.shrink_weights(0.1),
        optcore.add_noise(0.1, 0.5, optcore.add_noise.declared_by.example().arguments["key"]),
    ],
    "freeze": [
        optcore.FREEZE,
        route(("a", optcore.FREEZE), ("*", optcore.scale(2.0))),
        masked(optcore.FREEZE, {"w": True}),
        chain(optcore.scale(1.0), optcore.FREEZE),
    ],
}
ALLOWED = [
    optcore.scale(0.5),
    optcore.scale(-1.0),
    optcore.scale(optcore.linear_schedule(1.0, 0.0, 9)),
    optcore.scale_by_learning_rate(0.1, flip_sign=False),
    optcore.reduce_on_plateau(),
    optcore.clip(1.0),
    optcore.clip_by_global_norm(1.0),
    optcore.transforms.zero_nans(),
    optcore.identity(),
    optcore.transforms.keep_params_nonnegative(),
    optcore.transforms.keep_params_in_ball(1.0),
    optcore.transforms.keep_params_norm(),
    optcore.normalize_by_update_norm(),
    optcore.stateless(lambda updates, params: updates),
    masked(optcore.FREEZE, {"w": True}),
    optcore.transforms.add_independent_decayed_weights(0.1, mask={"w": True}),
    optcore.transforms.shrink_weights(0.1, mask={"w": True}),
    optax.scale(0.5),
    optax.adam(0.1),
    optcore.GradientTransformation(*optcore.adam(0.1)),
    route(("a", optcore.scale(0.5)), ("*", optcore.identity())),
]


def test_every_row_has_examples():
    assert set(itertools.chain(*NONSENSE)) == set(EXAMPLES)
    for part, examples in EXAMPLES.items():
        for tx in examples:
            assert part in parts(tx), f"{tx} is no {part}"


@pytest.mark.parametrize(("earlier", "later"), NONSENSE, ids="-".join)
def test_row(earlier, later):
    for first, second in itertools.product(EXAMPLES[earlier], EXAMPLES[later]):
        for links in (
            (first, second),
            (optcore.clip(1.0), first, optax.scale(0.5), chain(optcore.scale(2.0), second)),
            (chain(first, optcore.clip(1.0)), second),
        ):
            with pytest.raises(ValueError, match=r"^chain: \w+ is behind \w+: "):
                chain(*links)
    with pytest.raises(ValueError, match=r"^named_chain: \w+ is behind"):
        optcore.named_chain(("a", first), ("b", second))


@pytest.mark.parametrize("later", ALLOWED, ids=lambda tx: getattr(tx, "declaration", tx).__class__)
def test_allowed_behind_an_optimizer(later):
    for first in EXAMPLES["optimizer"]:
        assert chain(first, later).arguments["transforms"][1] is later


def test_other_orders_are_allowed():
    """In front of each other, and the velocity of Keras: momentum of steps."""
    for links in (
        (RATE, optcore.trace(0.9)),
        (optcore.sgd(0.1), optcore.transforms.add_independent_decayed_weights(0.1)),
        (optcore.sgd(0.1), optcore.transforms.shrink_weights(0.1)),
        (optcore.add_decayed_weights(0.1), optcore.sgd(0.1)),
        (optcore.trace(0.5), optcore.adam(0.1)),
        (optcore.scale_by_adam(), optcore.add_decayed_weights(0.1), RATE, optcore.trace(0.5)),
        (optax.adam(0.1), optcore.adam(0.1)),
        (
            optcore.adam(0.1),
            masked(optcore.FREEZE, {"w": True}),
            optcore.transforms.keep_params_norm(),
        ),
        (optcore.FREEZE, optcore.scale_by_adam(), RATE),
        (masked(RATE, {"w": True, "b": False}), masked(RATE, {"w": False, "b": True})),
        (route(("w", RATE), ("b", optcore.identity())), masked(RATE, {"w": False, "b": True})),
        (optcore.FREEZE, optcore.add_decayed_weights(0.1, mask={"w": False}), RATE),
    ):
        assert len(chain(*links).arguments["transforms"]) == len(links)


@pytest.mark.parametrize(
    "front",
    [
        optcore.clip(1.0),
        optcore.transforms.zero_nans(),
        chain(optcore.scale(0.5), optax.scale(2.0)),
    ],
)
def test_nothing_stands_in_front_of_a_loss_scale(front):
    """It would clip gradients by their scaled norm, or hide the overflows."""
    scaled = optcore.dynamic_loss_scale(optcore.sgd(0.1))
    for later in (scaled, optcore.strict(scaled), chain(scaled, optcore.scale(0.5))):
        with pytest.raises(ValueError, match=r"gradients of a scaled loss: use dynamic_loss_scale"):
            chain(front, later)
    for links in ((scaled, optcore.scale(0.5)), (optax.identity(), scaled)):
        assert chain(*links).arguments["transforms"] == links


def test_rates_of_some_parameters_stand_behind_each_other():
    """Of others, as far as known; a rate for all parameters is still refused."""
    slow = masked(RATE, {"a": True, "b": False})
    fast = masked(optcore.scale_by_learning_rate(1.0), {"a": False, "b": True})
    tx = chain(optcore.scale_by_adam(), slow, fast)
    assert gives_steps(tx)
    params = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    updates, _ = tx.update({"a": jnp.ones(()), "b": jnp.ones(())}, tx.init(params), params)
    assert (float(updates["a"]), float(updates["b"])) == pytest.approx((-0.1, -1.0))
    for links in ((slow, RATE), (RATE, slow), (slow, optcore.sgd(0.1)), (optcore.sgd(0.1), slow)):
        with pytest.raises(ValueError, match="ascent"):
            chain(*links)


def test_messages_say_why_and_what_to_do():
    for links, message in (
        ((optcore.adam(0.1), optcore.sgd(0.1)), "sgd is behind adam: .*ascent.*use route"),
        ((optcore.sgd(0.1), optcore.add_decayed_weights(0.1)), "grow: put it in front of the lea"),
        ((optcore.adam(0.1), RATE), "ascent; to change the size of steps use scale"),
        ((RATE, RATE), "for other rates .* route"),
        ((optcore.adam(0.1), optcore.trace(0.9)), "trace is behind adam: .*put it in front"),
        ((optcore.FREEZE, optcore.adamw(0.1)), "decay: freeze last, or use route"),
    ):
        with pytest.raises(ValueError, match=message):
            chain(*links)


def unchecked(*links):
    """The same chain of pairs of which nothing is known."""
    return chain(*(optcore.GradientTransformation(*link) for link in links))


def after(tx, steps=20):
    """Where descent on `(w - 1)²` from 3 leads."""
    w = jnp.float32(3.0)
    state = tx.init(w)
    for _ in range(steps):
        updates, state = tx.update(2 * (w - 1), state, w)
        w = w + updates
    return float(w)


@pytest.mark.parametrize("first", [optcore.adam(0.1), optcore.sgd(0.1), RATE])
@pytest.mark.parametrize("second", [optcore.sgd(0.1), optcore.adam(0.1)])
def test_what_is_refused_ascends(first, second):
    """Trap 8 of optax: it takes the one for the gradient of the other."""
    assert after(unchecked(first, second)) > 3 > after(second)


def test_what_is_refused_grows_and_thaws():
    def alone(*links):
        w = jnp.float32(2.0)
        tx = unchecked(*links)
        return float(tx.update(jnp.float32(0.0), tx.init(w), w)[0])

    assert alone(optcore.sgd(0.1), optcore.add_decayed_weights(0.1)) == pytest.approx(0.2)
    assert alone(optcore.FREEZE, optcore.adamw(0.1, weight_decay=0.1)) == pytest.approx(-0.02)
    assert alone(optcore.adamw(0.1, weight_decay=0.1), optcore.FREEZE) == 0.0


def test_gives_steps():
    assert all(gives_steps(tx) for tx in EXAMPLES["optimizer"])
    assert gives_steps(chain(optcore.trace(0.9), RATE, optcore.clip(1.0)))
    rest = [tx for part in ("direction", "rate", "decay", "freeze") for tx in EXAMPLES[part]]
    assert not any(gives_steps(tx) for tx in [*rest, optax.adam(0.1)])


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="stage must be one of rate, decay, drift, freeze, got"):
        optcore.transformation("transform", example={}, stage="growth")


def test_a_declared_stage_is_known():
    @optcore.transformation("transform", example={"rate": 0.1}, stage="decay")
    def pull(rate: optcore.Rate) -> optcore.GradientTransformation:
        return optcore.add_decayed_weights(rate)

    with pytest.raises(ValueError, match=r"pull is behind sgd: .*would grow"):
        chain(optcore.sgd(0.1), pull(0.1))
    assert 0 < after(chain(pull(0.1), optcore.sgd(0.1))) < after(optcore.sgd(0.1))
