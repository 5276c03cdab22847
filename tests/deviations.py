"""How far each optimizer is from its reference; `python -m tests.deviations` writes the guide."""

import dataclasses
import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import optcore
from tests import oracles
from tests.optimizers.diagonal.test_acprop import acprop_2110_05454
from tests.optimizers.diagonal.test_adam_mini import adam_mini_2406_16793
from tests.optimizers.diagonal.test_adamax import adamax_1412_6980
from tests.optimizers.diagonal.test_ademamix import simplified_2502_02431
from tests.optimizers.diagonal.test_adopt import adopt_2411_02853
from tests.optimizers.diagonal.test_lamb import lamb_1904_00962
from tests.optimizers.diagonal.test_optimistic_adam import optimistic_adam_1711_00141
from tests.optimizers.diagonal.test_sophia import signed_squares, sophia_2305_14342
from tests.optimizers.momentum.test_dpsgd import dpsgd_1607_00133
from tests.optimizers.momentum.test_fromage import fromage_2002_03432
from tests.optimizers.momentum.test_lars import lars_1708_03888
from tests.optimizers.momentum.test_optimistic import ogda_1901_08511
from tests.optimizers.momentum.test_polyak_sgd import polyak_2002_10542
from tests.optimizers.momentum.test_qhm import qhm_1810_06801
from tests.optimizers.momentum.test_sign_sgd import signum_1802_04434

GUIDE = pathlib.Path(__file__).parents[1] / "optcore" / "optimizers" / "README.md"
BEGIN, END = "<!-- deviations:begin -->\n", "<!-- deviations:end -->\n"
STEPS = 10
ROUNDING = 1e-5
"""Smaller deviations are float32 rounding, whose digits are not the same everywhere."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One optimizer, its reference, and how it is made in both libraries.

    Attributes:
      name: of the optimizer, and behind a comma what is special.
      reference: a key of the golden trajectories, or the algorithm as a function from one
        leaf and its gradients to the positions after each step, in float64 (see
        `oracles.agrees`); the first line of its docstring names its source.
      ours: from a library to the transformation, with the reference's arguments.
      optax: the same for optax; `True` if `ours` serves for both, `None` if optax has none.
      whole: the function is one from the whole trees.
    """

    name: str
    reference: str | Callable[[Any, Any], Any]
    ours: Callable[[Any], Any]
    optax: Callable[[Any], Any] | bool | None = True
    whole: bool = False


PO, HB = "pytorch_optimizer-4.1.0", "heavyball-3.2.1"
RATE = "{'lr': 0.01}"


def _next_root(count: Any) -> Any:
    return (jnp.asarray(count, jnp.float32) + 1) ** 0.25


