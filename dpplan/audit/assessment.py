"""From scores to a verdict: is what was seen possible, if the run did what its plan says?

found = audit(scores, Hypothesis.of_plan(plan, delta), AuditSettings(...))
found.violation, found.epsilon          # a lower bound on ε at δ, with confidence 1 - level
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics.bisection import first_true
from dpplan.audit import many_runs, one_run, order_statistics, two_gaussians
from dpplan.audit.claimed_trade_off import HypothesisCurve, MuCurve, curve_of
from dpplan.audit.order_statistics import refuse_canaries_that_touch
from dpplan.audit.scores import SIDES, Scores
from dpplan.checks import show
from dpplan.errors import NotCertified, PlanError
from dpplan.mechanism import Mechanism
from dpplan.open_noise import noise_of, setting_of, with_noise
from dpplan.plan import Plan
from dpplan.risk import source_of_plan, source_of_stated

ORDER, GAUSS = "order-statistics", "gauss"
METHODS = ("one-run-fdp", ORDER, "one-run", "many-runs", GAUSS)
# Guesses of an audit that fixes none: a quarter of the canaries, an eighth, ...; fewer cannot refute much. Where
# canaries are independent all of them tell most, and the sides say the same.
LARGEST_SHARE, HALVINGS, LEAST_GUESSES = 4, 5, 12
# Most noise of the family, in units of the plan's (the least is one over it), and how closely the refuted one is found.
# Where an ε as large as ENOUGH is refuted, no larger one is looked for: those take long, and say nothing more.
MOST_SCALE, CLOSE, ENOUGH = 2.0**20, 1e-3, 100.0
MOST_MU = 60.0
SAME_PLAN = "the same plan with another noise multiplier"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """delta: at which ε is told. level: 1 - confidence. guesses: how many to make; None: a fixed list of numbers, paid
    for by Bonferroni. side: both, or in; with a list, both are tried. threshold: of many runs; None: from
    half of them."""

    delta: float
    level: float = 0.05
    method: str = METHODS[0]
    guesses: int | None = None
    side: str = "both"
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is claimed. bound: of ε at the δ of the audit, for a plan; stated: an (ε, δ). name: in words."""

    name: str
    curve: HypothesisCurve
    plan: Plan | None = None
    bound: Bound | None = None
    stated: tuple[float, float] | None = None

    @classmethod
    def of_plan(cls, plan: Plan, delta: float) -> "Hypothesis":
        """The certified profile of the plan. Raises NotCertified where there is none."""
        return cls("the plan", _curve_of_plan(plan), plan, accounting.epsilon(plan, delta, accounting.LEAST))

    @classmethod
    def of_stated(cls, epsilon: float, delta: float) -> "Hypothesis":
        return cls(
            f"ε = {show(epsilon)} at δ = {show(delta)}",
            curve_of(source_of_stated(epsilon, delta)),
            stated=(epsilon, delta),
        )

    @property
    def upper(self) -> float:
        """What ε is claimed to be at most, at the δ of the audit."""
        if self.stated is not None:
            return self.stated[0]
        assert self.bound is not None and self.bound.upper is not None
        return self.bound.upper


@dataclass(frozen=True, slots=True)
class Attempt:
    """One number of guesses on one side: how many were right, and the chance of that under the claim, at most.

    refuted, p_value: None without a claim; of many runs there is no p-value. epsilon: the lower bound that follows,
    0 where it was not asked for.
    """

    guesses: int
    right: int
    side: str
    refuted: bool | None = None
    p_value: float | None = None
    epsilon: float = 0.0


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """epsilon: no larger ε than the true one, with confidence 1 - level, if the run is a member of `family`.

    violation: None without a claim, or of an estimate; else whether it is refuted at the level: true claims are with
    that chance at most.
    """

    settings: AuditSettings
    canaries: int
    members: int
    hypothesis: Hypothesis | None
    attempts: tuple[Attempt, ...]
    best: Attempt
    epsilon: float
    family: str

    @property
    def is_estimate(self) -> bool:
        """Whether the bound is none: of a method that assumes the shape of the scores, and gives no verdict."""
        return self.settings.method == GAUSS

    @property
    def violation(self) -> bool | None:
        return None if self.hypothesis is None or self.is_estimate else any(each.refuted for each in self.attempts)

    @property
    def beyond_claim(self) -> bool:
        """Whether the bound is above a claim that is not refuted: it is for a family that the claim does not name."""
        return self.violation is False and self.hypothesis is not None and self.epsilon > self.hypothesis.upper

    @property
    def share(self) -> float | None:
        """The lower bound as a share of what is claimed."""
        return None if self.hypothesis is None or not self.hypothesis.upper else self.epsilon / self.hypothesis.upper


