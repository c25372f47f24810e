"""Rules on what else was done with the data: earlier runs, choices, preprocessing, and the model itself.

The docstring of a rule is its long explanation, shown by `dpplan check --explain`.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.errors import NotCertified, PlanError
from dpplan.lint.context import LintContext, proven
from dpplan.lint.finding import Remark, Severity, at_most
from dpplan.lint.prior_runs import PriorRun
from dpplan.phase_steps import alone, times
from dpplan.plan import Phase, Plan
from dpplan.verify.early_end import CONDITION

_SHOWN = 3  # names in a sentence
_PAID_SEARCH = "Tune on public data, pay for every try, or silence this with how the search was made private."


def earlier_runs_not_counted(run: LintContext) -> Iterator[Remark]:
    """Every private run on the same examples spends from the same budget.

    The figure of a recipe is that of one run. Whoever sees the models of several runs on the same examples learns from
    all of them, and what they spend adds up; the sentence gives what they spend together, composed exactly.

    Looked at are the reports (report.json) in the folder named by --runs, else in the recipe's runtime.folder: those
    whose data block names the same source and path; of a run that was killed, run.json and the count of its steps. One
    that took no step spent nothing and is not named, unless its count cannot be read: then all it planned counts. One
    that ended before its plan did counts with all that it planned, since nobody knows what decided when to stop. Two
    folders of one run that went on twice both count. A run whose own copy of its recipe is checked is not counted
    twice, as long as it took no other steps than the recipe says; a note tells of it. Of a run that was trained with
    --unaccounted no ε is known, and so none of all of them: what is spent on these data is unknown. Runs elsewhere,
    and the same examples under another name, are not seen. A warning for your own data, a note for published sets,
    nothing for made-up ones.
    """
    if run.data is None or run.data.kind == "made":
        return
    if run.own is not None:
        reason = (
            f"this recipe is that of the run {run.own.name}, in its folder: the figure is of that run, counted once."
        )
        fix = "Nothing is to be done. Another run of it spends once more, and `dpplan train` counts this one then."
        if run.own.unaccounted:
            reason = (
                f"this recipe is that of the run {run.own.name}, which was trained with --unaccounted: no ε of it is "
                "known, so that what is spent on these data is unknown."
            )
            fix = "Claim nothing of these data. Another run of it spends once more."
        yield Remark(Severity.NOTE, "data.source", reason, fix)
    if not run.earlier:
        return
    names = [earlier.name for earlier in run.earlier]
    many = "1 earlier run" if len(names) == 1 else f"{len(names)} earlier runs"
    more = f"{_together(run)}{_early(run)}{_twice(run)}"
    reason = f"the figure does not count {many} on the same examples ({_listed(names)}){more}."
    why = "{silence: {DP010: why only this model is ever seen}}"
    fix = f"Claim what all of them spend, or silence this in the recipe, check: {why}."
    if any(earlier.unaccounted for earlier in run.earlier):
        fix = f"Claim nothing of these data, or silence this in the recipe, check: {why}."
    yield Remark(_for_data(run), "data.source", reason, fix)


def _early(run: LintContext) -> str:
    """How many steps are counted of those that ended early, as the end of a sentence."""
    counted = [each for each in run.earlier if not each.unaccounted]  # of others nothing adds up, whatever is counted
    early = [f"{each.name} ({each.early.words})" for each in counted if each.early is not None]
    said = f"; all planned steps are counted of {_listed(early)}: fewer would do if {CONDITION}"
    return said if early else ""


def _twice(run: LintContext) -> str:
    """Which of the earlier runs are one that went on from two copies of its folder, as the end of a sentence."""
    ids = [earlier.run for earlier in run.earlier if earlier.run]
    twice = [earlier.name for earlier in run.earlier if ids.count(earlier.run) > 1]
    return f"; {' and '.join(twice[:_SHOWN])} are copies of one run that went on more than once" if twice else ""


def _together(run: LintContext) -> str:
    """What this run and the earlier ones spend, or why nobody knows, as the end of a sentence."""
    marked = [earlier.name for earlier in run.earlier if earlier.unaccounted]
    if marked:
        many = "was" if len(marked) == 1 else "were"
        return (
            f"; {_listed(marked)} {many} trained with --unaccounted, of which no ε is known, so that what is spent on "
            "these data is unknown"
        )
    plan = run.search or run.plan
    bound = None if plan is None else together(plan, run.earlier, run.delta.value)
    at = f"at δ = {show(run.delta.value)}"
    return "" if bound is None else f"; with this one they spend ε ≤ {at_most(bound.value)} together {at}"


def together(plan: Plan, others: Sequence[PriorRun], delta: float) -> Bound | None:
    """What a plan and other runs on the same examples spend; None where they do not add up, or nothing is proven."""
    if any(other.seeded or other.unaccounted for other in others):
        return None
    protects = (plan.adjacency.name, plan.privacy_unit, plan.max_per_user)
    if any(other.protects != protects for other in others):  # figures for other neighbours do not add up
        return None
    phases: dict[Phase, int] = {}
    apart: list[Phase] = []  # whose steps hang together, so that those of two runs are not those of a longer one
    for phase in (*plan.phases, *(other.phase for other in others if other.phase)):
        if not alone(phase):
            apart.append(phase)
            continue
        step = dataclasses.replace(phase, steps=1)
        phases[step] = phases.get(step, 0) + phase.steps
    merged = (*(dataclasses.replace(phase, steps=steps) for phase, steps in phases.items()), *apart)
    try:
        whole = dataclasses.replace(plan, phases=merged, derivation=())
    except PlanError:  # they draw from other numbers of examples, under schemes that know theirs
        return None
    return proven(whole, delta)


def search_not_counted(run: LintContext) -> Iterator[Remark]:
    """Choosing the best of several settings reads the data once for each.

    A winner was picked by results that no noise covers, and the figure of its run says nothing of the losers. Safe is
    to tune on public data; or to pay for all runs together, composed; or to try a random number of settings, which
    costs a small multiple of one run (Liu and Talwar 2019, arXiv 1811.07971; Papernot and Steinke 2022, arXiv
    2110.03620).

    Counted are the settings named by --trials, or the different recipes among this one and the earlier runs.
    The figure of `dpplan tune` covers the choice within its grid; what was run before it is another choice. A warning,
    for published sets a note.
    """
    if run.data is not None and run.data.kind == "made":
        return
    if run.search is not None:
        yield from _outside_of_the_search(run)
        return
    tried = {earlier.sha256 for earlier in run.earlier} | ({run.sha256} if run.earlier else set())
    count = max(run.trials, len(tried))
    if count < 2:
        return
    others = [earlier.name for earlier in run.earlier if earlier.sha256 != run.sha256]
    which = f" (this one, and what {_listed(others)} ran)" if len(tried) >= run.trials else ""
    where = "--trials" if run.trials >= len(tried) else "data.source"
    cost = ""
    if run.trials == count and run.plan is not None:
        try:
            phases = times(run.plan.phases, count)
        except NotCertified:
            phases = ()
        bound = proven(dataclasses.replace(run.plan, phases=phases, derivation=()), run.delta.value) if phases else None
        at = f"at δ = {show(run.delta.value)}"
        cost = "" if bound is None else f"; all {count} together spend up to ε = {at_most(bound.value)} {at} if alike"
    reason = (
        f"{count} settings were tried on these examples{which}, and the figure covers one run, not the choice{cost}."
    )
    yield Remark(_for_data(run), where, reason, _PAID_SEARCH)


def _outside_of_the_search(run: LintContext) -> Iterator[Remark]:
    """What a search's own figure leaves out: a choice between its winner and what was run before."""
    if not run.earlier:
        return
    names = _listed([earlier.name for earlier in run.earlier])
    reason = (
        "the figure of this search covers the choice within its grid, and not one between its winner and what was run "
        f"before ({names})."
    )
    yield Remark(_for_data(run), "data.source", reason, _PAID_SEARCH)


