"""The benchmark runs and prints what it promises; no timing is asserted."""

import json
import math

import chex
import jax
import jax.numpy as jnp
import pytest

import optcore
from tests import subjects
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import passes, rows
from tests.named import named

pytest.importorskip("optax", reason="optax, the peer, cannot be imported")


@pytest.fixture(autouse=True)
def _standard_promotion():
    """optax's Adam cannot run under strict promotion."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def run(monkeypatch, tmp_path, *arguments):
    path = tmp_path / "rows.json"
    monkeypatch.setattr(
        "sys.argv", ["benchmarks", *arguments, "--repeats", "4", "--json", str(path)]
    )
    benchmarks.main()
    return json.loads(path.read_text())["rows"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names", "peers"),
    [
        (
            ["large", "--size", "4096", "--rows", "large: 1 × adam,"],
            [
                "1 × adam, Nesterov",
                "1 × adam, clip, schedule",
                "1 × adam, Nesterov, clip, schedule",
            ],
            {"optax", "floor"},
        ),
        pytest.param(
            ["many", "--rows", "30 leaves"],
            [
                "30 leaves, trace",
                "30 leaves, lower",
                "30 leaves, trace + lower",
                "30 leaves, compile",
                "30 leaves, time to first step",
                "30 leaves, step",
            ],
            {"optax"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["eager", "--rows", "declared"],
            ["declared chain"],
            {"optax"},
            marks=pytest.mark.slow,
        ),
        (
            ["accumulate", "--size", "256"],
            ["micro step, adamw", "micro step, 16 matrices, 5 products each"],
            {"optax", "addition"},
        ),
        pytest.param(
            ["storage", "--size", "65536", "--rows", "store, int8", "--rows", "kahan"],
            ["adam, store, int8", "adam, store, int8_softsign", "adam, kahan"],
            {"adam"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["sparse", "--size", "262144", "--rows", "adagrad"],
            ["4096 × 64, batch of 1024, adagrad"],
            {"dense", "optax"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["scale", "--size", "4096", "--rows", "FSDP, float32"],
            ["FSDP, float32", "FSDP, float32, int8 state", "FSDP, float32, guard"],
            set(),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_rows_are_ratios_to_peers(monkeypatch, tmp_path, capsys, arguments, names, peers):
    found = run(monkeypatch, tmp_path, *arguments)
    printed = capsys.readouterr().out
    assert [row["name"] for row in found] == names
    assert all(f"| {name} |" in printed for name in names)
    for row in found:
        assert peers <= set(row["ratios"])
        assert all(math.isfinite(r) and r > 0 for r in row["ratios"].values())


def test_every_optimizer_has_a_row():
    """But for `dpsgd`, whose gradients have an axis of examples."""
    names = {optimizer.name.partition(",")[0] for optimizer in rows.OPTIMIZERS}
    assert set(subjects.names("optimizer")) - names == {"dpsgd"}


@pytest.mark.slow
def test_no_temporary_has_the_size_of_the_parameters(monkeypatch, tmp_path):
    found = run(
        monkeypatch, tmp_path, "memory", "--rows", "× adamw, clip", "--rows", "× adagrad, clip"
    )
    assert len(found) == 4
    # The XLA of older versions stores the clipped gradient.
    limit = 0.01 if jax.__version_info__ >= (0, 10) else 1.1
    for row in found:
        assert row["ours"] < limit, row


@pytest.mark.parametrize("arguments", [["sizes"], ["--repeats", "1"]])
def test_bad_options(monkeypatch, capsys, arguments):
    monkeypatch.setattr("sys.argv", ["benchmarks", *arguments])
    with pytest.raises(SystemExit) as stop:
        benchmarks.main()
    assert stop.value.code == 2
    assert "error" in capsys.readouterr().err


def test_passes_are_counted_in_the_program(monkeypatch):
    """`p - rate · g` reads two arrays and writes one; the clip reads the gradient once more."""
    # The clip of a single device, which is what the benchmarks run on.
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    rows = {row.name: row for row in passes.measure(benchmarks.Options(["passes: sgd"], 4, None))}
    assert rows["sgd"].ours == pytest.approx(3, abs=1e-3)
    # The XLA of older versions stores the clipped gradient.
    clipped = 4 if jax.__version_info__ >= (0, 10) else 7
    assert rows["sgd, clip, schedule"].ours == pytest.approx(clipped, abs=1e-2)
    assert all(row.ratios["floor"] >= 0.999 for row in rows.values())


@pytest.mark.slow
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an option of XLA for CPUs")
@pytest.mark.parametrize("name", ["adopt", "acprop", "adan", "rprop"])
@pytest.mark.sample(1)
def test_region_analysis_saves_the_copy_and_changes_no_number(name):
    """What the README advises: the old slot, which two results need, is not copied."""
    tx = named(name)(1e-3)
    key = jax.random.key(0)
    params, *grads = jax.random.normal(key, (4, 1024, 1024))
    found, moved = [], []
    for options in (None, rows.REGION_ANALYSIS):
        carry = jax.tree.map(jnp.copy, (params, tx.init(params)))
        compiled = rows.step(optcore, tx, options).lower(*carry, params).compile()
        for g in grads:
            carry = compiled(*carry, g)
        found.append(carry)
        moved.append(passes.passes(compiled.as_text()))
    chex.assert_trees_all_equal(*found)
    assert moved[1] <= moved[0] - 1.9


BRANCHED = """
%a (x: f32[1024,1024]) -> (f32[1024,1024]) {
  %x = f32[1024,1024]{1,0} parameter(0)
  ROOT %y = f32[1024,1024]{1,0} negate(%x)
}

%b (x: f32[1024,1024]) -> (f32[1024,1024]) {
  ROOT %x = f32[1024,1024]{1,0} parameter(0)
}

ENTRY %main (p: f32[1024,1024], i: s32[]) -> f32[1024,1024] {
  %p = f32[1024,1024]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %z = f32[1024,1024]{1,0} conditional(%i, %p, %p), branch_computations={%a, %b}
  ROOT %w = f32[1024,1024]{1,0} fusion(%z, %p), kind=kLoop, calls=%f
}
"""


def test_of_branches_the_dearest_counts():
    assert passes.passes(BRANCHED) == 2 + 3
