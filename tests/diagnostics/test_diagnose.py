"""What ails a run: synthetic runs of every kind, twenty seeds each, and a healthy one."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import optcore
from optcore import diagnostics

pytestmark = pytest.mark.usefixtures("broadcasting")

SEEDS = 20


class Run(NamedTuple):
    """Twenty histories, a leading axis of seeds, and the curvature at their ends."""

    losses: np.ndarray
    gradient_norms: np.ndarray
    cosines: np.ndarray
    update_norms: np.ndarray
    curvature: diagnostics.Curvature | None

    def kinds(self, curvature=False, cosines=True):
        return [
            diagnostics.diagnose(
                self.losses[i],
                self.gradient_norms[i],
                cosines=self.cosines[i] if cosines else None,
                update_norms=self.update_norms[i],
                curvature=jax.tree.map(lambda x, i=i: x[i], self.curvature) if curvature else None,
            ).kind
            for i in range(SEEDS)
        ]


def train(make_loss, start, rate, steps, optimizer=optcore.sgd, curvature=False):
    """Run twenty seeds; `make_loss(problem_key)` gives the loss `(w, step_key) -> scalar`."""

    def one(key):
        problem, first, noise = jax.random.split(key, 3)
        loss_fn = make_loss(problem)
        w = start(first)
        tx = optimizer(rate(loss_fn, w))

        def body(carry, step_key):
            w, state, before = carry
            loss, g = jax.value_and_grad(loss_fn)(w, step_key)
            u, state = tx.update(g, state, w)
            size = jnp.linalg.norm(g)
            unit = g / jnp.where(size > 0, size, 1)
            seen = loss, size, jnp.sum(unit * before), jnp.linalg.norm(u)
            return (w + u, state, unit), seen

        keys = jax.random.split(noise, steps)
        (w, _, _), seen = jax.lax.scan(body, (w, tx.init(w), jnp.zeros_like(w)), keys)
        if not curvature:
            return Run(*seen, None)
        return Run(*seen, diagnostics.curvature(lambda w: loss_fn(w, noise), w, noise, steps=8))

    keys = jax.random.split(jax.random.key(7), SEEDS)
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(keys))


def cases(known):
    """The first two by default; the others take their time."""
    return [
        pytest.param(name, marks=[] if i < 2 else [pytest.mark.slow])
        for i, name in enumerate(known)
    ]


def fixed(rate):
    return lambda loss_fn, w: rate


def share(kinds, *expected):
    return np.mean([kind in expected for kind in kinds])


def normal(*shape, scale=1.0):
    return lambda key: scale * jax.random.normal(key, shape)


# --- saddles: a small gradient, and a direction that bends down ---


def near_ridge(dim, off=1e-6):
    """Off the stable directions by next to nothing."""

    def start(key):
        w = jax.random.normal(key, (dim,))
        return w.at[-1].set(off * w[-1])

    return start


def classic(problem):
    return lambda w, key: 1 + diagnostics.saddle(w)


def many_directions(problem):
    curvatures = jnp.linspace(0.5, 2.0, 12).at[-1].set(-0.5)
    return lambda w, key: 3 + 0.5 * jnp.sum(curvatures * w * w)


def factors(problem):
    target = 2 * jnp.diag(jnp.array([1.0, 0.5, 0.25]))
    return lambda w, key: 0.5 * jnp.sum((jnp.outer(w[:3], w[3:]) - target) ** 2)


def monkey(problem):
    return lambda w, key: 2 + w[0] ** 2 * (1 + 0.1 * w[1] ** 2) - w[1] ** 2 + w[1] ** 4


SADDLES = {
    "x² - y²": (classic, near_ridge(2), 0.02, 200),
    "one of twelve directions": (many_directions, near_ridge(12), 0.1, 150),
    "two factors at zero": (factors, normal(6, scale=1e-5), 0.05, 60),
    "between two wells": (monkey, near_ridge(2), 0.02, 150),
}


@pytest.mark.parametrize("case", cases(SADDLES))
def test_saddle(case):
    loss, start, rate, steps = SADDLES[case]
    run = train(loss, start, fixed(rate), steps, curvature=True)
    assert share(run.kinds(), "small gradient") >= 0.9
    assert share(run.kinds(curvature=True), "saddle") >= 0.9


# --- plateaus: a small gradient, and no bend worth the name ---


def hollow(problem):
    return lambda w, key: diagnostics.plateau(w)


def far(distance):
    def start(key):
        angle = jax.random.uniform(key, maxval=2 * np.pi)
        return distance * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    return start


def saturated(problem):
    x = jax.random.normal(problem, (32, 4)) + 2
    return lambda w, key: jnp.mean((jax.nn.sigmoid(x @ w) - 0.2) ** 2)


def dead_slope(problem):
    return lambda w, key: jnp.log1p(1e-3 * jnp.sum(w * w)) + 2.0


def inverse(problem):
    return lambda w, key: 5 - 1 / (1 + jnp.sum(w**2)) ** 2


PLATEAUS = {
    "far from a hollow": (hollow, far(5.5), 0.1, 100),
    "saturated sigmoids": (saturated, lambda key: 9 + jax.random.uniform(key, (4,)), 0.1, 100),
    "a slope of nearly nothing": (dead_slope, normal(3), 0.01, 100),
    "a tail of higher order": (inverse, far(9.0), 0.1, 100),
}


@pytest.mark.parametrize("case", cases(PLATEAUS))
def test_plateau(case):
    loss, start, rate, steps = PLATEAUS[case]
    run = train(loss, start, fixed(rate), steps, curvature=True)
    assert share(run.kinds(), "small gradient") >= 0.9
    assert share(run.kinds(curvature=True), "plateau") >= 0.9


# --- quadratics and their like, at a rate near the limit 2 / λ_max ---


def rotated(condition, dim):
    def make(problem):
        basis, _ = jnp.linalg.qr(jax.random.normal(problem, (dim, dim)))
        hessian = (basis * jnp.geomspace(1 / condition, 1, dim)) @ basis.T
        return lambda w, key: 0.5 * w @ hessian @ w

    return make


def ravine(problem):
    """One steep direction among many that are nearly flat."""
    basis, _ = jnp.linalg.qr(jax.random.normal(problem, (20, 20)))
    hessian = (basis * jnp.geomspace(1e-4, 3e-3, 20).at[-1].set(1.0)) @ basis.T
    return lambda w, key: 0.5 * w @ hessian @ w


def least_squares(problem):
    x = jax.random.normal(problem, (40, 5)) * jnp.array([6.0, 0.6, 0.6, 0.3, 0.2])
    y = x @ jnp.arange(1.0, 6.0)
    return lambda w, key: 0.5 * jnp.mean((x @ w - y) ** 2)


def walls(problem):
    """Straight walls with a round floor between them, and a gentle slope along it."""
    return lambda w, key: jnp.sum(jnp.log(jnp.cosh(5 * w[:1]))) + 1e-3 * jnp.sum(w[1:] ** 2)


def at_limit(times):
    """The rate `times / λ_max`, which of these is at the origin."""

    def rate(loss_fn, w):
        key = jax.random.key(0)
        return times / jnp.max(jnp.linalg.eigvalsh(jax.hessian(loss_fn)(jnp.zeros_like(w), key)))

    return rate


BOWLS = {
    "condition 10": (rotated(10.0, 4), normal(4)),
    "a ravine": (ravine, normal(20)),
    "least squares": (least_squares, lambda key: jnp.zeros(5)),
    "one parameter": (rotated(1.0, 1), normal(1)),
}


@pytest.mark.parametrize("case", cases(BOWLS))
def test_zig_zag(case):
    loss, start = BOWLS[case]
    run = train(loss, start, at_limit(1.9), 26)
    assert share(run.kinds(), "oscillation") >= 0.9


def test_zig_zag_that_never_ends():
    """Too fast for the floor, but the walls give back no more than they were given."""
    run = train(walls, normal(4), at_limit(3.0), 80)
    np.testing.assert_allclose(run.losses[:, -1], run.losses[:, -21], rtol=0.05)
    assert run.gradient_norms[:, -1].min() > 1
    assert share(run.kinds(), "oscillation") >= 0.9


@pytest.mark.parametrize("case", cases(BOWLS))
def test_divergence(case):
    loss, start = BOWLS[case]
    run = train(loss, start, at_limit(2.1), 60)
    assert share(run.kinds(), "divergence") >= 0.9
    assert share(run.kinds(cosines=False), "divergence") >= 0.9


def test_divergence_to_infinity():
    run = train(rotated(10.0, 4), normal(4), at_limit(40.0), 60)
    assert not np.isfinite(run.losses).all()
    assert share(run.kinds(), "divergence") == 1


# --- label noise: mini-batches whose answers are partly wrong ---


def noisy_regression(batch, noise):
    def make(problem):
        truth = jax.random.normal(problem, (6,))

        def loss(w, key):
            a, b = jax.random.split(key)
            x = jax.random.normal(a, (batch, 6))
            y = x @ truth + noise * jax.random.normal(b, (batch,))
            return 0.5 * jnp.mean((x @ w - y) ** 2)

        return loss

    return make


def flipped_labels(problem):
    truth = jax.random.normal(problem, (4,))

    def loss(w, key):
        a, b = jax.random.split(key)
        x = jax.random.normal(a, (16, 4))
        flip = jax.random.bernoulli(b, 0.3, (16,))
        label = ((x @ truth > 0) ^ flip).astype(jnp.float32)
        logits = x @ w
        return jnp.mean(jnp.logaddexp(0.0, logits) - label * logits)

    return loss


NOISES = {
    "regression, batches of 8": (noisy_regression(8, 1.0), 0.05, optcore.sgd),
    "regression, single examples": (noisy_regression(1, 0.5), 0.02, optcore.sgd),
    "flipped labels": (flipped_labels, 0.2, optcore.sgd),
    "with Adam": (noisy_regression(8, 1.0), 0.03, optcore.adam),
}


@pytest.mark.parametrize("case", cases(NOISES))
@pytest.mark.sample(1)
def test_label_noise(case):
    loss, rate, optimizer = NOISES[case]
    run = train(loss, normal(6 if loss is not flipped_labels else 4), fixed(rate), 3000, optimizer)
    assert share(run.kinds(), "noise") >= 0.9
    assert share(run.kinds(cosines=False), "noise") >= 0.9


# --- and runs that nothing ails ---

HEALTHY = {
    "descent at 1 / λ_max": (rotated(1000.0, 20), normal(20), at_limit(1.0), 40, optcore.sgd),
    "descent at 0.3 / λ_max": (rotated(10.0, 4), normal(4), at_limit(0.3), 40, optcore.sgd),
    "Adam": (least_squares, normal(5), fixed(0.05), 80, optcore.adam),
    "mini-batches": (noisy_regression(32, 0.1), normal(6), fixed(0.02), 60, optcore.sgd),
    "logistic": (flipped_labels, normal(4, scale=8.0), fixed(0.3), 60, optcore.sgd),
}


@pytest.mark.parametrize("case", cases(HEALTHY))
@pytest.mark.sample(1)
def test_a_healthy_run_is_undecided(case):
    run = train(*HEALTHY[case])
    assert run.losses[:, -10:].mean() < 0.8 * run.losses[:, :10].mean()
    assert share(run.kinds(), "undecided") >= 0.9
    assert share(run.kinds(cosines=False), "undecided") >= 0.9


def test_convergence_is_a_minimum():
    run = train(rotated(5.0, 4), normal(4), at_limit(1.0), 120, curvature=True)
    assert share(run.kinds(), "small gradient") >= 0.9
    assert share(run.kinds(curvature=True), "minimum") >= 0.9


@pytest.mark.slow
def test_a_monitor_feeds_it():
    """A healthy run on digits."""
    sklearn = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    digits = sklearn.load_digits()
    x, y = jnp.asarray(digits.data / 16, jnp.float32), jnp.asarray(digits.target)

    def loss(w, rows):
        log_p = jax.nn.log_softmax(x[rows] @ w)
        return -jnp.take_along_axis(log_p, y[rows, None], axis=1).mean()

    def history(rate, key):
        tx = optcore.monitor(optcore.sgd(rate), cosine=True)
        w = jnp.zeros((64, 10))

        def body(carry, key):
            w, state = carry
            value, g = jax.value_and_grad(loss)(w, jax.random.choice(key, len(x), (64,)))
            u, state = tx.update(g, state, w)
            return (optcore.apply_updates(w, u), state), (value, state.measurements)

        return jax.lax.scan(body, (w, tx.init(w)), jax.random.split(key, 100))[1]

    keys = jax.random.split(jax.random.key(0), SEEDS)
    runs = jax.jit(jax.vmap(history, (None, 0)))(0.3, keys)
    kinds = []
    for i in range(SEEDS):
        losses, seen = jax.tree.map(lambda v, i=i: np.asarray(v[i]), runs)
        names = ("gradient_norm", "gradient_cosine", "update_norm")
        norms, cosines, updates = (seen[name] for name in names)
        found = diagnostics.diagnose(losses, norms, cosines=cosines, update_norms=updates)
        kinds.append(found.kind)
    assert share(kinds, "undecided") >= 0.9


def test_what_is_said():
    steps = np.arange(40)
    found = diagnostics.diagnose(np.exp(0.1 * steps), np.exp(0.05 * steps))
    assert found.kind == "divergence"
    assert "rose by" in found.reason
    assert "2 / the largest curvature" in found.advice
    assert str(found).startswith("divergence: the loss rose by")


def test_where_it_broke():
    losses = np.ones(30)
    losses[17:] = np.nan
    assert "after 17 steps" in diagnostics.diagnose(losses, np.ones(30)).reason


def test_only_the_last_steps_count():
    losses = np.concatenate([np.full(40, 5.0), np.exp(0.2 * np.arange(20))])
    norms = losses.copy()
    assert diagnostics.diagnose(losses, norms, last=20).kind == "divergence"
    assert diagnostics.diagnose(losses[:40], norms[:40], last=20).kind == "small gradient"
    short = diagnostics.diagnose(losses[:5], norms[:5])
    assert short.kind == "undecided"
    assert "5 steps are too few" in short.reason


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": np.ones((3, 20))}, r"losses must be one number per step, .* shape \(3, 20\)"),
        ({"gradient_norms": np.ones(19)}, "must have the same length"),
        ({"cosines": np.ones(21)}, "must have the same length"),
        ({"losses": None}, "losses must be one number per step"),
        ({"curvature": 3.0}, r"curvature must be a pair \(smallest, largest\), got 3.0"),
        ({"last": 5}, r"last must lie in \[12, 20\], got 5"),
        ({"last": 21}, r"last must lie in \[12, 20\], got 21"),
    ],
)
def test_bad_records(arguments, message):
    records = {"losses": np.ones(20), "gradient_norms": np.ones(20), **arguments}
    with pytest.raises(ValueError, match=message):
        diagnostics.diagnose(**records)
