"""Training scripts of applications: models of Flax, Equinox and Haiku, games, agents, language.

Each is a function of the library that it calls `optax`, and returns the parameters that it began
with and those that it ended with.
"""

import functools

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
from flax.training.train_state import TrainState

from tests.optax.scripts import apply, batches, cross_entropy, network

Dense = functools.partial(nn.Dense, param_dtype=float)


def train(optax, tx, loss, params, steps=6):
    """The usual loop: `loss(params, key)`."""
    start, state = params, tx.init(params)

    @jax.jit
    def step(params, state, key):
        updates, state = tx.update(jax.grad(loss)(params, key), state, params)
        return optax.apply_updates(params, updates), state

    for key in jax.random.split(jax.random.key(5), steps):
        params, state = step(params, state, key)
    return start, params


def flax_mnist(optax):
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(4, (3, 3))(x))
            x = nn.avg_pool(x, (2, 2), strides=(2, 2))
            return nn.Dense(3)(x.reshape(len(x), -1))

    x = jax.random.normal(jax.random.key(0), (4, 6, 6, 1))
    y = jax.nn.one_hot(jnp.array([0, 1, 2, 1]), 3)
    net = Net()
    params = net.init(jax.random.key(1), x)["params"]
    state = TrainState.create(apply_fn=net.apply, params=params, tx=optax.sgd(0.1, momentum=0.9))
    for _ in range(5):
        grads = jax.grad(
            lambda p: optax.softmax_cross_entropy(net.apply({"params": p}, x), y).mean()
        )(state.params)
        state = state.apply_gradients(grads=grads)
    return params, state.params


def flax_vae(optax):
    class VAE(nn.Module):
        @nn.compact
        def __call__(self, x, key):
            hidden = nn.relu(Dense(6)(x))
            mean, logvar = Dense(2)(hidden), Dense(2)(hidden)
            z = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
            return Dense(8)(nn.relu(Dense(6)(z))), mean, logvar

    x = (jax.random.uniform(jax.random.key(0), (5, 8)) > 0.5).astype(float)
    vae = VAE()

    def loss(params, key):
        logits, mean, logvar = vae.apply(params, x, key)
        divergence = -0.5 * jnp.sum(1 + logvar - mean**2 - jnp.exp(logvar), -1)
        return (optax.sigmoid_binary_cross_entropy(logits, x).sum(-1) + divergence).mean()

    params = vae.init(jax.random.key(1), x, jax.random.key(2))
    return train(optax, optax.adam(0.01), loss, params)


def flax_lm1b(optax):
    """A schedule that is a function of one's own: warm-up, then the inverse root of the step."""

    def schedule(count):
        return 0.05 * jnp.minimum(1.0, count / 3.0) / jnp.sqrt(jnp.maximum(count, 3.0))

    tokens = jax.random.randint(jax.random.key(0), (4, 7), 0, 9)
    params = {
        "embedding": 0.1 * jax.random.normal(jax.random.key(1), (9, 5)),
        "mix": 0.1 * jax.random.normal(jax.random.key(2), (5, 5)),
    }

    def loss(params, key):
        x = params["embedding"][tokens[:, :-1]]
        x = jnp.cumsum(x, 1) @ params["mix"] + x
        logits = x @ params["embedding"].T
        return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()

    tx = optax.adamw(schedule, b1=0.9, b2=0.98, eps=1e-9, weight_decay=0.1)
    return train(optax, tx, loss, params)


def flax_nlp_seq(optax):
    """Smoothed labels, weights for padding, and statistics by the count in the state."""
    params = network(sizes=(3, 8, 4))
    tx = optax.adamw(optax.warmup_cosine_decay_schedule(0.0, 0.05, 2, 8), weight_decay=0.1)
    start, state = params, tx.init(params)

    def loss(params, x, y, weights):
        targets = optax.smooth_labels(jax.nn.one_hot(y, 4), 0.1)
        return (optax.softmax_cross_entropy(apply(params, x), targets) * weights).mean()

    for i, (x, y) in enumerate(batches(6, classes=4)):
        weights = (jnp.arange(len(x)) < 6).astype(x.dtype)
        grads = jax.grad(loss)(params, x, y, weights)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        assert optax.tree.get(state[0], "count") == i + 1
    return start, params


