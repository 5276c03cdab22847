"""Typical code of users, which mypy and basedpyright check and a test runs."""

import dataclasses
from typing import Any, NamedTuple, Self, assert_type

import jax
import jax.numpy as jnp
import numpy as np

import optcore

Tree = dict[str, jax.Array]


def loss(params: Tree) -> jax.Array:
    return jnp.sum(params["w"] ** 2) + jnp.sum(params["b"] ** 2)


def start() -> Tree:
    return {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}


def numbers_arrays_and_schedules() -> list[optcore.DeclaredTransformation]:
    rate = optcore.warmup_cosine_decay_schedule(0.0, 1e-2, warmup_steps=2, decay_steps=8)
    assert_type(rate, optcore.DeclaredSchedule)
    assert_type(rate(3), jax.Array)
    return [
        optcore.sgd(1, momentum=0.9, nesterov=True),
        optcore.sgd(np.float32(0.1)),
        optcore.sgd(jnp.float32(0.1)),
        optcore.sgd(rate),
        optcore.sgd(lambda count: 0.1 / (1 + count)),
        optcore.adam(rate, b1=optcore.linear_schedule(0.85, 0.95, 4), mu_dtype=jnp.bfloat16),
        optcore.adamw(1e-3, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)),
        optcore.adamw(1e-3, mask={"w": True, "b": False}, mu_dtype="bfloat16"),
    ]


def schedules() -> list[optcore.Schedule]:
    joined = optcore.join_schedules([optcore.constant_schedule(1.0), lambda count: 0.5], [4])
    return [
        joined,
        optcore.prepend_warmup(joined, 2),
        optcore.piecewise_constant_schedule(1.0, {3: 0.1}),
        joined.replace(boundaries=[5]),
    ]


def replacing() -> optcore.DeclaredTransformation:
    tx = optcore.chain(optcore.clip_by_global_norm(1.0), optcore.adamw(1e-3))
    assert_type(tx.replace(learning_rate=0.1), optcore.DeclaredTransformation)
    assert len(tx.arguments["transforms"]) == 2
    changed = tx.replace(**{"transforms.1.b1": 0.8}).replace(weight_decay=0.1)
    stacked = optcore.stack([changed, tx])
    assert_type(stacked, optcore.DeclaredTransformation)
    return changed


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Parameters, the optimizer and its state, as training loops keep them."""

    params: Tree
    tx: optcore.GradientTransformation
    opt_state: Any
    step: jax.Array

    @classmethod
    def create(cls, params: Tree, tx: optcore.GradientTransformation) -> Self:
        return cls(params, tx, tx.init(params), jnp.zeros((), jnp.int32))

    def apply(self, grads: Tree) -> Self:
        updates, opt_state = self.tx.update(grads, self.opt_state, params=self.params)
        params = optcore.apply_updates(self.params, updates)
        return dataclasses.replace(self, params=params, opt_state=opt_state, step=self.step + 1)


@jax.jit
def train_step(state: TrainState) -> tuple[TrainState, jax.Array]:
    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply(grads), value


def sweep(rates: list[float]) -> jax.Array:
    @jax.jit
    def train(tx: optcore.DeclaredTransformation, params: Tree) -> jax.Array:
        def body(carry: tuple[Tree, Any], _: None) -> tuple[tuple[Tree, Any], jax.Array]:
            params, state = carry
            value, grads = jax.value_and_grad(loss)(params)
            updates, state = tx.update(grads, state, params=params)
            return (optcore.apply_updates(params, updates), state), value

        _, values = jax.lax.scan(body, (params, tx.init(params)), length=3)
        return values[-1]

    stacked = optcore.stack([optcore.sgd(rate, momentum=0.9) for rate in rates])
    return jax.vmap(train, in_axes=(0, None))(stacked, start())


class HeavyState(NamedTuple):
    """The running sum."""

    trace: Any


@optcore.transformation("direction", example={"decay": 0.9})
def heavy_ball(decay: optcore.Decay, *, nesterov: bool = False) -> optcore.GradientTransformation:
    """A transformation of one's own."""

    def init(params: Any) -> HeavyState:
        return HeavyState(optcore.slots(params))

    def update(
        updates: Any,
        state: HeavyState,
        params: Any | None = None,
        **extra: Any,
    ) -> tuple[Any, HeavyState]:
        def leaf(g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
            m = decay * m + g
            return (g + decay * m if nesterov else m), m

        updates, trace = optcore.map_leaves(leaf, updates, (state.trace,))
        return updates, HeavyState(trace)

    return optcore.GradientTransformation(init, update)


@optcore.transformation("optimizer", example={"learning_rate": 0.1})
def heavy_sgd(
    learning_rate: optcore.Rate, decay: optcore.Decay = 0.9
) -> optcore.GradientTransformation:
    """An optimizer of one's own."""
    return optcore.chain(heavy_ball(decay), optcore.scale_by_learning_rate(learning_rate))


@optcore.schedule(example={"peak": 1.0})
def harmonic(peak: optcore.Rate, every: optcore.Length = 2) -> optcore.Schedule:
    """A schedule of one's own."""
    return lambda count: peak / (1 + count // every)


def of_ones_own() -> optcore.DeclaredTransformation:
    rate = harmonic(0.1, every=4)
    assert_type(rate, optcore.DeclaredSchedule)
    assert_type(heavy_ball(0.5, nesterov=True), optcore.DeclaredTransformation)
    return heavy_sgd(rate, decay=0.8).replace(decay=0.5)


def wrappers() -> list[optcore.GradientTransformation]:
    tx = optcore.adamw(1e-3)
    return [
        optcore.lookahead(tx, sync_period=5, slow_step_size=0.5),
        optcore.route(("a", tx), ("b", optcore.sgd(0.1)), labels={"w": "a", "b": "b"}),
        optcore.route(("b", optcore.FREEZE), (optcore.has_ndim(2), tx)),
        optcore.named_chain(("clip", optcore.clip(1.0)), ("adamw", tx)),
        optcore.master_weights(tx),
        optcore.inject(tx),
    ]


def hyperparameters_in_a_state() -> jax.Array:
    tx = optcore.inject(optcore.sgd(0.5, momentum=0.9))
    assert_type(tx, optcore.DeclaredTransformation)
    state = optcore.set_hyperparams(tx, tx.init(start()), learning_rate=0.25)
    return optcore.read(tx, state, "learning_rate")
