"""Training scripts as people write them, each a function of the library that it calls `optax`.

A script returns the parameters that it began with and those that it ended with.
"""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
from flax.training.train_state import TrainState


def network(seed=0, sizes=(3, 8, 2)):
    keys = jax.random.split(jax.random.key(seed), len(sizes) - 1)
    return {
        f"layer{i}": {"kernel": jax.random.normal(k, (m, n)) / m**0.5, "bias": jnp.zeros(n)}
        for i, (k, m, n) in enumerate(zip(keys, sizes[:-1], sizes[1:], strict=True))
    }


def apply(params, x):
    for name in sorted(params):
        x = x @ params[name]["kernel"] + params[name]["bias"]
        x = x if name == max(params) else jnp.tanh(x)
    return x


def batches(steps, size=8, classes=2):
    for key in jax.random.split(jax.random.key(7), steps):
        x = jax.random.normal(key, (size, 3))
        yield x, (jnp.sum(x, 1) > 0).astype(jnp.int32) % classes


def cross_entropy(optax, params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y).mean()


def fit(optax, tx, steps=12, params=None, **extra):
    params = network() if params is None else params

    @jax.jit
    def step(params, state, x, y):
        value, grads = jax.value_and_grad(functools.partial(cross_entropy, optax))(params, x, y)
        given = {"value": value} if extra.get("value") else {}
        updates, state = tx.update(grads, state, params, **given)
        return optax.apply_updates(params, updates), state

    start, state = params, tx.init(params)
    for x, y in batches(steps):
        params, state = step(params, state, x, y)
    return start, params


def mlp(optax):
    return fit(optax, optax.adamw(optax.cosine_decay_schedule(0.01, 10), weight_decay=0.01))


def imagenet(optax):
    """A float of steps per epoch, a warm-up joined to a decay, SGD with momentum."""
    steps_per_epoch = 2.0
    warmup = optax.linear_schedule(0.0, 0.1, transition_steps=2 * steps_per_epoch)
    decay = optax.cosine_decay_schedule(0.1, decay_steps=4 * steps_per_epoch)
    schedule = optax.join_schedules([warmup, decay], boundaries=[2 * steps_per_epoch])
    return fit(optax, optax.sgd(schedule, momentum=0.9, nesterov=True))


def l2_behind_the_rate(optax):
    return fit(optax, optax.chain(optax.sgd(0.1, momentum=0.9), optax.add_decayed_weights(-1e-4)))


def train_state(optax):
    params = network()
    state = TrainState.create(
        apply_fn=lambda params, x: apply(params, x),
        params=params,
        tx=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01)),
    )

    @jax.jit
    def step(state, x, y):
        grads = jax.grad(
            lambda p: optax.softmax_cross_entropy_with_integer_labels(
                state.apply_fn(p, x), y
            ).mean()
        )(state.params)
        return state.apply_gradients(grads=grads)

    for x, y in batches(12):
        state = step(state, x, y)
    return params, state.params


def freezing(optax):
    def labels(params):
        return {name: "frozen" if name == "layer0" else "trained" for name in params}

    parts = {"trained": optax.adam(0.01), "frozen": optax.set_to_zero(), "unused": optax.sgd(1.0)}
    return fit(optax, optax.multi_transform(parts, labels))


def one_optimizer_per_mask(optax):
    params = network()
    kernels = jax.tree.map(lambda p: p.ndim > 1, params)
    biases = jax.tree.map(lambda m: not m, kernels)
    tx = optax.chain(
        optax.masked(optax.lion(0.01), kernels), optax.masked(optax.rmsprop(0.01), biases)
    )
    return fit(optax, tx)


def accumulation(optax):
    tx = optax.MultiSteps(optax.adamw(0.01, mask=lambda p: jax.tree.map(jnp.ndim, p)), 3)
    return fit(optax, tx.gradient_transformation())


def plateau(optax):
    tx = optax.chain(
        optax.adam(0.01), optax.contrib.reduce_on_plateau(patience=1, accumulation_size=2)
    )
    return fit(optax, tx, value=True)


def sharpness_aware(optax):
    adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return fit(optax, optax.contrib.sam(optax.sgd(0.1), adversary, sync_period=2))


def private(optax):
    tx = optax.contrib.dpsgd(0.1, l2_norm_clip=1.0, noise_multiplier=0.1, seed=0)
    params = start = network()
    state = tx.init(params)
    for x, y in batches(5):
        loss = functools.partial(cross_entropy, optax)
        grads = jax.vmap(jax.grad(loss), (None, 0, 0))(params, x[:, None], y[:, None])
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return start, params


def lookahead(optax):
    tx = optax.lookahead(optax.adam(0.01), sync_period=3, slow_step_size=0.5)
    params = optax.LookaheadParams.init_synced(network())
    state, start = tx.init(params), params
    for x, y in batches(7):
        grads = jax.grad(functools.partial(cross_entropy, optax))(params.fast, x, y)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return start, params


