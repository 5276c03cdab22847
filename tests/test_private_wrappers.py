"""Every wrapper around what takes single examples: the right numbers, or a refusal with reason."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import optcore
from optcore import FREEZE, chain, testing
from optcore.testing._subject import sample
from tests.named import is_own
from tests.partial import masked
from tests.subjects import subject
from tests.test_wrappers import around

KEYS = jax.random.split(jax.random.key(7), 3)
PARAMS = {"dense": {"kernel": sample((4, 3), 1), "bias": sample((3,), 2)}, "scale": sample((), 3)}
CLIP = 0.6
FACTORIES = {n: f for n, f in optcore.registry("wrapper").items() if is_own(n)}
REFUSED = {
    "asam": "takes others from 'grad_fn'",
    "cautious": "not known to keep examples apart",
    "graft": "not known to keep examples apart",
    "lazy_rows": "not known to keep examples apart",
    "monitor": "not known to keep examples apart",
    "sam": "takes others from 'grad_fn'",
    "skip_on_spike": "not known to keep examples apart",
}
"""The wrappers that see gradients themselves, or let some pass, and what they say."""
SPLIT = {"route"}
"""The wrappers in which each group is clipped by itself."""


def private(key=KEYS[0], clip=CLIP, noise=0.0):
    return optcore.dpsgd(optcore.linear_schedule(0.3, 0.1, 8), clip, noise, key, momentum=0.5)


def plain(key=None):
    return optcore.sgd(optcore.linear_schedule(0.3, 0.1, 8), momentum=0.5)


def wrapped(name, make):
    """The example of a wrapper with a new optimizer, and key, for each that it holds."""
    keys = iter(KEYS)
    factory = FACTORIES[name]
    tx, arguments = factory.example(), {}
    for role in factory.roles.values():
        if role.kind != "transformation":
            continue
        held = around(tx.arguments[role.name], None, role, name == "switch")
        if isinstance(held, dict):
            arguments[role.name] = {label: make(next(keys)) for label in held}
        elif role.names_members:
            arguments[role.name] = (("inner", make(next(keys))),)
        elif role.holds_pairs:
            arguments[role.name] = tuple((pattern, make(next(keys))) for pattern, _ in held)
        elif role.container:
            arguments[role.name] = tuple(make(next(keys)) for _ in held)
        else:
            arguments[role.name] = make(next(keys))
    return tx.replace(**arguments)


def batches(steps=4, examples=3):
    for step in range(steps):
        leaves, treedef = jax.tree.flatten(PARAMS)
        yield treedef.unflatten(sample((examples, *p.shape), 10 * step + p.size) for p in leaves)


def means(grads, clip=CLIP):
    tx = optcore.transforms.differentially_private_aggregate(clip, 0.0, KEYS[0])
    return tx.update(grads, tx.init(PARAMS), PARAMS)[0]


def run(tx, batches, extra=None, params=PARAMS):
    state, found = tx.init(params), []
    for grads in batches:
        updates, state = tx.update(grads, state, params, **(extra or {}))
        found.append(updates)
    return found


def close(got, expected, rtol=2e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=2e-6), got, expected)


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.sample(6)
def test_works_on_the_private_mean_or_refuses(name):
    extra = subject(name).extra
    clip = 1e6 if name in SPLIT else CLIP
    make = functools.partial(private, clip=clip)
    if name in REFUSED:
        with pytest.raises(ValueError, match=f"{name}.*{REFUSED[name]}"):
            wrapped(name, make)
        return
    got = run(wrapped(name, make), batches(), extra)
    expected = run(wrapped(name, plain), [means(grads, clip) for grads in batches()], extra)
    # Low-bit arrays may be rounded to the neighbour.
    close(got, expected, 0.05 if name == "store" else 2e-5)


QUICK = {"accumulate", "flatten", "guard", "switch"}
BOUNDED = sorted(FACTORIES.keys() - REFUSED.keys() - SPLIT - {"store", "with_average"})
"""All but what rounds, what is outermost, and what clips each group by itself."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in BOUNDED],
)
@pytest.mark.sample(1)
def test_one_example_moves_a_step_by_no_more_than_the_bound(name):
    """Whatever the example is replaced by."""
    tx = wrapped(
        name,
        lambda key: chain(
            optcore.transforms.differentially_private_aggregate(CLIP, 0.0, key),
            optcore.scale(-1.0),
        ),
    )
    grads = next(batches())
    other = jax.tree.map(lambda g: g.at[1].multiply(-1e4), grads)
    steps = [run(tx, [g, g], subject(name).extra) for g in (grads, other)]
    moved = [
        float(optcore.global_norm(jax.tree.map(jnp.subtract, *pair)))
        for pair in zip(*steps, strict=True)
    ]
    assert 0 < max(moved) <= 2 * CLIP / 3 + 1e-6