def _box(source: str, oracle: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A paper's algorithm at some arguments."""

    def box(w: Any, grads: Any) -> Any:
        return oracle(w, grads, **options)

    box.__doc__ = source
    return box


def _given(tx: Any, **extra: Any) -> Any:
    """`tx`, whose `update` is given the same further arguments at every step."""

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        return tx.update(updates, state, params, **extra)

    return optcore.GradientTransformation(tx.init, update)


BATCH = (1.0, -0.5, 0.1)
"""The gradients of the examples of a batch, in units of the one that is given."""


def _examples(g: Any) -> Any:
    return jax.tree.map(lambda x: np.stack([np.asarray(part * x, x.dtype) for part in BATCH]), g)


def _batched(tx: Any) -> Any:
    """`tx` for gradients of examples, given a single one."""
    return optcore.GradientTransformation(
        tx.init, lambda updates, state, params=None: tx.update(_examples(updates), state, params)
    )


def _polyak(params: Any, grads: Any) -> Any:
    w = params
    for g in grads:
        step = polyak_2002_10542(g, 3.0)
        w = jax.tree.map(lambda w, g, step=step: w - step * g, w, g)
        yield w


def _descent(w: Any, grads: Any) -> Any:
    for g in grads:
        w = w - 0.01 * g
        yield w


def _private(params: Any, grads: Any) -> Any:
    return dpsgd_1607_00133(params, map(_examples, grads), lr=0.01, clip=1.0)


ROWS = [
    Row(
        "sgd",
        "torch.optim/SGD(lr=.1,momentum=.9,nesterov,wd=.01)",
        lambda lib: lib.chain(lib.add_decayed_weights(0.01), lib.sgd(0.1, 0.9, nesterov=True)),
    ),
    Row(
        "adagrad",
        "torch.optim/Adagrad(lr=.1)",
        lambda lib: lib.adagrad(0.1, 0.0, 1e-10, eps_in_sqrt=False),
        lambda lib: lib.adagrad(0.1, 0.0, 1e-10),
    ),
    Row(
        "rmsprop",
        "torch.optim/RMSprop(lr=.01,momentum=.9,centered)",
        lambda lib: lib.rmsprop(0.01, 0.99, 1e-8, eps_in_sqrt=False, centered=True, momentum=0.9),
    ),
    Row("adam", "torch.optim/Adam(lr=.01)", lambda lib: lib.adam(0.01)),
    Row("adamw", "torch.optim/AdamW(lr=.01,wd=.1)", lambda lib: lib.adamw(0.01, weight_decay=0.1)),
    Row("lion", f"{PO}/Lion{RATE}", lambda lib: lib.lion(0.01, weight_decay=0.0)),
    Row("rprop", "torch.optim/Rprop(lr=.01)", lambda lib: lib.rprop(0.01)),
    Row("asgd", "torch.optim/ASGD(lr=.1)", lambda lib: lib.asgd(0.1), None),
    Row("qhm, decay=0", f"{PO}/QHM{RATE}", lambda lib: lib.qhm(0.01, decay=0.0, nu=1.0), None),
    Row(
        "qhm",
        _box("Ma and Yarats, 1810.06801", qhm_1810_06801, lr=0.01, decay=0.999, nu=0.7),
        lambda lib: lib.qhm(0.01),
        None,
    ),
    Row("aggmo", f"{PO}/AggMo{RATE}", lambda lib: lib.aggmo(0.01), None),
    Row(
        "nadam",
        "torch.optim/NAdam(lr=.01)",
        lambda lib: lib.nadam(0.01, momentum_decay=4e-3),
        lambda lib: lib.nadam(0.01),
    ),
    Row(
        "nadamw",
        "torch.optim/NAdam(lr=.01,wd=.1,decoupled)",
        lambda lib: lib.nadamw(0.01, weight_decay=0.1, momentum_decay=4e-3),
        lambda lib: lib.nadamw(0.01, weight_decay=0.1),
    ),
    Row("adamax", "torch.optim/Adamax(lr=.01)", lambda lib: lib.adamax(0.01)),
    Row(
        "adamaxw",
        _box(
            "Kingma and Ba, 1412.6980, with decoupled decay",
            adamax_1412_6980,
            lr=0.01,
            b1=0.9,
            b2=0.999,
            eps=1e-8,
            decay=0.1,
        ),
        lambda lib: lib.adamaxw(0.01, weight_decay=0.1),
    ),
    Row("amsgrad", "torch.optim/Adam(lr=.01,amsgrad)", lambda lib: lib.amsgrad(0.01)),
    Row("radam", "torch.optim/RAdam(lr=.01)", lambda lib: lib.radam(0.01)),
    Row("adabelief", f"{PO}/AdaBelief{RATE}", lambda lib: lib.adabelief(0.01)),
    Row("yogi", f"{PO}/Yogi{RATE}", lambda lib: lib.yogi(0.01)),
    Row("adadelta", "torch.optim/Adadelta(lr=1)", lambda lib: lib.adadelta(1.0)),
    Row("laprop", f"{PO}/LaProp{RATE}", lambda lib: lib.laprop(0.01), None),
    Row("laprop, b2=.99", f"{HB}/LaProp{RATE}", lambda lib: lib.laprop(0.01, b2=0.99), None),
    Row("adan", f"{PO}/Adan{RATE}", lambda lib: lib.adan(0.01, eps_root=0.0)),
    Row(
        "adopt, bound (t+1)^.25",
        f"{PO}/ADOPT{RATE}",
        lambda lib: lib.adopt(0.01, clip_value_fn=_next_root),
        lambda lib: lib.contrib.adopt(0.01, clip_value_fn=_next_root),
    ),
    Row(
        "ademamix",
        f"{PO}/AdEMAMix{RATE}",
        lambda lib: lib.ademamix(0.01),
        lambda lib: lib.contrib.ademamix(0.01),
    ),
    Row("novograd", f"{PO}/NovoGrad{RATE}", lambda lib: lib.novograd(0.01, 0.95, 0.98, 1e-8)),
    Row(
        "madgrad",
        f"{PO}/MADGRAD{RATE}",
        lambda lib: lib.madgrad(0.01),
        lambda lib: lib.contrib.madgrad(0.01),
    ),
    Row("qhadam", f"{PO}/QHAdam{RATE}", lambda lib: lib.qhadam(0.01, b1=0.9, nu1=1.0), None),
    Row("stable_adamw", f"{PO}/StableAdamW{RATE}", lambda lib: lib.stable_adamw(0.01), None),
    Row(
        "adafactor",
        "torch.optim/Adafactor(lr=.01)",
        lambda lib: lib.adafactor(0.01, min_dim_size_to_factor=0, factor_axes="last"),
        lambda lib: lib.adafactor(0.01, min_dim_size_to_factor=1),
    ),
    Row("sm3", f"{PO}/SM3{RATE}", lambda lib: lib.sm3(0.01, momentum=0.0)),
    Row("came", f"{PO}/CAME{RATE}", lambda lib: lib.came(0.01), None),
    Row("grams", f"{PO}/Grams{RATE}", lambda lib: lib.grams(0.01), None),
    Row(
        "ftrl",
        f"{PO}/FTRL{{'lr': 0.1}}",
        lambda lib: lib.ftrl(0.1, initial_accumulator_value=0.0),
        None,
    ),
    Row(
        "adamc",
        f"{PO}/AdamC{{'lr': 0.01, 'weight_decay': 0.1}}",
        lambda lib: lib.adamc(0.01, 0.01, weight_decay=0.1),
        lambda lib: lib.adamw(0.01, weight_decay=0.1),
    ),
    Row(
        "hyperball_adamw",
        f"{HB}/HyperBallAdamW{RATE}",
        lambda lib: lib.hyperball_adamw(0.01, b1=0.0, b2=0.99),
        None,
    ),
    Row(
        "mars in front of adam",
        "AGI-Arena-MARS/MARS(lr=.01,gamma=.025,optimize_1d)",
        lambda lib: lib.chain(optcore.transforms.mars(), lib.adam(0.01, 0.95, 0.99)),
        None,
    ),
    Row(
        "mars in front of lion",
        "AGI-Arena-MARS/MARS(lr=.01,mars-lion,optimize_1d)",
        lambda lib: lib.chain(
            optcore.transforms.mars(), lib.lion(0.01, 0.95, 0.95, weight_decay=0.0)
        ),
        None,
    ),
    Row(
        "sign_sgd",
        _box("Bernstein et al., 1802.04434", signum_1802_04434, lr=0.01, beta=0.0),
        lambda lib: lib.sign_sgd(0.01),
    ),
    Row(
        "signum",
        _box("Bernstein et al., 1802.04434", signum_1802_04434, lr=0.01, beta=0.9),
        lambda lib: lib.signum(0.01, 0.9),
    ),
    Row(
        "lars",
        _box("You et al., 1708.03888", lars_1708_03888, lr=0.1, decay=0.1, trust=0.1, momentum=0.9),
        lambda lib: lib.lars(0.1, 0.1, trust_coefficient=0.1),
    ),
    Row(
        "fromage",
        _box("Bernstein et al., 2002.03432", fromage_2002_03432, lr=0.01),
        lambda lib: lib.fromage(0.01, min_norm=0.0),
    ),
    Row(
        "optimistic_gradient_descent",
        _box("Mokhtari et al., 1901.08511", ogda_1901_08511, lr=0.01, alpha=1.0, beta=1.0),
        lambda lib: lib.optimistic_gradient_descent(0.01),
    ),
    Row(
        "lamb",
        _box(
            "You et al., 1904.00962",
            lamb_1904_00962,
            lr=0.01,
            b1=0.9,
            b2=0.999,
            eps=1e-6,
            decay=0.1,
        ),
        lambda lib: lib.lamb(0.01, weight_decay=0.1),
    ),
    Row(
        "adopt",
        _box(
            "Taniguchi et al., 2411.02853", adopt_2411_02853, lr=0.01, b1=0.9, b2=0.9999, eps=1e-6
        ),
        lambda lib: lib.adopt(0.01),
        lambda lib: lib.contrib.adopt(0.01),
    ),
    Row(
        "simplified_ademamix",
        _box(
            "Morwani et al., 2502.02431",
            simplified_2502_02431,
            lr=0.001,
            b1=0.99,
            b2=0.95,
            alpha=0.0,
            eps=1e-8,
        ),
        lambda lib: lib.simplified_ademamix(0.001, 0.99, 0.95, 0.0),
        lambda lib: lib.contrib.simplified_ademamix(0.001, 0.99, 0.95, 0.0),
    ),
    Row(
        "optimistic_adam",
        _box(
            "Daskalakis et al., 1711.00141",
            optimistic_adam_1711_00141,
            lr=0.01,
            optimism=0.01,
            b1=0.9,
            b2=0.999,
            eps=1e-8,
        ),
        lambda lib: lib.optimistic_adam(0.01, 0.01, nesterov=False),
    ),
    Row(
        "optimistic_adam_v2",
        _box(
            "Daskalakis et al., 1711.00141",
            optimistic_adam_1711_00141,
            lr=0.01,
            optimism=0.01,
            b1=0.9,
            b2=0.999,
            eps=1e-8,
        ),
        lambda lib: lib.optimistic_adam_v2(0.01, nesterov=False),
    ),
    Row(
        "adam_mini",
        _box(
            "Zhang et al., 2406.16793",
            adam_mini_2406_16793,
            lr=0.01,
            axes={2: (0,), 1: (0,)},
            b1=0.9,
            b2=0.999,
            eps=1e-8,
        ),
        lambda lib: lib.adam_mini(0.01),
        None,
    ),
    Row(
        "sophia, of given estimates",
        _box(
            "Liu et al., 2305.14342",
            sophia_2305_14342,
            lr=0.01,
            b1=0.965,
            b2=0.99,
            eps=1e-8,
            gamma=100.0,
            clip=1.0,
            k=2,
        ),
        lambda lib: lib.sophia(
            0.01,
            weight_decay=0.0,
            gamma=100.0,
            update_interval=2,
            hessian_diagonal_fn=signed_squares(),
        ),
        lambda lib: lib.contrib.sophia(
            0.01,
            weight_decay=0.0,
            gamma=100.0,
            update_interval=2,
            hessian_diagonal_fn=signed_squares(),
        ),
    ),
    Row(
        "polyak_sgd",
        _box("Loizou et al., 2002.10542", _polyak),
        lambda lib: _given(lib.polyak_sgd(), value=3.0),
        whole=True,
    ),
    Row(
        "dpsgd, without noise",
        _box("Abadi et al., 1607.00133", _private),
        lambda lib: _batched(lib.dpsgd(0.01, 1.0, 0.0, jax.random.key(0))),
        lambda lib: _batched(lib.contrib.dpsgd(0.01, 1.0, 0.0, 0)),
        whole=True,
    ),
    Row(
        "noisy_sgd, without noise",
        _box("Neelakantan et al., 1511.06807", _descent),
        lambda lib: lib.noisy_sgd(0.01, 0.0, key=jax.random.key(0)),
    ),
    Row(
        "acprop",
        _box(
            "Zhuang et al., 2110.05454",
            acprop_2110_05454,
            lr=0.01,
            b1=0.9,
            b2=0.999,
            eps=1e-16,
            eps_root=1e-16,
        ),
        lambda lib: lib.acprop(0.01, eps=1e-16, eps_root=1e-16),
        lambda lib: lib.contrib.acprop(0.01, eps=1e-16, eps_root=1e-16),
    ),
    Row(
        "cautious(adam)",
        "heavyball-3.2.1/AdamW:caution{'lr': 0.01, 'caution': True}",
        lambda lib: lib.cautious(lib.adam(0.01, b2=0.99), "heavyball"),
        None,
    ),
]


def deviation(tx: Any, reference: str | Callable[[Any, Any], Any], *, whole: bool = False) -> float:
    """The largest error after ten steps, relative to the largest movement of its leaf."""
    params, grads = oracles.golden_problem()
    if callable(reference) and whole:
        *_, expected = reference(oracles.double(params), [oracles.double(g) for g in grads])
    elif callable(reference):
        paths = {
            k: reference(oracles.double(p), [oracles.double(g[k]) for g in grads])
            for k, p in params.items()
        }
        expected = {k: list(path)[-1] for k, path in paths.items()}
    else:
        expected = oracles.golden(reference)[STEPS]
    with jax.numpy_dtype_promotion("standard"):
        *_, got = oracles.run(tx, params, grads)
    return max(
        float(np.abs(got[k] - expected[k]).max() / np.abs(expected[k] - params[k]).max())
        for k in params
    )


def deviations(row: Row) -> tuple[float, float | None]:
    """Ours, and optax's if it has the thing."""
    import optax

    theirs = row.ours if row.optax is True else row.optax
    return (
        deviation(row.ours(optcore), row.reference, whole=row.whole),
        deviation(theirs(optax), row.reference, whole=row.whole) if callable(theirs) else None,
    )


def shown(value: float | None) -> str:
    """Two digits; of rounding one."""
    if value is None:
        return "-"
    digits = f"{value:.2g}" if value > ROUNDING else f"{value:.1g}"
    return digits.replace("e-0", "e-")


def source(row: Row) -> str:
    """The name of the reference."""
    if callable(row.reference):
        return (inspect.getdoc(row.reference) or "").partition("\n")[0].rstrip(".")
    return f"`{row.reference}`"


def table() -> str:
    """The deviations as a Markdown table."""
    lines = ["| Optimizer | Reference | optcore | optax |", "|---|---|---|---|"]
    for row in ROWS:
        numbers = " | ".join(map(shown, deviations(row)))
        lines.append(f"| `{row.name}` | {source(row)} | {numbers} |")
    return "\n".join(lines) + "\n"


def written() -> str:
    """The table that is in the guide of the optimizers."""
    return GUIDE.read_text().partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    """Write the table into the guide of the optimizers."""
    before, _, rest = GUIDE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    GUIDE.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
