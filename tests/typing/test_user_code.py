"""What the type checkers read also runs."""

from collections.abc import Iterator

import jax
import pytest

from optcore._core import REGISTRY


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """The registry forgets what it declares."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def test_user_code_runs() -> None:
    """In JAX's own settings, which are those of the user."""
    from tests.typing import user_code

    with jax.numpy_dtype_promotion("standard"):
        for tx in [*user_code.numbers_arrays_and_schedules(), *user_code.wrappers()]:
            tx.init(user_code.start())
        for schedule in user_code.schedules():
            schedule(3)
        user_code.of_ones_own().init(user_code.start())
        state = user_code.TrainState.create(user_code.start(), user_code.replacing())
        state, first = user_code.train_step(state)
        assert user_code.train_step(state)[1] < first
        assert user_code.sweep([0.1, 0.2]).shape == (2,)
        assert user_code.hyperparameters_in_a_state() == 0.25
