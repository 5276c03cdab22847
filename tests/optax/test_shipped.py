"""optax's own tests about `optcore.optax`: all pass but those of a list, each with its reason."""

import re

import pytest

from tests.optax import shipped

NARROW = "moments of bfloat16 parameters are float32 here"
COMPLEX = "a moment of complex parameters is complex, whatever its width; optax's loses the rest"
MESSAGE = "JAX words the error in another way"
ROUNDING = "the last bit of a quotient"
SKIPPED = (
    "does(n't| not) (accept|support)",
    "non-None learning rate",
    "requires learning rate scheduling",
    "sharding-in-types test",
    "not supported",
    "need to match scipy",
)
"""Why optax skips some of its tests, whatever the library."""
DIGITS = "it compares with an optimizer of optax's, whose bias correction loses digits"

EXCEPTIONS = {
    "_src/alias_test.py": {
        **{f"AliasTest::test_explicit_dtype{i}": NARROW for i in (9, 10, 11)},
        **{f"AliasTest::test_explicit_dtype{i}": COMPLEX for i in range(24, 30)},
    },
    "transforms/_clipping_test.py": {"ClippingTest::test_clip_by_block_rms": ROUNDING},
    "transforms/_freezing_test.py": {
        "FreezeTest::test_bad_structure_raises": MESSAGE,
        "SelectiveTransformTest::test_selective_bad_structure": MESSAGE,
    },
    "contrib/_galore_test.py": {"GaLoreTest::test_mu_dtype_controls_moment_dtype": NARROW},
    "contrib/_schedule_free_test.py": {"ScheduleFreeTest::test_schedule_free_adamw": DIGITS},
}
"""By file, each with the reason why it does not pass."""


@pytest.mark.slow
@pytest.mark.parametrize("path", list(filter(shipped.names_ours, shipped.IN_SCOPE)))
def test_optax_s_tests_pass(path):
    results = shipped.run([path])
    ran = {name.partition("::")[2] for name in results}
    # Those with parameters run under their name and more.
    assert not {f for f in shipped.functions(path) if not any(r.startswith(f) for r in ran)}
    failed = {
        name.partition(".")[2]: why
        for name, why in results.items()
        if why and not (why.startswith("skipped") and re.search("|".join(SKIPPED), why))
    }
    assert {n: w for n, w in failed.items() if n not in EXCEPTIONS.get(path, {})} == {}
    # What passes again leaves the list.
    assert set(failed) == set(EXCEPTIONS.get(path, {}))


def test_imports_are_rewritten_and_nothing_else():
    text = shipped.rewritten("_src/alias_test.py")
    assert "import optcore.optax._src.alias as alias" in text
    assert "from optax._src import test_utils" in text
    assert "import optax\n" not in text
    assert shipped.private("optax.transforms._clipping").clip is not shipped.optax.clip
