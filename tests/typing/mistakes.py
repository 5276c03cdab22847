"""What type checkers must refuse: a comment that silences nothing is an error itself."""

import jax

import optcore

tx = optcore.adamw(1e-3)


def unknown_arguments() -> None:
    optcore.adam(lr=1e-3)  # type: ignore
    optcore.sgd(0.1, momentun=0.9)  # type: ignore
    optcore.linear_schedule(1.0, 0.0)  # type: ignore


def wrong_kinds() -> None:
    optcore.chain(optcore.adam)  # type: ignore
    optcore.chain(0.1)  # type: ignore
    optcore.join_schedules([0.1, 0.2], [3])  # type: ignore
    optcore.accumulate(tx, "2")  # type: ignore
    optcore.sgd(0.1, nesterov="yes")  # type: ignore


def wrong_uses(params: dict[str, jax.Array]) -> None:
    tx.udpate(params, tx.init(params))  # type: ignore
    tx.replace(0.1)  # type: ignore
    print(tx.learning_rate)  # type: ignore
    print(optcore.constant_schedule(1.0).update)  # type: ignore
    tx(params)  # type: ignore


@optcore.transformation("transform", example={})  # type: ignore
def no_transformation(rate: optcore.Rate) -> float:
    return 0.5