@pytest.mark.slow
def test_frozen_parameters_beside_private_ones_stay():
    tx = optcore.route(("dense/*", private()), ("scale", FREEZE))
    grads = list(batches())
    for u in run(tx, grads):
        np.testing.assert_array_equal(u["scale"], np.zeros(()))
        assert u["dense"]["kernel"].shape == (4, 3)
    head = [{"dense": g["dense"]} for g in grads]
    alone = run(private(), head, params={"dense": PARAMS["dense"]})
    close([{"dense": u["dense"]} for u in run(tx, grads)], alone)
    for same in (
        optcore.route(("a", private()), ("b", FREEZE), labels={"dense": "a", "scale": "b"}),
    ):
        close(run(same, grads), run(tx, grads), 0)
    without_params = tx.init(PARAMS)
    updates, _ = tx.update(grads[0], without_params)
    close(updates, run(tx, grads)[0], 0)


@pytest.mark.parametrize("wrap", [
    lambda tx: tx,
    lambda tx: optcore.named_chain(("halves", optcore.scale(1.0)), ("rest", tx)),
    lambda tx: optcore.route(("*", tx)),
    lambda tx: optcore.route(("all", tx), labels="all"),
])  # fmt: skip
@pytest.mark.sample(1)
def test_accumulated_batches_are_one_lot_with_one_noise(wrap):
    """As of one batch of all examples: clipped one by one, noise once, divided by all."""
    grads = list(batches(steps=6, examples=2))
    lots = [jax.tree.map(lambda *g: jnp.concatenate(g), *grads[i : i + 3]) for i in (0, 3)]
    whole = run(wrap(private(noise=0.7)), lots)
    got = run(optcore.accumulate(wrap(private(noise=0.7)), 3), grads)
    close([got[2], got[5]], whole)
    for i in (0, 1, 3, 4):
        assert not any(np.any(u) for u in jax.tree.leaves(got[i]))


@pytest.mark.slow
def test_batches_of_a_lot_may_have_different_sizes():
    first, second = next(batches(examples=3)), next(batches(examples=1))
    tx = optcore.accumulate(private(noise=0.7), 2)
    got = run(tx, [first, second])[1]
    both = jax.tree.map(lambda *g: jnp.concatenate(g), first, second)
    close(got, run(private(noise=0.7), [both])[0])


def test_what_acts_in_front_goes_on_once_for_a_lot():
    tx = chain(optcore.scale(optcore.linear_schedule(1.0, 2.0, 4)), private())
    grads = list(batches())
    lots = [jax.tree.map(lambda *g: jnp.concatenate(g), *grads[i : i + 2]) for i in (0, 2)]
    got = run(optcore.accumulate(tx, 2), grads)
    close([got[1], got[3]], run(tx, lots))


def test_accumulate_refuses_what_it_cannot_add_up():
    with pytest.raises(ValueError, match=r"accumulate: inner is guard.*guard\(accumulate\(dpsgd"):
        optcore.accumulate(optcore.guard(private()), 2)
    tx = optcore.accumulate(private(), 2)
    with pytest.raises(ValueError, match=r"each must count once.*leave it out"):
        run(tx, batches(1), {"weight": 2.0})


