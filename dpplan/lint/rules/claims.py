"""Rules on whether the figure is one for what is claimed, and for what the training loop does.

The docstring of a rule is its long explanation, shown by `dpplan check --explain`.
"""

import contextlib
import decimal
import math
from collections.abc import Iterator

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import show
from dpplan.errors import NotCertified
from dpplan.lint.context import LintContext
from dpplan.lint.finding import DIGITS, Remark, Severity, at_least, at_most
from dpplan.lint.loader_draws import by_chance, drawn_by
from dpplan.lint.rules.batches import run_of_loader
from dpplan.lint.rules.claim_standing import AS_PUT, of_loader, under, where_claim_stands
from dpplan.loader_run import settings_of_run
from dpplan.plan import Plan
from dpplan.quantities import MEANINGLESS_EPSILON
from dpplan.rounding import FEWEST_OF_ENDS, MOST, apart, down_above, ends, near_above, up
from dpplan.sampling import Binomial, Poisson
from dpplan.verdict import Standing, judge

# From here on a δ is nothing that a claim would be made at.
_MEANINGLESS_DELTA = 0.01
# What a cap may add to delta, as a fraction of it, before it is worth a word.
_NEGLIGIBLE = 0.01
# The least share of the proven figure that a claim is which looks like that figure rounded down, and not like another.
_NEARLY = 0.99
# How much above the figure of the accountant that is named a claim may be and still be that figure, rounded up.
_ROUNDED_UP = 1.05


def adjacency_mismatched(run: LintContext) -> Iterator[Remark]:
    """Claim, figure and sampling must speak of the same pair of data sets.

    Figures here compare data sets that differ by one example more or less. When one is replaced by another, two terms
    of the clipped sum change, and it moves by up to two clip norms: a claim of replace-one needs a figure of its own.
    From the one at hand follows (2ε, (1 + e^ε) δ), by removing one example and adding another; what is proven of the
    plan under replace-one itself is told where it is known.

    Batches of one fixed size belong to replace-one: when an example is removed, a batch keeps its size and another
    example moves in. Software has accounted for replace-one with the movement of one clip norm, and so reported less
    than half the true ε of a single release.

    An ε that is claimed is held against the figure of the claim's own relation, never against that of another. One that
    is true there is a warning, since the figure that is shown is of the other.
    """
    if run.plan is None:
        return
    have, claimed = run.plan.adjacency, run.claim.adjacency
    # Zeroing out one example moves a Poisson batch as removing it does: the same pair dominates.
    if claimed is not None and claimed.sensitivity > have.sensitivity:
        stands = where_claim_stands(run) is not None
        reason = (
            f"the figure is for {have.words} {run.plan.privacy_unit}, and the claim is for "
            f"{claimed}, where the clipped sum moves up to twice as far."
        )
        reason += f" The claimed ε = {show(run.claim.epsilon)} is true under {claimed}." if stands else ""
        severity = Severity.WARNING if stands else Severity.ERROR
        yield Remark(severity, "--adjacency", reason, f"Claim {have}{_as_claimed(run) or _doubled(run)}.")
    by_poisson = any(True for _ in by_chance(run.plan)) and drawn_by(run.plan, "poisson")
    if run.loop.loader == "fixed" and by_poisson and run.plan.adjacency == ADD_REMOVE:
        reason = (
            "batches of one fixed size keep their size when an example is removed, so another moves in: that is "
            f"replace-one, and the figure is for {have}."
        )
        yield Remark(Severity.ERROR, "--loader", reason, "Draw by Poisson sampling, as the figure assumes.")


def _as_claimed(run: LintContext) -> str:
    """What is proven under the neighbours of the claim, as the end of a sentence."""
    bound = run.epsilon_as_claimed
    if bound is None or bound.upper is None or bound.upper > MEANINGLESS_EPSILON:
        return ""
    return f", or {run.claim.adjacency} with ε ≤ {at_most(bound.upper)} at δ = {show(run.delta.value)}"


def _doubled(run: LintContext) -> str:
    """What holds under replace-one, as the end of a sentence."""
    if run.epsilon is None:
        return ""
    epsilon, delta = run.epsilon.value, run.delta.value
    if math.log1p(math.exp(-epsilon)) + epsilon + math.log(delta) >= 0:
        return ""
    return f", or replace-one with ε ≤ {at_most(2 * epsilon)} at δ = {at_most(delta * (1 + math.exp(epsilon)))}"


