"""A search over settings that publishes its winner: what it costs, by whichever law the number of trials is drawn.

By the profile of one trial and by its Rényi divergences (accounting.best_of_trials), beside what one trial costs, and
what m trials cost that are all released.
"""

import math
from dataclasses import replace

from dpplan import accounting, notebook
from dpplan.accounting import rdp
from dpplan.accounting.best_of_trials import cost_of_choosing, most
from dpplan.accounting.bound import Bound, Guarantee, cells
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.numerics import outward
from dpplan.checks import show
from dpplan.errors import NotApplicable, NotCertified
from dpplan.mechanism import BestOfTrials
from dpplan.mechanism.trials import Trials
from dpplan.phase_steps import times
from dpplan.plan import Phase, Plan
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import Poisson


@dataclass(frozen=True, slots=True)
class TuningRow:
    """One law of the number of trials. profile, renyi: what the search costs by each form; None with why not."""

    trials: Trials
    profile: Bound | None
    renyi: Bound | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class TuningComparison:
    """single: one trial. together: as many trials as are expected, all released."""

    plan: Plan
    delta: float
    mean: float
    single: Bound
    together: Bound | None
    rows: tuple[TuningRow, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: each law of the number of trials by both forms, beside one trial and all released."""
        rows: list[notebook.Row] = [("one trial", cells(self.single)[0], "", "")]
        rows += [(row.trials.law, cells(row.profile)[0], cells(row.renyi)[0], row.refusal) for row in self.rows]
        rows.append((f"a grid of {math.ceil(self.mean)}, all released", cells(self.together)[0], "", ""))
        title = f"A search of {self.mean:g} trials on average: {self.plan.assumptions}, at δ = {show(self.delta)}"
        return notebook.table(title, rows, ("trials", "by profile", "by Rényi", ""))


def tuning(plan: Plan, delta: float, laws: tuple[Trials, ...]) -> TuningComparison:
    """plan: of one trial. laws: all of one mean."""
    single, mean = accounting.epsilon(plan, delta), laws[0].mean
    whole = math.ceil(mean)
    try:
        together = accounting.epsilon(replace(plan, phases=times(plan.phases, whole), derivation=()), delta)
    except NotCertified:
        together = None
    source = _Source(plan)
    rows = []
    for trials in laws:
        rows.append(_row(source, trials, delta))
    return TuningComparison(plan, delta, mean, single, together, tuple(rows))


def _row(source: "_Source", trials: Trials, delta: float) -> TuningRow:
    profile, renyi, refusals = None, None, []
    for name, ask in (("profile", by_profile), ("Rényi", by_renyi)):
        try:
            found = ask(source, trials, delta)
        except NotCertified as refusal:
            refusals.append(f"{name}: {refusal}")
        else:
            profile, renyi = (found, renyi) if name == "profile" else (profile, found)
    return TuningRow(trials, profile, renyi, "; ".join(refusals))


class _Source:
    """One trial, and what is certified of it; each δ is asked for once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._profile: Profile | None = None

    def delta(self, epsilon: float) -> float:
        """The larger of both orders, from above."""
        if self._profile is None:
            self._profile = Profile.of(self.plan)
        return max(self._profile.remove(epsilon)[1], self._profile.add(epsilon)[1])

    def epsilon(self, delta: float) -> float:
        found = accounting.epsilon(self.plan, delta).upper
        if found is None:
            raise NotCertified("no upper bound is proven of one trial.")
        return found


def source(plan: Plan) -> _Source:
    """Of one trial, for `by_profile` and `by_renyi`."""
    return _Source(plan)


def by_profile(source: _Source, trials: Trials, delta: float) -> Bound:
    """ε of the search at δ, by the profile form. Guarantee: UPPER."""
    share = outward.down(delta / most(trials), outward.FEW)
    if not 0.0 < share < 1.0:
        raise NotApplicable(f"{delta:g} / {most(trials):g} is no δ at which a trial can be asked.")
    base = source.epsilon(share)
    choosing, place = cost_of_choosing(trials, source.delta, base)
    upper = outward.up(base + choosing, outward.FEW)
    details = {"trial_epsilon": base, "trial_delta": share, "e": place}
    why = "the profile of one trial at δ / E[K], and a factor for choosing the best (Koskela, Redberg, Wang 2024)"
    return Bound("epsilon", None, upper, Guarantee.UPPER, "exact", source.plan.assumptions, why, details=details)


def by_renyi(source: _Source, trials: Trials, delta: float) -> Bound:
    """The same by Rényi divergences. Guarantee: UPPER. Raises NotApplicable for laws that no theorem of it covers."""
    search = BestOfTrials.of(trials, source.plan.phases)
    plan = replace(source.plan, phases=(Phase(search, Poisson(1.0), 1),), derivation=(), batch_size=None)
    found = rdp.epsilon(plan, delta)
    why = f"Rényi order {found.details['order']:.6g} of the search (Papernot, Steinke 2022)"
    return replace(found, why=why, assumptions=source.plan.assumptions)