def flax_ogbg(optax):
    """A graph network whose labels are missing in part."""
    senders, receivers = jnp.array([0, 1, 2, 3, 4]), jnp.array([1, 2, 0, 4, 3])
    nodes = jax.random.normal(jax.random.key(0), (5, 3))
    graph = jnp.array([0, 0, 0, 1, 1])
    labels = jnp.array([[1.0, jnp.nan], [0.0, 1.0]])
    params = network(sizes=(3, 6, 2))

    def loss(params, key):
        sums = jax.ops.segment_sum(nodes[senders], receivers, 5)
        logits = jax.ops.segment_sum(apply(params, nodes + sums), graph, 2)
        known = ~jnp.isnan(labels)
        values = optax.sigmoid_binary_cross_entropy(logits, jnp.where(known, labels, 0))
        return jnp.where(known, values, 0).sum() / known.sum()

    return train(optax, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.02)), loss, params)


def adversarial(optax):
    """Each batch is attacked by projected steps of the sign before it is learned."""
    attack = optax.sign_sgd(-0.05)

    def attacked(params, x, y):
        delta, state = jnp.zeros_like(x), attack.init(x)
        for _ in range(3):
            grad = jax.grad(lambda d: cross_entropy(optax, params, x + d, y))(delta)
            updates, state = attack.update(grad, state)
            delta = optax.apply_updates(delta, updates)
            delta = optax.projections.projection_box(delta, -0.1, 0.1)
        return x + delta

    tx = optax.noisy_sgd(0.1, eta=0.001, gamma=0.5, key=7)
    params = start = network()
    state = tx.init(params)
    for x, y in batches(5):
        grads = jax.grad(functools.partial(cross_entropy, optax))(params, attacked(params, x, y), y)
        updates, state = tx.update(grads, state)
        params = optax.apply_updates(params, updates)
    return start, params


def perturbed(optax):
    """A ranking is learned through a maximum that noise has made smooth."""

    def ranks(values):
        return jax.nn.one_hot(jnp.argmax(values), values.shape[0], dtype=values.dtype)

    soft = optax.perturbations.make_perturbed_fun(ranks, num_samples=20, sigma=0.5)
    x = jax.random.normal(jax.random.key(0), (4, 3))

    def loss(params, key):
        return optax.squared_error(soft(key, x @ params), jnp.array([0.0, 0.0, 1.0, 0.0])).sum()

    return train(optax, optax.adam(0.05), loss, jnp.array([0.1, -0.2, 0.3]))


def accumulated_by_hand(optax):
    tx = optax.chain(optax.apply_every(2), optax.scale_by_adam(), optax.scale(-0.01))
    loss = functools.partial(cross_entropy, optax)
    x, y = next(batches(1))
    return train(optax, tx, lambda p, key: loss(p, x, y), network())