def claim_under_reports(run: LintContext) -> Iterator[Remark]:
    """A claim must not be below what is proven.

    The certified interval of the exact accountant holds the true ε. A figure below its lower end is false: it claims
    privacy that is not there, as central-limit estimates do for most sampled plans. One inside the interval is not
    proven, and an error too. An estimate above it happens to be safe here, and proves nothing for the next plan. An
    accountant with no theorem for the plan cannot be quoted at all.

    Where a loader is named that is known to run something else, as Opacus with its own rate and steps, the claim is
    held against what that costs. One that is true of it and not of the plan as put is a warning: the plan should say
    what is run. Where the claim is false and it is known what is run, the finding says from which δ on the claim would
    be true, if that is below 0.01.

    A claim that is true and is not what the accountant says whose figure it is said to be gets a note: it looks like
    the figure of another plan, or of another δ.
    """
    plan = run.plan_as_claimed
    if run.plan is None or plan is None:
        if run.plan is not None:
            yield from _of_other_neighbours(run, run.plan)
        return
    if run.epsilon_as_claimed is None:
        yield _unproven(run, plan)
    quoted = None
    if run.claim.accountant != "exact":
        try:
            quoted = accounting.epsilon(plan, run.delta.value, run.claim.accountant)
        except NotCertified as error:
            yield Remark(Severity.ERROR, "--accountant", str(error), "Quote the exact accountant.")
    if quoted is not None and quoted.guarantee is Guarantee.ESTIMATE:
        yield _estimate(run, quoted)
    if run.claim.epsilon is not None and run.epsilon_as_claimed is not None:
        found = list(_held_against(run, plan, run.claim.epsilon, quoted))
        yield from found
        if quoted is not None and all(each.severity is not Severity.ERROR for each in found):
            yield from _of_another(run, plan, run.claim.epsilon, quoted)


def _of_another(run: LintContext, plan: Plan, claimed: float, quoted: Bound) -> Iterator[Remark]:
    """A claim that is not what the accountant that is named says: of the plan, or of what the named loader runs."""
    said, own = [quoted], run_of_loader(run, plan)
    if own is not None and own.phases != plan.phases:
        with contextlib.suppress(NotCertified):
            said.append(accounting.epsilon(own, run.delta.value, run.claim.accountant))
    if any(_NEARLY * each.value <= claimed <= _ROUNDED_UP * each.value for each in said):
        return
    value, estimate = said[-1].value, quoted.guarantee is Guarantee.ESTIMATE
    figure = f"ε ≈ {value:.{DIGITS}g}" if estimate else f"ε ≤ {at_most(value)}"
    whose = "this plan" if len(said) == 1 else f"what {run.loop.loader} runs"
    reason = (
        f"{said[-1].accountant} says {figure} of {whose}{under(run)}{_at(run)}, and the claimed ε = "
        f"{show(claimed)} is {'more' if claimed > value else 'less'}: it is not that figure, and looks like "
        "one of another plan, another δ or other software."
    )
    fix = "Hold n, batch, length, noise and δ against what ran; dpplan compare accountants has every figure."
    yield Remark(Severity.NOTE, "--claimed-eps", reason, fix)


def _of_other_neighbours(run: LintContext, plan: Plan) -> Iterator[Remark]:
    """A plan that is stated for its own neighbours, so that nothing follows of what it spends under those claimed."""
    have, claimed = plan.adjacency, run.claim.adjacency
    told = "the claim" if run.claim.epsilon is None else f"the claimed ε = {show(run.claim.epsilon)}"
    reason = (
        f"{told} is for {claimed}, and phases of this plan say what they do for {have} alone: nothing is proven of "
        f"them under {claimed}."
    )
    yield Remark(Severity.ERROR, "--adjacency", reason, f"Claim {have}, or write the plan for {claimed}.")


def _unproven(run: LintContext, plan: Plan) -> Remark:
    """Why there is no ε to claim, as the accountant says it, at what there is another choice of."""
    reason = f"the exact accountant proves nothing of this plan{under(run)}, so there is no ε to claim"
    try:
        accounting.epsilon(plan, run.delta.value)
    except NotCertified as error:
        why = str(error).removeprefix("exact: ")
        where = "--adjacency" if "--adjacency" in why else run.where("epsilon")
        return Remark(Severity.ERROR, where, f"{reason}: {why}", "Change the plan, or quote another proof.")
    return Remark(Severity.ERROR, run.where("epsilon"), f"{reason}.", "Change the plan, or quote another proof.")


