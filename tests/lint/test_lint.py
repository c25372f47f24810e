"""The table of rules, silencing, and what makes a check fail."""

import re
from typing import Any

import pytest
from lint_runs import OWN, of_options, of_recipe

from dpplan import lint, sampling
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.errors import UsageError
from dpplan.lint.context import LOADERS


def of_whole_batches(**changes: Any) -> lint.LintContext:
    """A plan in which nothing is wrong: 256 does not divide n, which is a note by itself (DP019), and under add-remove
    n is no secret (DP004)."""
    return of_options(**{"batch_size": 250, "adjacency": ZERO_OUT} | changes)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert lint.check(of_whole_batches()) == ()
    assert lint.check(of_recipe()) == ()


def test_codes_are_numbered_without_gaps_and_every_rule_explains_itself() -> None:
    assert list(lint.RULES) == [f"DP{number:03}" for number in range(1, len(lint.RULES) + 1)]
    assert len({lint.title(code) for code in lint.RULES}) == len(lint.RULES)
    for code in lint.RULES:
        first, _, rest = lint.explanation(code).partition("\n\n")
        assert first.endswith("."), code
        assert len(first) <= 73, code  # beside its code on a line of 80
        assert len(rest.split()) >= 25, code


def test_findings_come_errors_first_and_silenced_ones_last() -> None:
    run = of_whole_batches(delta=1e-3, noise_multiplier=0.2, run={"loop": lint.Loop(seed=1)})
    silence = {"DP001": "a test"}
    findings = lint.check(run, silence)
    assert [finding.code for finding in findings] == ["DP002", "DP016", "DP003", "DP001"]
    assert [finding.silenced for finding in findings] == [None, None, None, "a test"]
    assert [finding.code for finding in lint.check(run)] == ["DP001", "DP002", "DP016", "DP003"]


def test_every_finding_has_a_reason_and_a_fix_in_sentences() -> None:
    loop = lint.Loop(loader="fixed", cap=256, micro_batches=2, views=2, seed=0)
    claim = lint.StatedClaim(accountant="gdp", epsilon=0.1, adjacency=REPLACE_ONE)
    run = of_whole_batches(
        delta=1e-3, noise_multiplier=0.29, run={"loop": loop, "claim": claim, "data": OWN, "trials": 3}
    )
    findings = lint.check(run)
    assert len(findings) >= 12
    for finding in findings:
        for sentence in (finding.message, finding.fix):
            assert re.search(r"[.)]$", sentence), finding
            assert "  " not in sentence
        assert finding.where.startswith(("--", "data.", "privacy"))


def test_errors_fail_a_check_and_warnings_only_a_strict_one() -> None:
    warned = lint.check(of_whole_batches(run={"loop": lint.Loop(micro_batches=2)}))
    assert lint.failing(warned) == ()
    assert lint.failing(warned, strict=True) == warned != ()
    wrong = lint.check(of_whole_batches(delta=1e-3))
    assert [finding.code for finding in lint.failing(wrong)] == ["DP001"]


def test_what_is_silenced_fails_no_check() -> None:
    findings = lint.check(of_whole_batches(delta=1e-3), {"DP001": "the data are public"})
    assert lint.failing(findings, strict=True) == ()
    assert findings[0].silenced == "the data are public"


def test_notes_never_fail() -> None:
    findings = lint.check(of_whole_batches(delta=1e-5))
    assert [finding.severity for finding in findings] == [lint.Severity.NOTE]
    assert lint.failing(findings, strict=True) == ()


def test_a_code_that_does_not_exist_and_a_reason_that_says_nothing_are_refused() -> None:
    with pytest.raises(UsageError) as raised:
        lint.check(of_whole_batches(), {"DP999": "why not", "DP001": "  "})
    assert raised.value.problems[0].startswith("code=DP999 is not one of DP001 to DP0")
    assert raised.value.problems[1] == "silence=DP001 has no reason. Say why it may pass."
    with pytest.raises(UsageError, match="code=dp0001 is not one of"):
        lint.explanation("dp0001")


@pytest.mark.sweep(every=6, slow=("keras-fit",))
@pytest.mark.parametrize("loader", sorted(LOADERS))
def test_each_loader_known_by_name_is_held_against_the_figure(loader: str) -> None:
    """What draws as the figure assumes passes; of what has a theorem of its own the scheme is named."""
    found = [one for one in lint.check(of_whole_batches(run={"loop": lint.Loop(loader=loader)})) if one.code == "DP008"]
    known = sampling.LOADERS.get(loader)
    scheme = {"fixed": "fixed-size"}.get(loader, loader) if known is None else known.scheme
    assert bool(found) == (scheme != "poisson")
    if found:
        assert "nothing is proven" not in found[0].message
        assert (scheme is None and "--sampling" not in found[0].message) or f"--sampling {scheme}" in found[0].message