def soft_actor_critic(optax):
    """Brax: three optimizers, a temperature, and a target that follows."""
    policy, critic = network(0), network(1)
    target, log_alpha = critic, jnp.asarray(0.0)
    start = policy, critic, target, log_alpha
    policy_tx = optax.adam(0.01)
    critic_tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01))
    alpha_tx = optax.adam(3e-3)
    states = policy_tx.init(policy), critic_tx.init(critic), alpha_tx.init(log_alpha)
    for x, _ in batches(5):

        def entropy(p, x=x):
            logits = jax.nn.log_softmax(apply(p, x))
            return -jnp.sum(jnp.exp(logits) * logits, -1).mean()

        def critic_loss(c, x=x, target=target):
            return optax.l2_loss(apply(c, x), 1 + 0.9 * apply(target, -x)).mean()

        def policy_loss(p, x=x, critic=critic, log_alpha=log_alpha):
            gain = (jax.nn.softmax(apply(p, x)) * apply(critic, x)).sum(-1).mean()
            return -gain - jnp.exp(log_alpha) * entropy(p)

        def alpha_loss(a, policy=policy):
            return jnp.exp(a) * jax.lax.stop_gradient(entropy(policy) - 0.5)

        alpha_step, a = alpha_tx.update(jax.grad(alpha_loss)(log_alpha), states[2])
        critic_step, c = critic_tx.update(jax.grad(critic_loss)(critic), states[1])
        policy_step, p = policy_tx.update(jax.grad(policy_loss)(policy), states[0])
        states = p, c, a
        policy = optax.apply_updates(policy, policy_step)
        critic = optax.apply_updates(critic, critic_step)
        log_alpha = optax.apply_updates(log_alpha, alpha_step)
        target = jax.tree.map(lambda t, c: 0.9 * t + 0.1 * c, target, critic)
    return start, (policy, critic, target, log_alpha)


class Generator(eqx.Module):
    initial: eqx.nn.Linear
    drift: eqx.nn.MLP

    def __call__(self, key):
        noise = jax.random.normal(key, (6, 2))
        y, path = self.initial(noise[0]), []
        for dw in noise[1:]:
            y = y + 0.2 * self.drift(y) + 0.1 * dw
            path.append(y)
        return jnp.stack(path)


def neural_sde(optax):
    """Diffrax: a generator descends and a discriminator ascends, both Equinox modules."""

    keys = jax.random.split(jax.random.key(0), 4)
    generator = Generator(eqx.nn.Linear(2, 2, key=keys[0]), eqx.nn.MLP(2, 2, 4, 1, key=keys[1]))
    discriminator = eqx.nn.MLP(10, "scalar", 4, 1, key=keys[2])
    start = eqx.filter((generator, discriminator), eqx.is_inexact_array)
    down, up = optax.rmsprop(0.01), optax.rmsprop(-0.02)
    states = down.init(start[0]), up.init(start[1])

    def gap(models, key, real):
        generator, discriminator = models
        made = jax.vmap(generator)(jax.random.split(key, 4))
        scores = [jax.vmap(lambda y: discriminator(y.ravel()))(ys) for ys in (made, real)]
        return scores[0].mean() - scores[1].mean()

    for key in jax.random.split(keys[3], 4):
        real = jnp.cumsum(jax.random.normal(key, (4, 5, 2)), 1)
        g_grads, d_grads = eqx.filter_grad(gap)((generator, discriminator), key, real)
        g_updates, first = down.update(g_grads, states[0])
        d_updates, second = up.update(d_grads, states[1])
        states = first, second
        g_updates = eqx.tree_at(lambda u: u.initial.weight, g_updates, replace_fn=lambda u: 2 * u)
        generator = eqx.apply_updates(generator, g_updates)
        discriminator = eqx.apply_updates(discriminator, d_updates)
        discriminator = jax.tree.map(
            lambda x: jnp.clip(x, -1, 1) if eqx.is_inexact_array(x) else x, discriminator
        )
    return start, eqx.filter((generator, discriminator), eqx.is_inexact_array)


class RNN(eqx.Module):
    cell: eqx.nn.GRUCell
    head: eqx.nn.Linear

    def __call__(self, xs):
        def body(h, x):
            return self.cell(x, h), None

        h, _ = jax.lax.scan(body, jnp.zeros(4), xs)
        return jax.nn.sigmoid(self.head(h))[0]