def _estimate(run: LintContext, quoted: Bound) -> Remark:
    exact, value = run.epsilon_as_claimed, quoted.value
    said = f"{quoted.accountant} estimates ε ≈ {{}}{under(run)} and proves nothing"
    if exact is None or exact.upper is None:
        return Remark(Severity.ERROR, "--accountant", f"{said.format(at_most(value))}.", "Quote another proof.")
    fix = f"Claim ε ≤ {at_most(exact.upper)}, which is certified."
    standing = judge(value, exact)
    if standing is Standing.REFUTED:
        stated, least = f"{value:.{DIGITS}g}", at_least(exact.lower or 0.0)
        if not float(stated) < float(least):
            stated, least = apart(value, exact.lower or 0.0, DIGITS)
        reason = f"{said.format(stated)}; the true ε is at least {least}."
        return Remark(Severity.ERROR, "--accountant", reason, fix)
    if standing is Standing.UNCERTAIN:
        reason = f"{said.format(show(value))}; what is proven is ε ≤ {near_above(exact.upper, value)}."
        return Remark(Severity.ERROR, "--accountant", reason, fix)
    return Remark(Severity.WARNING, "--accountant", f"{said.format(at_most(value))}.", "Quote the exact accountant.")


def _held_against(run: LintContext, plan: Plan, claimed: float, quoted: Bound | None) -> Iterator[Remark]:
    """A claim against what the named loader runs, where that is known, and else against the plan as put.

    plan: under the neighbours that the claim is for.
    """
    exact, own, so = run.epsilon_as_claimed, run_of_loader(run, plan), under(run)
    assert exact is not None  # or there is nothing to hold it against
    bound = of_loader(run, plan, own)
    if own is None or bound is None:
        runs = f"Of what {run.loop.loader} runs nothing is proven under {plan.adjacency}."
        for one in _claimed(claimed, exact, quoted, f"{AS_PUT}{so}", _at(run)):
            yield one._replace(fix=f"Draw so, and {one.fix[:1].lower()}{one.fix[1:]} {runs}")
    elif own.phases == plan.phases:
        yield from _claimed(claimed, bound, quoted, so, _at(run, plan, claimed))
    elif judge(claimed, bound) is not Standing.STANDS:
        yield from _claimed(claimed, bound, None, f" of what {run.loop.loader} runs{so}", _at(run, own, claimed))
    elif judge(claimed, exact) is not Standing.STANDS:
        assert bound.upper is not None  # it stands
        phase, most = own.phases[0], _within(bound.upper, claimed)
        reason = (
            f"the claimed ε = {show(claimed)} is true of what {run.loop.loader} runs, {phase.steps} steps of "
            f"{phase.sampling.assumption or phase.sampling.kind} with ε ≤ {most}, and not of the plan as it is put, of "
            f"which {_interval(exact)} is proven{so}, at δ = {show(run.delta.value)}."
        )
        ran = settings_of_run(run.settings, run.loop.loader)
        given = [] if ran.sample_rate is None else [f"--q {show(ran.sample_rate)} in place of --batch"]
        given += [] if ran.steps == run.settings.steps else [f"--steps {show(ran.steps)} in place of --epochs"]
        fix = "Put the plan as it is run" + (f": give {' and '.join(given)}." if given else ".")
        yield Remark(Severity.WARNING, "--claimed-eps", reason, fix)


def _within(upper: float, claimed: float) -> str:
    """Rounded up, with the digits it takes not to exceed the claim, which `upper` does not."""
    texts = (up(upper, digits) for digits in range(DIGITS, MOST + 1))
    return next((text for text in texts if float(text) <= claimed), show(upper))


def _at(run: LintContext, plan: Plan | None = None, claimed: float = 0.0) -> str:
    """At which δ a claim is refused and, with a plan, from which on it is proven of that, as the end of a sentence."""
    told = f" at δ = {show(run.delta.value)}"
    if run.delta.reason is not None:
        told += f" (no {run.where('delta')} was given)"
    try:
        spent = None if plan is None else accounting.delta(plan, claimed, accounting.LEAST).upper
    except NotCertified:
        return told
    if spent is None or not run.delta.value < spent < _MEANINGLESS_DELTA:
        return told
    return f"{told}. It is true from δ ≥ {at_most(spent)} on"


def _claimed(claimed: float, exact: Bound, quoted: Bound | None, whose: str, where: str) -> Iterator[Remark]:
    """quoted: what the accountant that is named says of the plan. whose: of what the claim is judged. where: at which
    δ, as the end of a sentence."""
    fix = "Quote another proof." if exact.upper is None else f"Claim ε ≤ {at_most(exact.upper)}."
    instead = None if exact.upper is None else _rounded_up(claimed, exact.upper)
    hint = ""
    if instead is not None:
        hint, fix = " It looks rounded down.", f"Claim ε ≤ {instead}, which is rounded up."
    standing = judge(claimed, exact)
    if standing is Standing.REFUTED:
        least = down_above(exact.lower or 0.0, claimed, DIGITS)
        if quoted is not None and quoted.guarantee is Guarantee.UPPER and quoted.value > claimed:
            hint += f" {quoted.accountant} says ε ≤ {at_most(quoted.value)} of this plan: the claim is of another one."
        reason = f"the claimed ε = {show(claimed)} is false{whose}: the true ε is at least {least}{where}.{hint}"
        yield Remark(Severity.ERROR, "--claimed-eps", reason, fix)
    elif standing is Standing.UNCERTAIN:
        reason = (
            f"the claimed ε = {show(claimed)} is not proven{whose}: what is proven is {_interval(exact)}{where}.{hint}"
        )
        yield Remark(Severity.ERROR, "--claimed-eps", reason, fix)


