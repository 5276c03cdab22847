"""Several processes, each with devices of its own, train as one does."""

import itertools
import json
import os
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from tests.sharding import processes

LIMIT = 120
"""Seconds after which the processes are ended."""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ends(count, folder):
    """What each process has at the end."""
    port = free_port()
    flags = f"--xla_force_host_platform_device_count={max(4 // count, 1)}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.sharding.processes", str(port), str(count)]
    started = [
        subprocess.Popen(
            [*command, str(number), str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    try:
        end = time.monotonic() + LIMIT
        said = [p.communicate(timeout=max(end - time.monotonic(), 0))[1] for p in started]
    except subprocess.TimeoutExpired:
        for process in started:
            process.kill()
        said = [process.communicate()[1][-2000:] for process in started]
        pytest.fail(f"{count} processes did not end within {LIMIT} s: {said}")
    codes = [process.returncode for process in started]
    assert codes == [0] * count, [error[-2000:] for error in said]
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(count)]


@pytest.mark.slow
def test_processes_train_as_one(request, tmp_path):
    found = ends(request.config.getoption("processes"), tmp_path)
    for name in processes.OPTIMIZERS:
        params, numbers = processes.trained_alone(name)
        moved = jax.tree.map(lambda p, q: np.max(np.abs(p - q)), params, processes.start())
        assert numbers.get("total_notfinite", 1) == 1
        for end, layout in itertools.product(found, processes.LAYOUTS):
            run = f"{name}, {layout}"
            assert end[run]["numbers"] == numbers, run
            for leaf, p in params.items():
                error = np.max(np.abs(np.asarray(end[run]["params"][leaf]) - p))
                # Sums are taken in another order; a code of 8 bits may be the next one.
                assert error <= (0.05 if name == "int8" else 2e-5) * moved[leaf], run