def audit(scores: Scores, hypothesis: Hypothesis | None, settings: AuditSettings) -> AuditFinding:
    """Whether the scores refute the claim, and the largest ε that they refute. Scores are `checked` before.

    Raises PlanError for a theorem that does not hold of the claim's plan.
    """
    if settings.method == ORDER and hypothesis is not None and hypothesis.plan is not None:
        refuse_canaries_that_touch(hypothesis.plan)
    if settings.method == "many-runs":
        return _many_runs(scores, hypothesis, settings)
    if settings.method == GAUSS:
        epsilon = gaussian_epsilon(two_gaussians.lower_mu(scores, settings.level), settings.delta)
        none = Attempt(0, 0, "both", epsilon=epsilon)
        return _finding(scores, hypothesis, settings, [], none, epsilon, "two Gaussians of one spread: an ESTIMATE")
    tried = list(_attempts(scores, settings))
    level = settings.level / len(tried)
    if settings.method == "one-run":
        attempts = [_stated(scores, each, hypothesis, settings, level) for each in tried]
        best = max(attempts, key=lambda each: each.epsilon)
        return _finding(scores, hypothesis, settings, attempts, best, best.epsilon, "any (ε, δ) mechanism")
    attempts = [_by_curve(scores, each, hypothesis, settings, level) for each in tried]
    best, epsilon, family = _largest_refuted(scores, hypothesis, attempts, settings, level)
    return _finding(scores, hypothesis, settings, attempts, best, epsilon, family)


def _finding(
    scores: Scores, hypothesis: Hypothesis | None, settings: AuditSettings, attempts: list[Attempt], best: Attempt,
    epsilon: float, family: str,
) -> AuditFinding:  # fmt: skip
    members = int(scores.member.sum())
    return AuditFinding(settings, scores.canaries, members, hypothesis, tuple(attempts), best, epsilon, family)


