"""Whether an example's part in the sum is what the figure takes it for.

The docstring of the rule is its long explanation, shown by `dpplan check --explain`.
"""

import dataclasses
from collections.abc import Iterator

from dpplan.lint.context import LintContext, proven
from dpplan.lint.finding import Remark, Severity, at_most
from dpplan.lint.rules.batches import changed
from dpplan.mechanism import Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase
from dpplan.sampling import Poisson


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
        phases = [changed(phase, lambda each: _larger(each, micro)) for phase in run.plan.phases]
        reason = (
            f"{micro} micro-batches make one noisy update: the batch must count all of them. If it is the size of one, "
            f"the sample rate is {micro} times as large{_instead(run, phases)}."
        )
        fix = "Give the batch and the steps of whole updates, add noise once for each, and silence this."
        yield Remark(Severity.WARNING, "--accumulate", reason, fix)
    if views > 1:
        phases = [changed(phase, lambda each: _clipped_views(each, views)) for phase in run.plan.phases]
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
    return f", and ε {bound.relation} {at_most(bound.value)} instead of {at_most(run.epsilon.value)}"


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
