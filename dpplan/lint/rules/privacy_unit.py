"""Whether an example's part in the sum is what the figure takes it for.

The docstring of the rule is its long explanation, shown by `dpplan check --explain`.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from dpplan.accounting.bound import Bound
from dpplan.adjacency import REPLACE_ONE
from dpplan.errors import NotApplicable, NotCertified, PlanError
from dpplan.lint.context import LintContext, proven
from dpplan.lint.finding import Remark, Severity, at_most
from dpplan.lint.loader_draws import by_chance, changed
from dpplan.mechanism import Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, RandomAllocation, Sampling, Shuffle

_QUICK = (Poisson, Shuffle, FixedSize)  # of whom a group's figure, which asks for many, is soon there
_NEAR_ENOUGH = 1e-3


def unit_changed(run: LintContext) -> Iterator[Remark]:
    """Accumulation and augmentation must keep one clipped gradient per example.

    Micro-batches: batch is what all of them hold together, noise is added once to the sum of all, and steps count
    updates. Where batch is the size of one micro-batch the sample rate is larger than accounted for; where noise is
    shared out or steps are counted otherwise, the figure is of something else. A warning, because both readings occur.

    Views: when several augmented views of an example are clipped one by one, it moves the sum by as many clip norms,
    and the noise counts for that much less. Average the gradients of an example's views first and clip the mean (De
    et al. 2022, arXiv 2204.13650, §3.2). Recipes do that, so views in a recipe change nothing.

    Owners: a photo of several people, a message with who wrote and who got it. A figure for one example protects the
    example, and of the people in it those who are in no other. Somebody who is an owner of up to K examples, shared
    ones counted, is protected as a user with K of them: --owners K gives that ε, exactly under Poisson sampling, and
    else what follows of a group. Keeping so many examples of whoever is named first bounds nothing for the others:
    every owner has to count, and who owns what, by which is chosen what is kept, is taken for public (Ganesh,
    McKenna, McMahan, Smith and Wu 2025, arXiv 2503.03622). Under add/remove all K go with their owner; where shared
    ones stay and only that person is cut out of them, examples are replaced, and it takes a claim of replace-one.
    """
    plan, micro, views = run.plan, run.loop.micro_batches, run.loop.views
    if plan is None:
        return
    if micro > 1:
        reason = (
            f"{micro} micro-batches make one noisy update: the batch must count all of them. If it is the size of one, "
            f"the sample rate is {micro} times as large{_of_larger_batches(run, plan, micro)}."
        )
        fix = "Give the batch and the steps of whole updates, add noise once for each, and silence this."
        yield Remark(Severity.WARNING, "--accumulate", reason, fix)
    if views > 1:
        phases = [changed(phase, lambda each: _clipped_views(each, views)) for phase in plan.phases]
        reason = (
            f"{views} views of an example are clipped one by one: together they move the sum by up to {views} clip "
            f"norms{_instead(run, proven(_with_phases(plan, phases), run.delta.value))}."
        )
        fix = "Average the gradients of an example's views and clip the mean, or divide sigma by the views."
        yield Remark(Severity.ERROR, "--views", reason, fix)
    if run.owned > 1:
        yield from _several_owners(run, plan)


def _with_phases(plan: Plan, phases: Sequence[Phase]) -> Plan:
    return dataclasses.replace(plan, phases=tuple(phases), derivation=())


def _instead(run: LintContext, bound: Bound | None) -> str:
    """What is spent in truth, as the end of a sentence."""
    if bound is None or run.epsilon is None:
        return ""
    return f", and ε {bound.relation} {at_most(bound.value)} instead of {at_most(run.epsilon.value)}"


def _of_larger_batches(run: LintContext, plan: Plan, times: int) -> str:
    """What the plan spends with batches so many times as large, or why that is not known, as the end of a sentence."""
    try:
        larger = _with_phases(plan, [changed(phase, lambda each: _larger(each, times)) for phase in plan.phases])
    except NotApplicable as why:
        return f"; what that costs is not computed here, since {why}"
    if larger.phases == plan.phases:
        return ", where batches are drawn"
    return _instead(run, proven(larger, run.delta.value)) or "; nothing is proven of that here"


def _larger(phase: Phase, times: int) -> Phase:
    """The phase with batches so many times as large, each scheme by its own arithmetic. Raises NotApplicable, with half
    a sentence, where that says nothing of such batches."""
    drawn, mechanism = phase.sampling, phase.mechanism
    if isinstance(mechanism, Correlated):
        raise NotApplicable("whose steps share noise takes part more often, too")
    if not isinstance(mechanism, Gaussian) or drawn == Poisson(1.0):
        return phase
    larger: Sampling
    if type(drawn) is Poisson or isinstance(drawn, CyclicPoisson):
        if times * drawn.sample_rate > 1:
            raise NotApplicable("an example would be in an update more than once")
        larger = dataclasses.replace(drawn, sample_rate=times * drawn.sample_rate)
    elif isinstance(drawn, FixedSize):
        if times * drawn.batch_size > drawn.examples:
            raise NotApplicable("an example would be in an update more than once")
        larger = dataclasses.replace(drawn, batch_size=times * drawn.batch_size)
    elif isinstance(drawn, BallsInBins | Shuffle):
        larger = dataclasses.replace(drawn, steps_per_epoch=_updates(drawn.steps_per_epoch, times, type(drawn)))
    elif isinstance(drawn, RandomAllocation):
        updates = _updates(drawn.steps_per_round, times, RandomAllocation)
        if updates < drawn.times:
            raise NotApplicable("an example would be in an update more than once")
        larger = dataclasses.replace(drawn, steps_per_round=updates)
    else:
        raise NotApplicable(f"of {drawn.kind} it takes more than the batch to say what is drawn")
    return dataclasses.replace(phase, sampling=larger)


def _updates(steps: int, times: int, scheme: type) -> int:
    """Of a pass over the data in so many steps, when so many of them make one. The last of a shuffled epoch may be
    smaller; where each example draws its step, all have to be alike."""
    if times > steps:
        raise NotApplicable("an example would be in an update more than once")
    if steps % times and scheme is not Shuffle:
        raise NotApplicable(f"{steps} steps are no whole number of updates")
    return math.ceil(steps / times)


def _several_owners(run: LintContext, plan: Plan) -> Iterator[Remark]:
    """Examples that several people own: a person is protected in all examples of theirs, or not at all."""
    owned, most = run.owned, plan.max_per_user
    keys = run.names or run.recipe is not None
    told = f"unit: user with max_per_user: {owned}" if keys else f"--unit user --max-per-user {owned}"
    if plan.privacy_unit == "user" and most is None:
        reason = (
            "users are drawn and clipped whole, and an example of several owners is in the sums of all of them: the "
            "figure counts one sum of a user, and nothing is proven here of the others."
        )
        fix = f"Draw examples one by one, every owner of an example counted ({told}), or leave out what is shared."
        yield Remark(Severity.ERROR, "--owners", reason, fix)
    elif plan.privacy_unit == "user" and most is not None and owned > most:
        reason = (
            f"one user is an owner of up to {owned} examples, and the figure is for at most {most} of them"
            f"{_instead(run, _of_user(plan, run.delta.value, owned)) or '; nothing is proven of so many here'}."
        )
        fix = f"Keep at most {most} examples of every owner, not of the first one named alone, or give {told}."
        yield Remark(Severity.ERROR, "--owners", reason, fix)
    elif plan.privacy_unit != "user":
        bound = _of_user(plan, run.delta.value, owned)
        cost = _instead(run, bound).removeprefix(", and ")
        whole = f"for a person with all of theirs it is {cost}" if cost else "nothing is proven here for all of theirs"
        reason = (
            f"one person is an owner of up to {owned} examples, shared ones counted. The figure protects one example; "
            f"{whole}."
        )
        fix = (
            f"Claim users, every owner of an example counted ({told}), or say that one example is protected, and not "
            "the people in it, and silence this."
        )
        if any(type(each.sampling) is not Poisson for each in by_chance(plan)) or plan.adjacency == REPLACE_ONE:
            fix += " Users with so many have a figure of their own under Poisson sampling, with add-remove or zero-out."
        yield Remark(Severity.WARNING, "--owners", reason, fix)


def _of_user(plan: Plan, delta: float, most: int) -> Bound | None:
    """What the plan spends of one who owns so many examples, each drawn and clipped by itself: by the pair of that, and
    else by what follows of a group."""
    phases = [dataclasses.replace(each, privacy_unit=None) for each in plan.phases]
    try:
        exact = proven(dataclasses.replace(_with_phases(plan, phases), privacy_unit="user", max_per_user=most), delta)
    except PlanError:  # there are not so many
        return None
    quick = all(isinstance(each.sampling, _QUICK) for each in plan.phases)
    if exact is not None or plan.privacy_unit == "user" or not quick:
        return exact
    from dpplan.compare.units import of_group  # only such a plan needs it

    try:
        return of_group(plan, delta, most, relative=_NEAR_ENOUGH)
    except NotCertified:
        return None


def _clipped_views(phase: Phase, views: int) -> Phase:
    """The phase with so much less noise, where it is noise on clipped sums."""
    mechanism = phase.mechanism
    if not isinstance(mechanism, Gaussian | Correlated):
        return phase
    noise = mechanism.noise_multiplier / views
    return dataclasses.replace(phase, mechanism=dataclasses.replace(mechanism, noise_multiplier=noise))
