"""Rules on whether the figure is one for what is claimed, and for what the training loop does.

The docstring of a rule is its long explanation, shown by `dpplan check --explain`.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

from dpplan import accounting, sampling
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.adjacency import ADD_REMOVE
from dpplan.checks import show
from dpplan.errors import NotCertified
from dpplan.lint.context import LOADERS, LintContext, proven
from dpplan.lint.finding import DIGITS, Remark, Severity, at_least, at_most
from dpplan.mechanism import BestOfTrials, Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan
from dpplan.rounding import apart, down_above, near_above
from dpplan.sampling import SCHEMES, Binomial, FixedSize, Poisson, Shuffle
from dpplan.verdict import Standing, judge

# How each loader draws; one without a theorem, by nothing that a plan can name.
_DRAWS: Mapping[str, type | None] = {
    "poisson": Poisson,
    "shuffle": Shuffle,
    "fixed": FixedSize,
    **{each.name: SCHEMES.get(each.scheme or "") for each in sampling.LOADERS.values()},
}
# What a cap may add to delta, as a fraction of it, before it is worth a word.
_NEGLIGIBLE = 0.01


def adjacency_mismatched(run: LintContext) -> Iterator[Remark]:
    """Claim, figure and sampling must speak of the same pair of data sets.

    Figures here compare data sets that differ by one example more or less. When one is replaced by another, two terms
    of the clipped sum change, and it moves by up to two clip norms: a claim of replace-one needs a figure of its own.
    From the one at hand follows (2ε, (1 + e^ε) δ), by removing one example and adding another.

    Batches of one fixed size belong to replace-one: when an example is removed, a batch keeps its size and another
    example moves in. Software has accounted for replace-one with the movement of one clip norm, and so reported less
    than half the true ε of a single release.
    """
    if run.plan is None:
        return
    have = run.plan.adjacency
    # Zeroing out one example moves a Poisson batch as removing it does: the same pair dominates.
    if run.claim.adjacency.sensitivity > have.sensitivity:
        reason = (
            f"the figure is for {have.words} {run.plan.privacy_unit}, and the claim is for "
            f"{run.claim.adjacency}, where the clipped sum moves up to twice as far."
        )
        yield Remark(Severity.ERROR, "--adjacency", reason, f"Claim {have}{_doubled(run)}.")
    by_poisson = _sampled(run.plan) and _drawn_by(run.plan, "poisson")
    if run.loop.loader == "fixed" and by_poisson and run.plan.adjacency == ADD_REMOVE:
        reason = (
            "batches of one fixed size keep their size when an example is removed, so another moves in: that is "
            f"replace-one, and the figure is for {have}."
        )
        yield Remark(Severity.ERROR, "--loader", reason, "Draw by Poisson sampling, as the figure assumes.")


def _doubled(run: LintContext) -> str:
    """What holds under replace-one, as the end of a sentence."""
    if run.epsilon is None:
        return ""
    epsilon, delta = run.epsilon.value, run.delta.value
    if math.log1p(math.exp(-epsilon)) + epsilon + math.log(delta) >= 0:
        return ""
    return f", or replace-one with ε ≤ {at_most(2 * epsilon)} at δ = {at_most(delta * (1 + math.exp(epsilon)))}"


def loader_differs(run: LintContext) -> Iterator[Remark]:
    """The loader must draw batches in the way that the figure was computed for.

    Poisson sampling hides whether an example was in a batch, and much of a small ε comes from that. A loader that
    shuffles the data and cuts them into equal batches shows each example exactly once per epoch; no theorem carries the
    Poisson figure over to it, and for some settings its true ε is many times larger (Chua, Ghazi, Kamath, Kumar,
    Manurangsi, Sinha and Zhang 2024, arXiv 2403.17673). Batches of a fixed size need figures of their own as well.

    With full batches nothing is drawn, and every loader is right.
    """
    if run.plan is not None and run.loop.loader and not _drawn_by(run.plan, run.loop.loader):
        reason = (
            f"the figure is for {run.plan.assumptions.sampling}, and the loader {LOADERS[run.loop.loader]}: no theorem "
            "carries the figure over to it, and its own ε can be many times "
            f"larger{_own_figure(run.loop.loader, run.plan)}."
        )
        fix = (
            "Draw as the figure assumes (Poisson sampling is Opacus's poisson_sampling=True, and what `dpplan train` "
            f"does), name what is drawn by --sampling, or use full batches{_full_batches(run.plan, run.delta.value)}."
        )
        yield Remark(Severity.ERROR, "--loader", reason, fix)


def _full_batches(plan: Plan, delta: float) -> str:
    """What so many of them cost, in brackets."""
    phases = tuple(_changed(phase, _in_every_step) for phase in plan.phases)
    bound = proven(dataclasses.replace(plan, phases=phases, derivation=()), delta)
    return "" if bound is None else f" (at this noise, as many steps of those cost ε ≤ {at_most(bound.value)})"


def _in_every_step(phase: Phase) -> Phase:
    """The phase with full batches. Where steps share noise, its sampling said how often a record takes part."""
    mechanism = phase.mechanism
    if phase.sampling != Poisson(1.0) and isinstance(mechanism, Correlated):
        mechanism = dataclasses.replace(mechanism, participations=phase.steps, separation=1)
    return dataclasses.replace(phase, mechanism=mechanism, sampling=Poisson(1.0))


def _own_figure(loader: str, plan: Plan) -> str:
    """What is proven of what this loader draws, as the end of a sentence."""
    drawn = _DRAWS[loader]
    if drawn is None or drawn is Poisson:
        return ""
    # Removing a record would cut all batches anew.
    neighbours = " --adjacency zero-out" if drawn is Shuffle and plan.adjacency == ADD_REMOVE else ""
    return f" (what is proven of that: dpplan epsilon --sampling {vars(drawn)['kind']}{neighbours})"


def claim_under_reports(run: LintContext) -> Iterator[Remark]:
    """A claim must not be below what is proven.

    The certified interval of the exact accountant holds the true ε. A figure below its lower end is false: it claims
    privacy that is not there, as central-limit estimates do for most sampled plans. One inside the interval is not
    proven, and an error too. An estimate above it happens to be safe here, and proves nothing for the next plan. An
    accountant with no theorem for the plan cannot be quoted at all.
    """
    if run.plan is None:
        return
    if run.epsilon is None:
        yield _unproven(run, run.plan)
    quoted = None
    if run.claim.accountant != "exact":
        try:
            quoted = accounting.epsilon(run.plan, run.delta.value, run.claim.accountant)
        except NotCertified as error:
            yield Remark(Severity.ERROR, "--accountant", str(error), "Quote the exact accountant.")
    if quoted is not None and quoted.guarantee is Guarantee.ESTIMATE:
        yield _estimate(run, quoted)
    if run.claim.epsilon is not None and run.epsilon is not None:
        yield from _claimed(run.claim.epsilon, run.epsilon, quoted)


def _unproven(run: LintContext, plan: Plan) -> Remark:
    """Why there is no ε to claim, as the accountant says it, at what there is another choice of."""
    reason = "the exact accountant proves nothing of this plan, so there is no ε to claim"
    try:
        accounting.epsilon(plan, run.delta.value)
    except NotCertified as error:
        why = str(error).removeprefix("exact: ")
        where = "--adjacency" if "--adjacency" in why else run.where("epsilon")
        return Remark(Severity.ERROR, where, f"{reason}: {why}", "Change the plan, or quote another proof.")
    return Remark(Severity.ERROR, run.where("epsilon"), f"{reason}.", "Change the plan, or quote another proof.")


def _estimate(run: LintContext, quoted: Bound) -> Remark:
    exact, value = run.epsilon, quoted.value
    said = f"{quoted.accountant} estimates ε ≈ {{}} and proves nothing"
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


def _claimed(claimed: float, exact: Bound, quoted: Bound | None) -> Iterator[Remark]:
    """quoted: what the accountant that is named says of the plan."""
    fix = "Quote another proof." if exact.upper is None else f"Claim ε ≤ {at_most(exact.upper)}."
    standing = judge(claimed, exact)
    if standing is Standing.REFUTED:
        least = down_above(exact.lower or 0.0, claimed, DIGITS)
        other = ""
        if quoted is not None and quoted.guarantee is Guarantee.UPPER and quoted.value > claimed:
            other = f" {quoted.accountant} says ε ≤ {at_most(quoted.value)} of this plan: the claim is of another one."
        reason = f"the claimed ε = {show(claimed)} is false: the true ε is at least {least}.{other}"
        yield Remark(Severity.ERROR, "--claimed-eps", reason, fix)
    elif standing is Standing.UNCERTAIN:
        interval = f"{show(exact.lower)} ≤ ε ≤ {show(exact.upper)}"
        reason = f"the claimed ε = {show(claimed)} is not proven: what is proven is {interval}."
        yield Remark(Severity.ERROR, "--claimed-eps", reason, fix)


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


def unit_changed(run: LintContext) -> Iterator[Remark]:
    """Accumulation and augmentation must keep one clipped gradient per example.

    Micro-batches: batch is what all of them hold together, noise is added once to the sum of all, and steps count
    updates. Where batch is the size of one micro-batch the sample rate is larger than accounted for; where noise is
    shared out or steps are counted otherwise, the figure is of something else. A warning, because both readings occur.

    Views: when several augmented views of an example are clipped one by one, it moves the sum by as many clip norms,
    and the noise counts for that much less. Average the gradients of an example's views first and clip the mean (De
    et al. 2022, arXiv 2204.13650, §3.2). Recipes do that, so views in a recipe change nothing.
    """
    if run.plan is None:
        return
    micro, views = run.loop.micro_batches, run.loop.views
    if micro > 1:
        phases = [_changed(phase, lambda each: _larger(each, micro)) for phase in run.plan.phases]
        reason = (
            f"{micro} micro-batches make one noisy update: the batch must count all of them. If it is the size of one, "
            f"the sample rate is {micro} times as large{_instead(run, phases)}."
        )
        fix = "Give the batch and the steps of whole updates, add noise once for each, and silence this."
        yield Remark(Severity.WARNING, "--accumulate", reason, fix)
    if views > 1:
        phases = [_changed(phase, lambda each: _clipped_views(each, views)) for phase in run.plan.phases]
        reason = (
            f"{views} views of an example are clipped one by one: together they move the sum by up to {views} clip "
            f"norms{_instead(run, phases)}."
        )
        fix = "Average the gradients of an example's views and clip the mean, or divide sigma by the views."
        yield Remark(Severity.ERROR, "--views", reason, fix)


def _instead(run: LintContext, phases: list[Phase]) -> str:
    """What the plan spends when its phases are these, as the end of a sentence."""
    assert run.plan is not None
    bound = proven(dataclasses.replace(run.plan, phases=tuple(phases), derivation=()), run.delta.value)
    if bound is None or run.epsilon is None:
        return ""
    return f", and ε = {at_most(bound.value)} instead of {at_most(run.epsilon.value)}"


def _changed(phase: Phase, change: Callable[[Phase], Phase]) -> Phase:
    """The phase so changed; of a search, those of its trials."""
    search = phase.mechanism
    if not isinstance(search, BestOfTrials):
        return change(phase)
    first, *others = (tuple(map(change, kind)) for kind in search.kinds)
    return dataclasses.replace(phase, mechanism=dataclasses.replace(search, phases=first, others=tuple(others)))


def _larger(phase: Phase, times: int) -> Phase:
    """The phase with batches so many times as large, where they are drawn by Poisson sampling."""
    if not isinstance(phase.sampling, Poisson):
        return phase
    return dataclasses.replace(phase, sampling=Poisson(min(1.0, times * phase.sampling.sample_rate)))


def _clipped_views(phase: Phase, views: int) -> Phase:
    """The phase with so much less noise, where it is noise on clipped sums."""
    mechanism = phase.mechanism
    if not isinstance(mechanism, Gaussian | Correlated):
        return phase
    noise = mechanism.noise_multiplier / views
    return dataclasses.replace(phase, mechanism=dataclasses.replace(mechanism, noise_multiplier=noise))


def _by_chance(plan: Plan) -> Iterator[Phase]:
    """The phases of which chance decides who is in a batch; of a search, those of its trials."""
    for phase in plan.phases:
        search = phase.mechanism
        inside = search.inside if isinstance(search, BestOfTrials) else (phase,)
        yield from (each for each in inside if each.sampling != Poisson(1.0))


def _sampled(plan: Plan) -> bool:
    """Whether chance decides who is in a batch."""
    return any(True for _ in _by_chance(plan))


def _drawn_by(plan: Plan, loader: str) -> bool:
    """Whether every phase of which chance decides is drawn as this loader draws."""
    return all(type(phase.sampling) is _DRAWS[loader] for phase in _by_chance(plan))