def numbers_of_guesses(canaries: int, largest_share: int = LARGEST_SHARE) -> list[int]:
    """What is tried where no number is asked for. It depends on the number of canaries alone."""
    found = [canaries // (largest_share * 2**k) for k in range(HALVINGS)]
    return [each for each in found if each >= LEAST_GUESSES] or [canaries]


def _attempts(scores: Scores, settings: AuditSettings) -> Iterator[Attempt]:
    wanted, sides = [settings.guesses or 0], [settings.side]
    if settings.guesses is None:
        of_order = settings.method == ORDER
        wanted = numbers_of_guesses(scores.canaries, 1 if of_order else LARGEST_SHARE)
        sides = list(SIDES[:1] if of_order else SIDES)
    for side in sides:
        for guesses in wanted:
            yield Attempt(*scores.ranked(guesses, side), side)


def _refutes(method: str, curve: HypothesisCurve, canaries: int, attempt: Attempt, level: float) -> bool:
    counts = canaries, attempt.guesses, attempt.right
    if method == ORDER:
        return order_statistics.p_value(curve, *counts) < level
    return one_run.is_refuted(curve, *counts, level)


def _stated(
    scores: Scores, attempt: Attempt, hypothesis: Hypothesis | None, settings: AuditSettings, level: float
) -> Attempt:
    counts = scores.canaries, attempt.guesses, attempt.right
    delta = settings.delta if hypothesis is None or hypothesis.stated is None else hypothesis.stated[1]
    epsilon = one_run.epsilon_of_stated(*counts, settings.delta, level)
    if hypothesis is None:
        return replace(attempt, epsilon=epsilon)
    value = one_run.p_value_of_stated(*counts, hypothesis.upper, delta)
    return replace(attempt, p_value=value, refuted=value < level, epsilon=epsilon)


def _by_curve(
    scores: Scores, attempt: Attempt, hypothesis: Hypothesis | None, settings: AuditSettings, level: float
) -> Attempt:
    if hypothesis is None:
        return attempt
    counts = scores.canaries, attempt.guesses, attempt.right
    theorem = order_statistics if settings.method == ORDER else one_run
    refuted = _refutes(settings.method, hypothesis.curve, scores.canaries, attempt, level)
    return replace(attempt, p_value=theorem.p_value(hypothesis.curve, *counts), refuted=refuted)


def _largest_refuted(
    scores: Scores, hypothesis: Hypothesis | None, attempts: list[Attempt], settings: AuditSettings, level: float
) -> tuple[Attempt, float, str]:
    """The attempt that refutes most, the ε of what it refutes, and the family that is meant."""

    def refutes(curve: HypothesisCurve, each: Attempt) -> bool:
        return _refutes(settings.method, curve, scores.canaries, each, level)

    best, mu = attempts[0], 0.0
    for each in attempts:
        if refutes(MuCurve(mu or 1e-9), each):
            found = one_run.largest(lambda m, each=each: refutes(MuCurve(m or 1e-9), each), MOST_MU)  # type: ignore[misc]
            best, mu = (each, found) if found > mu else (best, mu)
    if hypothesis is None or hypothesis.plan is None or not _known_from_below(hypothesis):
        epsilon = gaussian_epsilon(mu, settings.delta)
        return replace(best, epsilon=epsilon), epsilon, "a Gaussian mechanism (μ-GDP)"
    # The attempt that refutes most of one family need not be that of another one, so that all are asked.
    plan, inner = hypothesis.plan, [best, *(each for each in attempts if each is not best)]

    def refuting(changed: Plan) -> Iterator[Attempt]:
        return (each for each in inner if refutes(_curve_of_plan(changed), each))

    least = None if mu == 0.0 else _least_refuted_noise(plan, settings.delta, lambda changed: any(refuting(changed)))
    if least is None:
        return replace(best, epsilon=0.0), 0.0, SAME_PLAN
    epsilon = accounting.epsilon(least, settings.delta).lower or 0.0
    return replace(next(refuting(least)), epsilon=epsilon), epsilon, SAME_PLAN


def _known_from_below(hypothesis: Hypothesis) -> bool:
    """Whether the same plan with other noise has an ε to tell: noise that can be chosen, and a theorem from below.

    There is none where data are shuffled once and noise is correlated: the claim is that of one Gaussian, for a reader
    who is told the order."""
    assert hypothesis.plan is not None and hypothesis.bound is not None
    chosen = any(setting_of(type(phase.mechanism)) is not None for phase in hypothesis.plan.phases)
    return chosen and not (hypothesis.bound.lower in (None, 0.0) and hypothesis.upper > 0.0)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The ε of μ-GDP at δ, from below."""
    if mu <= 0.0:
        return 0.0
    return accounting.epsilon(Plan.from_rate(1.0 / mu, 1.0, 1), delta).lower or 0.0


def _least_refuted_noise(plan: Plan, delta: float, refuted: Callable[[Plan], bool]) -> Plan | None:
    """The plan with it; more noise is refuted all the more. None: no noise is."""

    def is_refuted(scale: float) -> bool:
        try:
            return refuted(scaled(plan, scale))
        except (NotCertified, PlanError):
            return False  # nothing is known of so little or so much noise: nothing is claimed

    high = 1.0  # a scale that is refuted
    if is_refuted(1.0):
        low = 0.5
        while low > 1.0 / MOST_SCALE and is_refuted(low):
            low, high = low / 2.0, low
            if (accounting.epsilon(scaled(plan, high), delta).lower or 0.0) > ENOUGH:
                return scaled(plan, high)
    else:
        low, high = 1.0, 2.0
        while not is_refuted(high):
            low, high = high, high * 2.0
            if high > MOST_SCALE:
                return None
    return scaled(plan, first_true(is_refuted, low, high, relative=CLOSE).true)


@lru_cache(maxsize=128)
def _curve_of_plan(plan: Plan) -> HypothesisCurve:
    """Kept: the scores of one run are audited in several ways, and each search looks at much the same noise."""
    return curve_of(source_of_plan(plan))


def scaled(plan: Plan, scale: float) -> Plan:
    """The plan with all noise that can be chosen this many times as large, or a little larger."""
    return replace(
        plan, phases=tuple(replace(phase, mechanism=_scaled(phase.mechanism, scale)) for phase in plan.phases)
    )


def _scaled(mechanism: Mechanism, scale: float) -> Mechanism:
    setting = setting_of(type(mechanism))
    if setting is None:
        return mechanism
    if setting == "noise_multiplier":
        change: dict[str, float] = {setting: getattr(mechanism, setting) * scale}
        return replace(mechanism, **change)  # type: ignore[type-var]
    return with_noise(mechanism, noise_of(mechanism) * scale)


def _many_runs(scores: Scores, hypothesis: Hypothesis | None, settings: AuditSettings) -> AuditFinding:
    found = many_runs.bound(scores, settings.delta, settings.level, settings.threshold)
    refuted = None
    if hypothesis is not None:
        refuted = found.true_positives > many_runs.most(hypothesis.curve, found.false_positives)
    attempt = Attempt(found.guesses, found.right, "in", refuted, None, found.epsilon)
    return _finding(scores, hypothesis, settings, [attempt], attempt, found.epsilon, "any (ε, δ) mechanism")
