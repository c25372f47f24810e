"""What is wrong with a plan or a recipe, or suspicious, and the fix.

    run = LintContext(settings=settings, plan=plan_of(settings), delta=delta)
    for finding in check(run): ...

A rule is a function from a `LintContext` to remarks; its docstring is its long explanation. RULES is the table of all
of them.

    context             what is known of a run
    prior_runs          the runs that lie in a folder
    loader_draws        whether a loader draws as the figure assumes
    finding             what a rule says, and what that becomes in a report
    rules/parameters    rules on δ, ε, noise, examples, steps, batch
    rules/batches       rules on whether batches are drawn as the figure assumes
    rules/shared_noise  the same where steps share noise
    rules/claims        rules on whether the figure is one for what is claimed
    rules/claim_standing what becomes of the claim
    rules/privacy_unit  rules on whether an example's part in the sum is what the figure takes it for
    rules/data_use      rules on what else was done with the data
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

from dpplan import called_modules
from dpplan.checks import Problems
from dpplan.errors import UsageError
from dpplan.lint.context import DataFacts, DataUse, Kind, LintContext, Loop, ModelFindings, StatedClaim, plan_of
from dpplan.lint.finding import Finding, Remark, Severity
from dpplan.lint.prior_runs import PriorRun, run_of_recipe, runs_in, unchanged_copy
from dpplan.lint.rules import batches, claims, data_use, parameters, privacy_unit
from dpplan.lint.rules.claim_standing import AS_PUT, ClaimStanding, claim_standing, where_claim_stands
from dpplan.lint.rules.data_use import together
from dpplan.lint.rules.parameters import delta_objection

__all__ = [
    "AS_PUT",
    "RULES",
    "ClaimStanding",
    "DataFacts",
    "DataUse",
    "Finding",
    "Kind",
    "LintContext",
    "Loop",
    "ModelFindings",
    "PriorRun",
    "Rule",
    "Severity",
    "StatedClaim",
    "check",
    "claim_standing",
    "delta_objection",
    "explanation",
    "failing",
    "plan_of",
    "run_of_recipe",
    "runs_in",
    "title",
    "together",
    "unchanged_copy",
    "unknown_code",
    "where_claim_stands",
]

called_modules.when_called(
    __name__,
    "What is wrong with a plan is\n\n"
    "    run = dpplan.plan.Settings(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=60)\n"
    "    dpplan.check.check(dpplan.check.LintContext(settings=run, plan=run.plan(), delta=dpplan.plan.Delta(1e-6)))\n"
    "\n",
)
Rule = Callable[[LintContext], Iterator[Remark]]
# A code keeps its meaning for ever: a rule that goes leaves a gap, a new one takes the next number.
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "DP001": parameters.delta_too_large,
        "DP002": parameters.epsilon_too_large,
        "DP003": parameters.noise_too_small,
        "DP004": parameters.examples_not_public,
        "DP005": parameters.steps_rounded_down,
        "DP006": parameters.batch_larger_than_data,
        "DP007": claims.adjacency_mismatched,
        "DP008": batches.loader_differs,
        "DP009": claims.claim_under_reports,
        "DP010": data_use.earlier_runs_not_counted,
        "DP011": data_use.search_not_counted,
        "DP012": claims.cap_near_mean,
        "DP013": data_use.examples_mixed,
        "DP014": data_use.preprocessing_from_data,
        "DP015": privacy_unit.unit_changed,
        "DP016": data_use.seed_fixed,
        "DP017": data_use.nonprivate_model_trained,
        "DP018": parameters.batches_empty,
        "DP019": batches.epochs_end_in_part_batches,
        "DP020": data_use.examples_repeated,
        "DP021": data_use.files_passed_over,
    }
)
_SILENCE: Mapping[str, str] = MappingProxyType({})


def check(run: LintContext, silence: Mapping[str, str] = _SILENCE) -> tuple[Finding, ...]:
    """Everything the rules find: errors first, then warnings and notes, each by code; silenced ones last.

    silence: code -> the reason for letting its findings pass. They are returned with that reason.
    Raises UsageError for a code that does not exist or a reason that is empty.
    """
    with Problems(UsageError) as problems:
        for code, reason in silence.items():
            problems.require(code in RULES, unknown_code(code))
            problems.require(bool(reason.strip()), f"silence={code} has no reason. Say why it may pass.")
    found = [Finding(code, *remark, silenced=silence.get(code)) for code, rule in RULES.items() for remark in rule(run)]
    severities = list(Severity)
    return tuple(sorted(found, key=lambda one: (one.silenced is not None, severities.index(one.severity), one.code)))


def failing(findings: Sequence[Finding], strict: bool = False) -> tuple[Finding, ...]:
    """The findings for which a check fails: errors that are not silenced, and with `strict` warnings too."""
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return tuple(finding for finding in findings if finding.severity in bad and finding.silenced is None)


def title(code: str) -> str:
    """The name of a rule: delta-too-large."""
    return RULES[code].__name__.replace("_", "-")


def explanation(code: str) -> str:
    """What a rule looks at and why, at length. Raises UsageError for a code that does not exist."""
    if code not in RULES:
        raise UsageError(unknown_code(code))
    return inspect.getdoc(RULES[code]) or ""


def unknown_code(code: str) -> str:
    """The sentence for a code that is not one of RULES."""
    first, *_, last = RULES
    return f"code={code} is not one of {first} to {last}; `dpplan check --explain all` lists them."