SAFE = [
    optcore.clip(0.5), optcore.scale(2.0), optcore.identity(), optcore.transforms.zero_nans(),
    optcore.scale_by_sign(), optcore.transforms.set_to_zero(), chain(), optcore.scale(
        optcore.constant_schedule(0.5)),
    chain(optcore.scale(2.0), optcore.clip(1.0)), optcore.inject(optcore.scale(0.5)),
    optcore.strict(optcore.scale(0.5)), optcore.scale_by_learning_rate(0.5),
    optcore.split_real_and_imaginary(optcore.clip(0.5)),
]  # fmt: skip


@pytest.mark.parametrize("front", SAFE, ids=repr)
def test_what_may_stand_in_front_acts_on_each_example_alone(front):
    aggregate = optcore.transforms.differentially_private_aggregate(CLIP, 0.0, KEYS[0])
    tx, grads = chain(front, aggregate), next(batches())
    each = [jax.tree.map(lambda g, i=i: g[i], grads) for i in range(3)]
    alone = [front.update(g, front.init(PARAMS), PARAMS)[0] for g in each]
    expected = means(jax.tree.map(lambda *g: jnp.stack(g), *alone))
    close(tx.update(grads, tx.init(PARAMS), PARAMS)[0], expected)


def unsafe():
    for name, factory in optcore.registry().items():
        single = factory.kind == "schedule" or factory.per_example is not None
        if is_own(name) and not single and not factory.outermost:
            yield name


@pytest.mark.parametrize("name", [*unsafe(), "guard", "route", "accumulate", "store"])
def test_nothing_else_stands_in_front(name):
    aggregate = optcore.transforms.differentially_private_aggregate(0.1, 0.0, KEYS[0])
    front = optcore.registry()[name].example()
    with pytest.raises(ValueError, match=rf"chain: {name} is in front of .*may mix them"):
        chain(front, aggregate)


def test_nor_do_pairs_of_other_libraries_and_users():
    aggregate = optcore.transforms.differentially_private_aggregate(0.1, 0.0, KEYS[0])
    with pytest.raises(ValueError, match=r"a GradientTransformation.*another library"):
        chain(optax.clip_by_global_norm(1.0), aggregate)
    with pytest.raises(ValueError, match=r"route: .* holds a GradientTransformation"):
        optcore.route(("dense/*", private()), ("scale", optax.sgd(0.1)))

    @optcore.transformation("transform", example={}, per_example="single")
    def halved() -> optcore.GradientTransformation:
        return optcore.scale(0.5)

    grads = next(batches())
    tx = chain(halved(), aggregate)
    close(tx.update(grads, tx.init(PARAMS))[0],
          means(jax.tree.map(lambda g: 0.5 * g, grads), 0.1))  # fmt: skip


@pytest.mark.parametrize(("make", "cause"), [
    (lambda: optcore.switch([private(), plain()], [2]), "sgd beside dpsgd"),
    (lambda: optcore.switch([private(), FREEZE], [2]), "set_to_zero beside dpsgd"),
    (lambda: optcore.route(("a", plain()), ("b", private())), "sgd beside dpsgd.*or FREEZE"),
    (lambda: optcore.route(("*", private()), ("b", masked(FREEZE, True))), "route beside"),
    (lambda: optcore.switch([private(), private()], [2]), "with the same key"),
    (lambda: optcore.route(("a", private()), ("b", chain(private()))), "with the same key"),
    (lambda: optcore.lookahead(private(), 2, 0.5, reset_state=True), "repeat the noise in every"),
    (lambda: chain(optcore.transforms.differentially_private_aggregate(1.0, 1.0, KEYS[0]),
                   optcore.transforms.differentially_private_aggregate(1.0, 1.0, KEYS[1])),
     "is behind differentially_private_aggregate, which has made one gradient"),
    (lambda: chain(optcore.transforms.differentially_private_aggregate(1.0, 1.0, KEYS[0]),
                   optcore.sam(optcore.sgd(0.1))), "sam is behind .* from 'grad_fn'"),
    (lambda: chain(optcore.transforms.differentially_private_aggregate(1.0, 1.0, KEYS[0]),
                   optax.scale_by_zoom_linesearch(5)),
     "is behind .* from 'value_fn'"),
])  # fmt: skip
def test_no_way_around_the_clip_and_the_noise(make, cause):
    with pytest.raises(ValueError, match=cause):
        make()


