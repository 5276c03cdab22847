"""The picture of the schedules: what it prints, what it writes, what it refuses."""

import pytest

import optcore
from examples import plot_schedules
from tests.examples import need

need("matplotlib")


@pytest.mark.slow
def test_writes_a_picture_and_prints_a_table(tmp_path, capsys):
    out = tmp_path / "family.png"
    assert plot_schedules.main(["--steps", "80", "--out", str(out), "--table", "decays/rex"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["step", "value"]
    assert lines[1].split()[:2] == ["0", "1"]
    assert lines[-1] == f"wrote {out}"
    assert out.read_bytes().startswith(b"\x89PNG")
    assert out.stat().st_size > 50_000


def test_the_whole_family_is_drawn():
    """All but those that only combine others, and AdEMAMix's own."""
    not_drawn = {
        "join_schedules", "scale_schedule", "multiply_schedules", "shift_schedule",
        "clamp_schedule", "ademamix_alpha_schedule", "ademamix_b3_schedule",
    }  # fmt: skip
    drawn = repr(list(plot_schedules.family(300).values()))
    own = {n for n, f in optcore.registry("schedule").items() if f.key.startswith("optcore:")}
    assert {name for name in own if f"{name}(" not in drawn} == not_drawn


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "5"], "at least 60, got 5"),
        (["--table", "sine"], "must be one of decays/linear"),
        (["--panels", "sine"], "must be of 'decays', "),
    ],
)
def test_refuses(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        plot_schedules.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
