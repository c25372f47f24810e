"""Rules on the figures of a plan: δ, ε, noise, examples, steps, batch.

The docstring of a rule is its long explanation, shown by `dpplan check --explain`.
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from dpplan import accounting
from dpplan.adjacency import DIFFERENT_N, REPLACE_ONE, Adjacency
from dpplan.checks import is_number, reaches_one_in, show
from dpplan.lint.context import LintContext, batch_exceeds_examples, needed_steps
from dpplan.lint.finding import Remark, Severity, at_least, at_most
from dpplan.lint.rules.batches import part_of, steps_of_loader
from dpplan.lint.rules.claim_standing import claim_standing
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, resolve_delta
from dpplan.quantities import MEANINGLESS_EPSILON, noise_for_batch
from dpplan.rounding import down, near_at_most
from dpplan.sampling import Poisson
from dpplan.verdict import Standing

LARGE_EPSILON = 10.0
_MEANINGLESS = (Severity.ERROR, MEANINGLESS_EPSILON)
_MISPLACED = 9.0  # how many times too large a claim is that looks like one with its point in another place
LEAST_NOISE = 0.3
RARE = 0.01  # chance of an empty batch in a run that is worth a word
_LESS_EPSILON = "Add noise and enlarge the batch with it, train for fewer epochs, or do not call it a proof of privacy."
# Fewer steps per epoch than this, and one number of steps in twenty ends just before an epoch by chance.
_STEPS_PER_EPOCH = 20
_COUNTS = 3  # of groups that are told of one by one


def delta_too_large(run: LintContext) -> Iterator[Remark]:
    """δ must lie well below 1/n.

    δ is the chance that the guarantee does not hold at all. Publishing one of n examples, picked at random, is
    (0, 1/n)-private, so a claim with δ ≥ 1/n does not rule out that whole examples are given away. An error from there
    on; a note above 1/(10 n), the limit below which dpplan chooses δ when none is given.

    Dwork and Roth 2014, The Algorithmic Foundations of Differential Privacy, §2.3.
    """
    n, delta = run.settings.examples, run.delta.value
    objection = None if n is None else delta_objection(delta, n)
    if objection is not None:
        severity, reason = objection
        fix = f"Try {run.setting('delta', resolve_delta(None, n).value)}."
        yield Remark(severity, run.where("delta"), f"delta={show(delta)} {reason}", fix)


def delta_objection(delta: float, n: int, unit: str = "example", tell_n: bool = True) -> tuple[Severity, str] | None:
    """How bad δ is for so many examples or users, and why, as the rest of a sentence; None where it is small enough.

    n: of units; where users are drawn example by example, of examples, and the users are at most as many. tell_n:
    whether the sentence may hold a figure that n follows from.
    """
    expected = delta * n
    if reaches_one_in(delta, n):
        limit = f" = {near_at_most(min(1 / n, delta), delta)}" if tell_n else ""
        return Severity.ERROR, f"is not below 1/n{limit}: it would allow publishing whole records."
    if 10 * expected <= 1 + 1e-9:
        return None
    limit = f" = {1 / n:.3g}" if tell_n else ", above 1/(10 n)"
    lost = f", and give away {expected:.2g} {unit}s on average" if tell_n else ""
    return Severity.NOTE, (
        f"is close to 1/n{limit}: a mechanism that publishes each {unit} with a chance of {show(delta)} would satisfy "
        f"it{lost}."
    )


def epsilon_too_large(run: LintContext) -> Iterator[Remark]:
    """An ε above 10 promises next to nothing, one above 50 nothing at all.

    (ε, δ) bounds every attack: what it finds is at most e^ε times its false alarms, plus δ. At ε = 10 that is a factor
    of 22,026, and whoever guesses from even odds whether an example was used may be right with a chance of
    e^ε / (1 + e^ε) = 0.99995. Attacks seldom reach the bound, and a large ε can still be better than none; but it is no
    proof, and this is a warning. The bound: Wasserman and Zhou 2010; Kairouz, Oh and Viswanath 2015.

    An error above 50, where the factor is 10^21: of all people who ever lived one attack could tell each, without one
    false alarm. Such a figure must not be called differential privacy. Looked at are what the plan spends, or the
    search whose trial it is, what is claimed (--claimed-eps) and a recipe's target_epsilon. A claim above 50 that is
    proven, of a plan that spends no more than 50, is true and says too little: a warning, for what was meant is
    another figure, and often a point is misplaced.
    """
    stated = run.stated_epsilon
    if stated is not None and stated > MEANINGLESS_EPSILON:
        where = "--claimed-eps" if run.claim.epsilon is not None else "privacy.target_epsilon"
        reason = f"ε = {show(stated)} is above 50: as a claim it rules out no attack at all."
        yield _needless(run, reason) or Remark(
            Severity.ERROR, where, reason, "Claim what the plan spends, once that is below 10."
        )
    bound = run.epsilon if run.search_spends is None else run.search_spends
    if bound is None or bound.value <= LARGE_EPSILON:
        return
    spent, whose = bound.value, "" if run.search_spends is None else " of the whole search"
    severity, limit = (Severity.WARNING, LARGE_EPSILON) if spent <= MEANINGLESS_EPSILON else _MEANINGLESS
    factor = f"{math.exp(spent):,.0f}" if spent < 20 else f"10^{spent / math.log(10):.0f}"
    reason = (
        f"ε {bound.relation} {at_most(spent)}{whose} is above {show(limit)}: it does not rule out an attack that "
        f"finds every example that was used, at one false alarm in {factor}."
    )
    yield Remark(severity, run.where("epsilon"), reason, _LESS_EPSILON)


def _needless(run: LintContext, reason: str) -> Remark | None:
    """A claim that is true of a plan that spends far less, which is no false claim; None of any other."""
    found = claim_standing(run)
    if found is None or found.standing is not Standing.STANDS or found.bound is None or found.bound.upper is None:
        return None
    upper = found.bound.upper
    if upper > MEANINGLESS_EPSILON:
        return None
    told, times = f"{reason} It is true{found.of}, and what is proven is ε ≤ {at_most(upper)}", found.epsilon / upper
    told += f": {down(times, 3)} times less. A point may be misplaced." if times >= _MISPLACED else "."
    return Remark(Severity.WARNING, "--claimed-eps", told, f"Claim ε ≤ {at_most(upper)}.")


def noise_too_small(run: LintContext) -> Iterator[Remark]:
    """With σ below 0.3, one step that draws an example gives it away.

    The noise is then smaller than a third of what one example may add to the sum, so the bulk of the privacy comes from
    not being drawn at all. ε grows like 1 / (2σ²) there, and small changes of σ change it by whole units. A larger
    batch with more noise has the same noise on the mean gradient, σ / batch, at a far smaller ε.
    """
    if run.plan is None:
        return
    noises = [p.mechanism.noise_multiplier for p in run.plan.phases if isinstance(p.mechanism, Gaussian)]
    noise = min(noises, default=LEAST_NOISE)
    if noise < LEAST_NOISE:
        once = accounting.epsilon(Plan.from_rate(noise, 1.0, 1), run.delta.value)
        reason = (
            f"sigma={show(noise)} is below 0.3: an example spends ε = {at_most(once.value)} in one step that draws it."
        )
        fix = "Multiply batch and noise by the same factor: the mean gradient stays as noisy, and ε falls."
        yield Remark(Severity.WARNING, run.where("noise_multiplier"), reason, fix)


def examples_not_public(run: LintContext) -> Iterator[Remark]:
    """The number of examples is used as if everybody knew it.

    The sample rate, the steps of an epoch, the divisor of the noisy sum and the limit for δ are all computed from n.
    Under add/remove adjacency n differs between the two data sets that the claim compares, so a figure that uses it
    takes it for public. That is true of published sets. Where n was counted from private data it must be known anyway
    or no secret, or be replaced by a public number; in a set of two or three examples the divisor alone reveals n.
    Whoever publishes the figure with its sample rate, steps or batch publishes n, and ε does not cover that.

    What gives n away: a divisor that counts the examples, the length of an epoch or a fixed count of batches, an n that
    is printed, the rate q = batch / n itself, a batch of fixed size or one that is cut, and a held-out share.

    Where neighbours have equally many examples, by replace-one or zero-out, n gives nothing away. The n of a group of a
    plan does under replace-one: the new example may be in another group, so that neighbours differ in the n of both.

    A note where options or a plan file give n and a batch, of all data or of a group, in a search or out of it, since
    they do not say whose data these are. A note where n was not given at all: then δ cannot be held against 1/n.
    """
    if run.settings.examples is None:
        reason = f"n is not given, so delta={show(run.delta.value)} cannot be held against 1/n."
        of = "the public number of examples"
        give = f"Write n, {of}, into the plan file." if run.in_plan_file else f"Give --n, {of}."
        yield Remark(Severity.NOTE, run.where("examples"), reason, give)
    elif run.data is not None and run.data.kind == "own" and not run.settings.adjacency.public_size:
        reason = (
            f"n={show(run.settings.examples)} is of data of your own (source: {run.data.source}), and the sample rate, "
            "the steps and the divisor of the sum use it as if it were public."
        )
        claim = "--adjacency zero-out or replace-one" if run.recipe is None else "adjacency: zero_out or replace_one"
        fix = (
            f"{DIFFERENT_N} That is {claim}; or silence this with where n is known from. An n that must stay secret is "
            "covered by no figure here: dpplan help adjacency lists what gives it away."
        )
        yield Remark(Severity.WARNING, run.where("examples"), reason, fix)
    if run.recipe is None and run.plan is not None:
        yield from _told_by_plan(run, run.claim.adjacency or run.plan.adjacency)


def _told_by_plan(run: LintContext, compared: Adjacency) -> Iterator[Remark]:
    """What of a plan is made of n, or of the n of a group, and so tells it. compared: what the claim is for."""
    if compared.public_size and not (compared == REPLACE_ONE and _grouped(run)):
        return
    whole = run.settings.examples
    said = [run.settings, *(each for each in run.said if each is not None), *run.in_trials]
    if compared.public_size:  # only the n of a group differs between such neighbours
        said = [each for each in said if each.examples not in (None, whole)]
    said = [each for each in said if each.batch_size is not None and (whole or each.examples) is not None]
    counts = list(dict.fromkeys(whole if each.examples is None else each.examples for each in said))
    if not counts:
        return
    told = [
        "q = batch / n",
        *(["an epoch of n / batch steps"] if any(each.epochs is not None for each in said) else []),
    ]
    differ = (
        "add-remove differ" if not compared.public_size else "replace-one differ if the new one is in another group"
    )
    reason = (
        f"{' and '.join(told)} tell{'s' if len(told) == 1 else ''} {_counted(counts, whole)}, in which neighbours "
        f"under {differ}, and which ε does not cover."
    )
    neighbours = "zero-out" if compared.public_size else "zero-out or replace-one"
    other = f"adjacency: {neighbours} in the plan file" if run.in_plan_file else f"--adjacency {neighbours}"
    fix = (
        f"That is right where n is known anyway or no secret. Else claim {other}; dpplan help adjacency lists what "
        "gives n away."
    )
    yield Remark(Severity.NOTE, run.where("examples"), reason, fix)


def _counted(counts: Sequence[int | None], whole: int | None) -> str:
    """Each n, that of all data first, those of groups together."""
    of_groups = [f"n={show(n)}" for n in counts if n != whole]
    named = of_groups[:_COUNTS] + ([f"{len(of_groups) - _COUNTS} more"] if len(of_groups) > _COUNTS else [])
    *first, last = named or [""]
    listed = f"{', '.join(first)} and {last} of groups" if first else f"{last} of a group"
    return " and ".join([f"n={show(n)}" for n in counts if n == whole] + ([listed] if named else []))


def _grouped(run: LintContext) -> bool:
    """Whether a phase is for a group alone, one of the trials of a search included."""
    assert run.plan is not None  # whoever asks has it
    return any(each.groups or getattr(each.mechanism, "inside", ()) for each in run.plan.phases)


def steps_rounded_down(run: LintContext) -> Iterator[Remark]:
    """Steps that were rounded down are fewer than the run takes.

    E epochs over n examples in batches of B are ⌈E n / B⌉ steps. int(1 / q), n // B and loaders that drop the last
    batch round down, so the loop may take a step that nobody accounts for, or train for less than was planned.

    An error where steps and epochs are both given and disagree that way. A warning where the steps alone are the
    rounded-down length of whole epochs. A recipe gives one of the two, and `dpplan train` takes exactly the steps it
    accounts for.
    """
    settings = run.settings
    if settings.steps is None:
        return
    needed = needed_steps(settings)
    cut = part_of(run.loop.loader) == "left out"
    if cut and needed is not None and settings.examples is not None and settings.batch_size is not None:
        needed = steps_of_loader(settings, "left out")[1]
    if needed is not None and settings.steps < needed:
        reason = (
            f"steps={show(settings.steps)} is less than the {needed} of epochs={show(settings.epochs)}: what runs for "
            "these epochs takes steps that are not in the figure."
        )
        fix = f"Give {run.setting('steps', needed)}, or leave one of the two out."
        yield Remark(Severity.ERROR, run.where("steps"), reason, fix)
    elif needed is None and run.recipe is None and not cut:
        yield from _just_short_of_an_epoch(run)


def _just_short_of_an_epoch(run: LintContext) -> Iterator[Remark]:
    settings = run.settings
    n, batch, steps = settings.examples, settings.batch_size, settings.steps
    if n is None or batch is None or steps is None or n < _STEPS_PER_EPOCH * batch:
        return
    epoch = n / Fraction(repr(float(batch)))
    epochs = math.ceil(steps / epoch)
    length = epochs * epoch
    if length.denominator != 1 and math.floor(length) == steps:
        reason = (
            f"steps={steps} is {epochs} epochs rounded down: {epochs} × {show(n)} / {show(batch)} = {float(length):.9g}"
            f", so a loop that finishes its last epoch takes {steps + 1}."
        )
        fix = f"Give {run.setting('epochs', epochs)} instead, or make sure that the loop stops after {steps}."
        yield Remark(Severity.WARNING, run.where("steps"), reason, fix)


def batch_larger_than_data(run: LintContext) -> Iterator[Remark]:
    """A batch cannot be expected to hold more examples than there are.

    The sample rate batch / n is a probability. Above 1 it has no meaning, and a loader that repeats examples to fill a
    batch lets one of them enter a sum several times, each time by a clip norm.
    """
    settings = run.settings
    if batch_exceeds_examples(settings) and is_number(settings.batch_size) and is_number(settings.examples):
        batch, n = settings.batch_size, settings.examples
        assert batch is not None
        assert n is not None
        reason = f"batch={show(batch)} exceeds n={show(n)}: the sample rate would be {at_least(batch / n)}."
        fix = f"Lower it to at most {show(n)} (full batch), or check n."
        yield Remark(Severity.ERROR, run.where("batch_size"), reason, fix)


def batches_empty(run: LintContext) -> Iterator[Remark]:
    """A batch may be drawn empty, and its step still adds noise.

    Each of n examples stays out of a batch with the chance 1 − q, so a batch is empty with (1 − q)^n, about
    e^−(expected batch). Such a step has to add its noise like any other: a loop that skips it, draws again or divides
    by the size of the batch shows that nobody was in it, or breaks off.

    A warning for a plan whose run will probably, by one in a hundred, see an empty batch. `dpplan train` adds noise
    to nothing, so nothing is said of recipes.
    """
    n = run.settings.examples
    if run.recipe is not None or run.plan is None or n is None or run.loop.loader != "poisson":
        return
    if len(run.plan.phases) > 1 or not isinstance(run.plan.only_phase.sampling, Poisson):
        return
    rate, steps = run.plan.only_phase.sampling.sample_rate, run.plan.steps
    empty = math.exp(n * math.log1p(-rate)) if rate < 1 else 0.0
    if steps * empty < RARE:
        return
    reason = (
        f"a batch is empty with a chance of (1 − q)^n = {empty:.2g}, so about {steps * empty:.2g} of {steps} steps "
        "will draw nobody."
    )
    fix, batch = "Let such a step add its noise and count, or enlarge the batch.", run.settings.batch_size
    if is_number(batch) and batch < 1:
        fix += f" If {show(batch)} is the sample rate, give --q in place of --batch."
    if swapped := noise_for_batch(run.settings.noise_multiplier, batch, n):
        fix += f" {swapped}"
    yield Remark(Severity.WARNING, run.where("batch_size"), reason, fix)