def examples_mixed(run: LintContext) -> Iterator[Remark]:
    """No layer may let one example see another.

    Clipping bounds what an example adds to the sum only if its gradient depends on that example alone. Batch
    normalisation divides each example by statistics of its batch, so removing one changes the gradients of all; running
    statistics, besides, store sums over private data without any noise. GroupNorm and LayerNorm look at one example
    at a time.

    The model is built and tried as `dpplan train` does it, on random inputs, which needs the train extra and the data.
    Where that cannot be done, a note says so. Nothing is known of the model of a plan that is not a recipe.
    """
    if run.model is None:
        return
    for problem in run.model.problems:
        fix = "Change the model as this says: `dpplan train` refuses it as it is."
        yield Remark(Severity.ERROR, "model.kind", problem, fix)
    if run.model.unseen:
        reason = f"the model was not built, so nobody looked for layers that mix examples: {run.model.unseen}."
        yield Remark(Severity.NOTE, "model.kind", reason, "`dpplan train --dry-run` looks where the run will be.")


def preprocessing_from_data(run: LintContext) -> Iterator[Remark]:
    """What is computed from private data before training is a release as well.

    A mean, a deviation, a vocabulary, a list of classes or a feature selection changes when an example does, and every
    later step sees it. The figure starts at the first step. Take such numbers from public knowledge, or pay for them.

    A warning for your own data that are scaled by their own mean and deviation (standardize: public declares these to
    be public), a note for published sets, and a note for data that come from a function, which nobody here has read.
    """
    if run.data is None or run.data.kind == "made":
        return
    if run.data.standardized:
        reason = "the mean and deviation of the training set scale its examples, and the figure takes them for public."
        fix = "Give shift and scale from public knowledge, or silence this with where they are published."
        yield Remark(_for_data(run), "data.standardize", reason, fix)
    if run.data.prepared:
        reason = f"what {run.data.source} computes from the data before it hands them over is not in the figure."
        fix = "Let it use nothing but public constants, and silence this when it does."
        yield Remark(Severity.NOTE, "data.source", reason, fix)


