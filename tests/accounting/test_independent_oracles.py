"""Each module of the accounting that computes something is held against something that is not the package."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS_ONLY = {"accountant_description", "no_epsilon_messages", "other_accountants"}
ORACLES = re.compile(r"\b(mpmath|fractions|oracle|pair_oracle|scheme_oracle|flint)\b")
IMPORTED = re.compile(r"^from (dpplan[\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)


def test_every_kernel_has_a_test_with_mpmath_or_exact_fractions():
    """By the imports of the tests that use such an oracle; those that only choose words are named here."""
    held = set()
    for test in (ROOT / "tests").rglob("test_*.py"):
        text = test.read_text(encoding="utf-8")
        if ORACLES.search(text):
            for module, names in IMPORTED.findall(text):
                held |= {module, *(f"{module}.{name}" for name in re.findall(r"\w+", names))}
    missing = set()
    for path in (ROOT / "dpplan" / "accounting").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        computes = re.search(r"^(def|class) ", path.read_text(encoding="utf-8"), re.MULTILINE)
        if computes and name not in held and path.stem not in WORDS_ONLY:
            missing.add(name)
    assert not missing