def meta_learning(optax):
    """The rate of an inner optimizer is learned by an outer one."""
    start = params = {"log_rate": jnp.asarray(-3.0)}
    outer = optax.adam(0.1)
    state = outer.init(params)

    def after(params, x, y):
        inner = optax.adam(jnp.exp(params["log_rate"]), eps_root=1e-8)
        weights = network()
        inner_state = inner.init(weights)
        for _ in range(2):
            grads = jax.grad(functools.partial(cross_entropy, optax))(weights, x, y)
            updates, inner_state = inner.update(grads, inner_state)
            weights = optax.apply_updates(weights, updates)
        return cross_entropy(optax, weights, x, y)

    for x, y in batches(4):
        updates, state = outer.update(jax.grad(after)(params, x, y), state)
        params = optax.apply_updates(params, updates)
    return start, params


def game(optax):
    """Optimistic descent on a bilinear game, and ascent by a negative rate."""
    start = params = {"x": jnp.asarray(1.0), "y": jnp.asarray(-0.5)}
    down, up = optax.optimistic_gradient_descent(0.1), optax.adam(-0.05)
    states = down.init(params["x"]), up.init(params["y"])
    for _ in range(10):
        step, first = down.update(params["y"], states[0])
        rise, second = up.update(params["x"], states[1])
        states = first, second
        params = {"x": params["x"] + step, "y": optax.apply_updates(params["y"], rise)}
    return start, params


def injected(optax):
    """PPO as PureJaxRL has it: annealing by hand."""
    tx = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.inject_hyperparams(optax.adam)(learning_rate=0.01, eps=1e-5),
    )
    params = start = network()
    state = tx.init(params)
    for i, (x, y) in enumerate(batches(8)):
        state[1].hyperparams["learning_rate"] = jnp.asarray(0.01 * (1 - i / 8))
        grads = jax.grad(functools.partial(cross_entropy, optax))(params, x, y)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return start, params


def target_network(optax):
    """DQN and SAC: a slow copy, and one that is taken now and then."""
    params = network()
    tx = optax.adam(0.01)
    state, slow, copied = tx.init(params), network(1), network(2)
    start = params, slow, copied
    for i, (x, y) in enumerate(batches(6)):
        grads = jax.grad(lambda p, x, y: optax.huber_loss(apply(p, x)[:, 0], y * 1.0).mean())(
            params, x, y
        )
        updates, state = tx.update(grads, state)
        params = optax.apply_updates(params, updates)
        slow = optax.incremental_update(params, slow, 0.1)
        copied = optax.periodic_update(params, copied, jnp.asarray(i), 3)
    return start, (params, slow, copied)


def big_vision(optax):
    """Its optimizer is a chain of masks, schedules and a scale by the sign."""
    params = network()
    kernels = jax.tree.map(lambda p: p.ndim > 1, params)
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(b2=0.95, mu_dtype="float32"),
        optax.masked(optax.add_decayed_weights(1e-2), kernels),
        optax.masked(optax.scale_by_schedule(optax.linear_schedule(1.0, 0.0, 20)), kernels),
        optax.scale(-0.01),
    )
    return fit(optax, tx, params=params)


def language_model(optax):
    """T5's Adafactor, with a schedule and a clip."""
    schedule = optax.warmup_exponential_decay_schedule(0.0, 0.01, 4, 10, 0.5)
    return fit(optax, optax.adafactor(schedule, min_dim_size_to_factor=2), steps=8)


def haiku(optax):
    net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 2])(x)))
    start = params = net.init(jax.random.key(0), jnp.ones((1, 3)))
    tx = optax.adam(optax.exponential_decay(0.01, 5, 0.9, staircase=True))
    state = tx.init(params)
    for x, y in batches(8):
        grads = jax.grad(
            lambda p, x, y: optax.softmax_cross_entropy_with_integer_labels(
                net.apply(p, x), y
            ).mean()
        )(params, x, y)
        updates, state = tx.update(grads, state)
        params = optax.apply_updates(params, updates)
    return start, params


def quasi_newton(optax):
    def loss(p):
        return optax.l2_loss(apply(p, jnp.eye(3))).mean()

    tx = optax.lbfgs()
    start = params = network()
    state = tx.init(params)
    value_and_grad = optax.value_and_grad_from_state(loss)
    for _ in range(3):
        value, grads = value_and_grad(params, state=state)
        updates, state = tx.update(grads, state, params, value=value, grad=grads, value_fn=loss)
        params = optax.apply_updates(params, updates)
    return start, params


SCRIPTS = [
    mlp, imagenet, l2_behind_the_rate, train_state, freezing, one_optimizer_per_mask, accumulation,
    plateau, sharpness_aware, private, lookahead, meta_learning, game, injected, target_network,
    big_vision, language_model, haiku, quasi_newton,
]  # fmt: skip