def _interval(bound: Bound) -> str:
    """What is proven, its ends rounded outward; of one that has no lower end, the upper one."""
    if bound.lower is not None and bound.upper is not None:
        low, high = ends(bound.lower, bound.upper)
        return f"{low} ≤ ε ≤ {high}"
    return f"ε ≥ {at_least(bound.value)}" if bound.upper is None else f"ε ≤ {up(bound.upper, FEWEST_OF_ENDS)}"


def _rounded_up(claimed: float, upper: float) -> str | None:
    """The proven figure rounded up at the last digit of the claim, where the claim is that figure rounded down."""
    unit = decimal.Decimal(1).scaleb(int(decimal.Decimal(repr(claimed)).normalize().as_tuple().exponent))
    proven_figure = decimal.Decimal(upper)
    if not _NEARLY * upper <= claimed < upper or proven_figure - decimal.Decimal(repr(claimed)) >= unit:
        return None
    return show(float((proven_figure / unit).to_integral_value(decimal.ROUND_CEILING) * unit))


def cap_near_mean(run: LintContext) -> Iterator[Remark]:
    """A limit on the batch must lie far above the mean batch.

    A loader that cuts large Poisson batches to a cap no longer draws examples independently. As long as no batch of
    the run exceeds the cap, it does what was accounted for; so the claim holds with (1 + e^ε) · Pr[any batch is cut]
    added to δ. Batches are binomial, with a deviation of about the square root of the mean: a cap at the mean cuts
    every other batch, and one eight deviations above it hardly any. An error where as much as δ may be added, a
    warning above one hundredth of it. The chance is bounded by Chernoff's inequality, so it is not under-stated.
    """
    n, plan, cap, spent = run.settings.examples, run.plan, run.loop.cap, run.epsilon
    by_poisson = plan is not None and all(type(phase.sampling) is Poisson for phase in plan.phases)
    if cap is None or n is None or plan is None or spent is None or not by_poisson:
        return
    added = _added_delta(plan, n, cap, spent.value)
    if added <= _NEGLIGIBLE * run.delta.value:
        return
    mean = max(phase.sampling.expected_batch(n) for phase in plan.phases)
    safe = _least_cap(plan, n, spent.value, _NEGLIGIBLE * run.delta.value)
    severity = Severity.ERROR if added >= run.delta.value else Severity.WARNING
    reason = (
        f"batches are cut at {show(cap)}, {(cap - mean) / math.sqrt(mean):.2g} deviations from the mean of {mean:.6g}: "
        f"that may add {at_most(min(added, 1.0))} to delta={show(run.delta.value)}."
    )
    yield Remark(severity, "--cap", reason, f"Give --cap {safe} or more, or do not cut batches.")


def _added_delta(plan: Plan, examples: int, cap: int, epsilon: float) -> float:
    """(1 + e^ε) · Pr[some batch of the run exceeds the cap], or more; for one example more than there are."""
    laws = [(each.steps, each.sampling.batch_law(examples + 1)) for each in plan.phases]
    tails = math.fsum(steps * math.exp(-_rate_of_tail(law, cap + 1)) for steps, law in laws)
    return tails * (1 + math.exp(epsilon)) if epsilon < 700 else math.inf


def _rate_of_tail(law: Binomial, least: int) -> float:
    """c with Pr[a batch holds `least` or more] ≤ e^-c (Chernoff)."""
    trials, chance = law.trials, law.chance
    share = least / trials
    if share <= chance:
        return 0.0
    if share > 1:
        return math.inf
    rest = (1 - share) * math.log((1 - share) / (1 - chance)) if share < 1 else 0.0
    return trials * (share * math.log(share / chance) + rest)


def _least_cap(plan: Plan, examples: int, epsilon: float, most: float) -> int:
    """The least cap that adds no more than `most`; the number of examples cuts nothing."""
    return first_true_whole(lambda cap: _added_delta(plan, examples, cap, epsilon) <= most, 0, examples + 1)