@pytest.mark.slow
def test_switches_between_private_optimizers():
    other = optcore.dpsgd(0.2, CLIP, 0.5, KEYS[1])
    grads = list(batches())
    got = run(optcore.switch([private(noise=0.5), other], [2]), grads)
    close(got[:2], run(private(noise=0.5), grads[:2]))
    close(got[2:], run(other, grads[2:]))


def test_flattens_each_example():
    got = run(optcore.flatten(private()), batches())
    close(got, run(private(), batches()))
    tx = optcore.flatten(private())
    left_out = [{**g, "scale": None} for g in batches()]
    assert run(tx, left_out)[0]["scale"] is None
    nothing = jax.tree.map(lambda _: None, PARAMS)
    assert jax.tree.leaves(run(tx, [nothing])) == []


def test_a_users_factory_says_that_it_takes_examples():
    @optcore.transformation("optimizer", example={"learning_rate": 0.1})
    def unsaid(learning_rate: optcore.Rate) -> optcore.GradientTransformation:
        return optcore.dpsgd(learning_rate, 1.0, 0.0, KEYS[0])

    for rate in (0.1, optcore.linear_schedule(0.1, 0.0, 4)):
        with pytest.raises(ValueError, match=r'unsaid: .*declare it.*per_example="aggregates"'):
            unsaid(rate)

    @optcore.transformation("optimizer", example={"learning_rate": 0.1}, per_example="aggregates")
    def said(learning_rate: optcore.Rate) -> optcore.GradientTransformation:
        return optcore.dpsgd(learning_rate, CLIP, 0.0, KEYS[0])

    got = run(optcore.accumulate(said(optcore.linear_schedule(0.3, 0.1, 8)), 1), batches())
    inner = optcore.dpsgd(optcore.linear_schedule(0.3, 0.1, 8), CLIP, 0.0, KEYS[0])
    close(got, run(inner, batches()))


def test_a_users_wrapper_is_refused_until_it_says_what_it_does():
    def halving(inner: optcore.GradientTransformation) -> optcore.GradientTransformation:
        return chain(inner, optcore.scale(0.5))

    example = {"inner": optcore.trace(0.5)}
    silent = optcore.transformation("wrapper", example=example)(halving)
    with pytest.raises(ValueError, match=r'halving is not known .*declares per_example="results"'):
        silent(private())
    said = optcore.transformation("wrapper", example=example, per_example="results")(halving)
    close(run(said(private()), batches()), run(chain(private(), optcore.scale(0.5)), batches()))


@pytest.mark.slow
def test_the_conformance_suite_notices_what_mixes_examples():
    (check,) = (c for c in testing.CHECKS if testing.check_name(c) == "examples_stay_apart")

    @optcore.transformation("transform", example={}, per_example="single")
    def clipped_together() -> optcore.GradientTransformation:
        return optcore.clip_by_global_norm(0.5)

    @optcore.transformation("transform", example={}, per_example="single")
    def remembering() -> optcore.GradientTransformation:
        def update(updates, state, params=None, **extra):
            total = sum(jnp.sum(g) for g in jax.tree.leaves(updates))
            return jax.tree.map(lambda g: g + state, updates), total

        return optcore.GradientTransformation(lambda params: jnp.zeros(()), update)

    for tx in (clipped_together(), remembering()):
        with pytest.raises(AssertionError, match="examples"):
            check(testing.Subject("it", tx))
    check(testing.Subject("it", private(noise=0.5)))


def test_facts_have_a_list_of_values():
    with pytest.raises(ValueError, match=r"per_example must be one of aggregates, .* got True"):
        optcore.transformation("transform", example={}, per_example=True)