def equinox_rnn(optax):
    keys = jax.random.split(jax.random.key(0), 3)
    model = RNN(eqx.nn.GRUCell(2, 4, key=keys[0]), eqx.nn.Linear(4, 1, key=keys[1]))
    xs = jax.random.normal(keys[2], (5, 6, 2))
    ys = jnp.array([0.0, 1.0, 1.0, 0.0, 1.0])
    optim = optax.adam(0.02)
    start = eqx.filter(model, eqx.is_array)
    state = optim.init(start)

    @eqx.filter_jit
    def step(model, state):
        def loss(model):
            p = jax.vmap(model)(xs)
            return -jnp.mean(ys * jnp.log(p) + (1 - ys) * jnp.log(1 - p))

        updates, state = optim.update(eqx.filter_grad(loss)(model), state)
        return eqx.apply_updates(model, updates), state

    for _ in range(5):
        model, state = step(model, state)
    return start, eqx.filter(model, eqx.is_array)


def equinox_frozen_layer(optax):
    """Only the last layer is trained; `init` is given the whole model, functions and all."""
    model = eqx.nn.MLP(3, 2, 4, 2, key=jax.random.key(0))
    spec = jax.tree.map(lambda _: False, model)
    last = lambda tree: (tree.layers[-1].weight, tree.layers[-1].bias)  # noqa: E731
    spec = eqx.tree_at(last, spec, (True, True))
    optim = optax.sgd(0.1)
    state, start = optim.init(model), eqx.filter(model, eqx.is_array)

    @eqx.filter_jit
    def step(model, state, x, y):
        @eqx.filter_grad
        def grad(trained, frozen):
            logits = jax.vmap(eqx.combine(trained, frozen))(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        updates, state = optim.update(grad(*eqx.partition(model, spec)), state)
        return eqx.apply_updates(model, updates), state

    for x, y in batches(5):
        model, state = step(model, state, x, y)
    return start, eqx.filter(model, eqx.is_array)


def levanter(optax):
    """The optimizer is built by a function whose rate is injected as a joined schedule."""

    def build(learning_rate):
        return optax.chain(
            optax.clip_by_global_norm(1.0),
            optax.scale_by_adam(0.9, 0.95, 1e-8),
            optax.add_decayed_weights(0.1, lambda p: jax.tree.map(lambda x: x.ndim > 1, p)),
            optax.scale(-learning_rate),
        )

    schedule = optax.join_schedules(
        [
            optax.linear_schedule(0.0, 0.02, 2),
            optax.constant_schedule(0.02),
            optax.cosine_decay_schedule(0.02, 4, 0.1),
        ],
        [2, 3],
    )
    x, y = next(batches(1))
    tx = optax.inject_hyperparams(build)(learning_rate=schedule)
    return train(optax, tx, lambda p, key: cross_entropy(optax, p, x, y), network())


def haiku_vae(optax):
    def net(x):
        hidden = jax.nn.relu(hk.Linear(6)(x))
        mean, log_std = hk.Linear(2)(hidden), hk.Linear(2)(hidden)
        z = mean + jnp.exp(log_std) * jax.random.normal(hk.next_rng_key(), mean.shape)
        return hk.Linear(4)(jax.nn.relu(hk.Linear(6)(z))), mean, log_std

    model = hk.transform(net)
    x = (jax.random.uniform(jax.random.key(0), (5, 4)) > 0.5).astype(float)

    def loss(params, key):
        logits, mean, log_std = model.apply(params, key, x)
        kl = 0.5 * jnp.sum(mean**2 + jnp.exp(2 * log_std) - 1 - 2 * log_std, -1)
        return (optax.losses.sigmoid_binary_cross_entropy(logits, x).sum(-1) + kl).mean()

    params = model.init(jax.random.key(1), x)
    return train(optax, optax.adam(optax.polynomial_schedule(0.02, 0.0, 1, 10)), loss, params)


APPLICATIONS = [
    flax_mnist, flax_vae, flax_lm1b, flax_nlp_seq, flax_ogbg, adversarial, perturbed,
    accumulated_by_hand, soft_actor_critic, neural_sde, equinox_rnn, equinox_frozen_layer,
    levanter, haiku_vae,
]  # fmt: skip
