"""What becomes of a claim: held against what the named loader runs, under the neighbours that the claim is for."""

from collections.abc import Sequence

from dpplan.accounting.bound import Bound
from dpplan.adjacency import Adjacency
from dpplan.lint.context import LintContext, proven
from dpplan.lint.finding import Finding, Severity
from dpplan.lint.rules.batches import run_of_loader
from dpplan.loader_run import carried_over
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass
from dpplan.verdict import Standing, judge

AS_PUT = " of batches drawn as the figure assumes"  # in place of those that a loader draws of which nothing is proven


@dataclass(frozen=True, slots=True)
class ClaimStanding:
    """How a claimed ε stands. bound: what it was held against, None where nothing is proven of what is run.

    of: of what that is, in words that end a phrase: "" for the plan, " of what opacus runs", " under replace-one".
    contradicted: whether an error was found, of whatever the figure takes for granted; then nothing stands. as_put: how
    it stands to batches drawn as the figure assumes, where nothing is proven of those that the named loader draws.
    """

    epsilon: float
    adjacency: Adjacency
    standing: Standing
    bound: Bound | None
    of: str
    contradicted: bool = False
    as_put: Standing | None = None


def claim_standing(run: LintContext, findings: Sequence[Finding] = ()) -> ClaimStanding | None:
    """What becomes of the claim; None where there is none, or no plan to hold it against."""
    claimed, made = run.claim.epsilon, run.plan
    if claimed is None or made is None:
        return None
    adjacency, plan, of, bound = run.claim.adjacency or made.adjacency, run.plan_as_claimed, "", None
    if plan is not None:
        own = run_of_loader(run, plan)
        bound = of_loader(run, plan, own)
        of = "" if own is not None and own.phases == plan.phases else f" of what {run.loop.loader} runs"
    standing = Standing.UNCERTAIN if bound is None else judge(claimed, bound)
    # Of the loader (DP008) it has just been judged.
    against = [
        each for each in findings if each.severity is Severity.ERROR and each.silenced is None and each.code != "DP008"
    ]
    if against and standing is Standing.STANDS:
        return ClaimStanding(claimed, adjacency, Standing.UNCERTAIN, bound, of + under(run), contradicted=True)
    figure = run.epsilon_as_claimed if bound is None else None
    as_put = None if figure is None or plan is None else judge(claimed, figure)
    if as_put is Standing.STANDS and against:
        as_put = None
    return ClaimStanding(claimed, adjacency, standing, bound, of + under(run), as_put=as_put)


def where_claim_stands(run: LintContext) -> str | None:
    """Of what the claimed ε is proven: "" for the plan, words for what the named loader makes of it.

    None where it is proven of neither, and where nothing is proven of that loader.
    """
    found = claim_standing(run)
    return None if found is None or found.standing is not Standing.STANDS else found.of


def under(run: LintContext) -> str:
    """The neighbours that the claim is for, as the end of a phrase; "" for those of the plan."""
    claimed = run.claim.adjacency
    return "" if run.plan is None or claimed in (None, run.plan.adjacency) else f" under {claimed}"


def of_loader(run: LintContext, plan: Plan, own: Plan | None) -> Bound | None:
    """plan: under the neighbours of the claim. own: what the loader runs of it. None where nothing is proven of it."""
    if own is None or own.phases == plan.phases:
        return None if own is None else run.epsilon_as_claimed
    bound = proven(own, run.delta.value)
    shuffled = own.phases[0].sampling.kind == "shuffle"
    return carried_over(bound, run.settings, run.loop.loader) if bound is not None and shuffled else bound