def seed_fixed(run: LintContext) -> Iterator[Remark]:
    """A run whose seed is known protects nobody.

    Noise that can be drawn again can be subtracted. A seed is a secret like a key, and one that stands in a script, a
    recipe or a log is none. Seeded runs are for tests; a run that is to protect takes its noise from the operating
    system. So this is an error: no claim can be made for such a run.

    `dpplan train --seed` runs all the same, since typing it consents to a test, and marks all that it writes. Earlier
    runs on the same examples (--runs) that were seeded are a warning, for published sets a note.
    """
    if run.loop.seed is not None:
        reason = (
            f"seed {show(run.loop.seed)} is fixed: whoever knows it can subtract the noise, so the run protects nobody."
        )
        yield Remark(Severity.ERROR, "--seed", reason, "Leave the seed out, unless this is a test.")
    seen = (*run.earlier, *(() if run.own is None else (run.own,)))
    seeded = [earlier.name for earlier in seen if earlier.seeded]
    if seeded and run.data is not None and run.data.kind != "made":
        reason = f"{_listed(seeded)} on the same examples had a seed: whoever knows it can subtract the noise."
        fix = "Treat those examples as published, unless nobody sees that model."
        yield Remark(_for_data(run), "data.source", reason, fix)


def nonprivate_model_trained(run: LintContext) -> Iterator[Remark]:
    """A second model, trained without privacy, is covered by nothing.

    training.compare_nonprivate trains the same model once more without clipping and noise, to show what privacy costs.
    Its accuracy is printed and written to the report. On published sets that harms nobody; on your own data, what is
    read from it, and decided by it, has no privacy at all.
    """
    if run.data is not None and run.data.kind == "own" and run.data.nonprivate_model:
        reason = f"a second model is trained on source: {run.data.source} without privacy, and its accuracy is shown."
        fix = "Set compare_nonprivate: false, or keep the report as secret as the data."
        yield Remark(Severity.WARNING, "training.compare_nonprivate", reason, fix)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _for_data(run: LintContext) -> Severity:
    """How bad it is to spend more than is counted: published sets harm nobody."""
    return Severity.NOTE if run.data is not None and run.data.kind == "public" else Severity.WARNING


def examples_repeated(run: LintContext) -> Iterator[Remark]:
    """Equal rows are protected as a group, and not as one example.

    (ε, δ) compares data sets that differ in one example. Somebody whose data stand in k equal rows is protected by the
    guarantee for k of them: about k ε, with a δ that grows faster. Equal rows come from logs that were joined, from
    oversampling and from copies; some are chance, where examples have few values.

    Training rows are compared whole, with their class. A warning for your own data, a note for published sets, nothing
    for made-up ones, and nothing where the data were not read (--n).
    """
    if run.data is None or run.data.kind == "made" or not run.data.facts.repeated:
        return
    facts = run.data.facts
    rows = "1 training row is" if facts.repeated == 1 else f"{facts.repeated} training rows are"
    reason = (
        f"{rows} the same as another ({facts.most} times the most frequent): whoever stands behind all of them is "
        "protected as a group, by more than ε."
    )
    fix = "Remove copies before training, or silence this with why equal rows are different people."
    yield Remark(_for_data(run), "data.source", reason, fix)


def files_passed_over(run: LintContext) -> Iterator[Remark]:
    """A file that is no image by its ending, or out of place, is not read.

    n counts what is read. Images with an ending that is not known (.tif, .webp, none) are left out without an error, as
    are those beside the folders of the classes and in a folder within that of a class, and with them perhaps a class or
    most of the data. A note; what begins with a point is no business of anybody's.
    """
    if run.data is None or not run.data.facts.skipped:
        return
    skipped = list(run.data.facts.skipped)
    count = "1 file was" if len(skipped) == 1 else f"{len(skipped)} files were"
    reason = f"{count} passed over, not being images by name or not right in the folder of a class: {_listed(skipped)}."
    fix = "Convert, rename or move those that are images of a class; remove the others."
    yield Remark(Severity.NOTE, "data.path", reason, fix)
