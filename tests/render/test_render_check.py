"""What a check prints."""

import dataclasses

from dpplan import lint
from dpplan.plan import Delta, Settings
from dpplan.render import check as render

SETTINGS = Settings(noise_multiplier=0.25, examples=60_000, batch_size=250, epochs=3)
RUN = lint.LintContext(
    settings=SETTINGS, plan=SETTINGS.plan(), delta=Delta(1e-3), loop=lint.Loop(seed=1, loader="shuffle")
)
FINDINGS = lint.check(RUN, {"DP016": "this is a test of the rendering and of nothing else whatsoever, to be sure"})


def test_a_report_counts_then_tells_each_finding_with_its_fix() -> None:
    lines = list(render.report(RUN, FINDINGS))
    assert lines[0] == "plan: 2 errors, 2 warnings, 1 note, 1 silenced"
    assert lines[2] == "error DP001  --delta"
    assert lines[3].startswith("  delta=0.001 is not below 1/n")
    assert "  fix: Try --delta 1e-06." in lines
    assert "silenced DP016  --seed  (error)" in lines
    assert "  silenced: this is a test of the rendering and of nothing else whatsoever, to" in lines
    assert lines[-1].split() == ["assumes", "Poisson", "sampling,", "add/remove", "one", "example"]
    assert max(map(len, lines)) <= 80


def test_the_epsilon_of_a_report_is_rounded_up() -> None:
    (line,) = [line for line in render.report(RUN, FINDINGS) if line.startswith("  epsilon ")]
    assert RUN.epsilon is not None
    assert RUN.epsilon.upper is not None
    assert RUN.epsilon.upper <= float(line.split()[2]) <= 1.0001 * RUN.epsilon.upper


def test_severity_and_guarantee_are_painted_and_nothing_else() -> None:
    painted = "\n".join(render.report(RUN, FINDINGS, lambda text, meaning: f"<{meaning}>{text}</>"))
    assert painted.count("<bad>error</>") == 2
    assert painted.count("<estimate>warning</>") == 2
    assert painted.count("<certified>certified</>") == 1
    assert painted.count("</>") == 6  # and a note


def test_nothing_found_says_how_many_rules_looked() -> None:
    clean = dataclasses.replace(RUN, recipe="mine")
    assert next(iter(render.report(clean, ()))) == f"mine: {len(lint.RULES)} rules find nothing"


def test_a_run_without_a_plan_still_has_a_report() -> None:
    settings = SETTINGS.with_(batch_size=70_000)
    run = lint.LintContext(settings=settings, plan=lint.plan_of(settings), delta=Delta(1e-6))
    findings = lint.check(run)
    assert next(iter(render.report(run, findings))) == "plan: 1 error"
    content = render.document(run, findings, failed=True)
    assert (content["plan"], content["epsilon"], content["passed"]) == (None, None, False)


def test_json_has_every_finding_whole() -> None:
    content = render.document(RUN, FINDINGS, failed=True)
    assert content["schema"] == "dpplan.check/1"
    assert [one["code"] for one in content["findings"]] == [finding.code for finding in FINDINGS]
    assert set(content["findings"][0]) == {"code", "rule", "severity", "where", "message", "fix", "silenced"}
    assert content["findings"][0]["rule"] == "delta-too-large"
    assert content["epsilon"]["guarantee"] == "certified"


def test_explanations_and_the_list_of_rules_fit_a_screen() -> None:
    for code in lint.RULES:
        lines = list(render.explanation(code))
        assert lines[0] == f"{code} {lint.title(code)}"
        assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in render.rules()] == list(lint.RULES)
    assert max(map(len, render.rules())) <= 80


def test_a_remark_is_one_paragraph_that_says_where_to_read_on() -> None:
    said = render.remark(FINDINGS[0])
    assert said.startswith("DP001 --delta: delta=0.001 is not below")
    assert said.endswith("(dpplan check --explain DP001)")
