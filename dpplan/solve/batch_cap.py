"""The smallest cap on Poisson batches that costs little: memory against ε."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.binomial import binomial_tails
from dpplan.accounting.numerics.bisection import first_true_whole
from dpplan.checks import Problems
from dpplan.errors import NotCertified
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import TruncatedPoisson

USUAL_COST = 0.01


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap, and what it costs. below: what one less would spend, None where that is no more than the mean batch.

    cost: by how much `spent` is above `uncut`, both from above, relative. chance_cut: of one batch, from above.
    """

    value: int
    plan: Plan
    delta: float
    spent: Bound
    uncut: Bound
    below: Bound | None
    chance_cut: float
    mean_batch: float

    @property
    def cost(self) -> float:
        return _cost(self.spent, self.uncut)

    @property
    def cut_batches(self) -> float:
        """How many of the run's own batches are cut, on average."""
        return self.chance_cut * self.plan.phases[-1].steps


def cap(settings: Settings, delta: float, most_cost: float = USUAL_COST, earlier: Sequence[Phase] = ()) -> Cap:
    """The smallest cap above the mean batch at which ε, from above, is at most 1 + `most_cost` times what it is without
    a cap; one less costs more. earlier: phases that ran before, and are part of both figures.

    ε does not fall with the cap over its whole range (far below the mean batch they are cheap again, and train less),
    so that only caps from the mean batch up are looked at. Raises PlanError for settings that are not complete.
    """
    with Problems() as problems:
        problems.positive("cap_cost", most_cost, try_="It is a share of ε: 0.01 for one per cent.")
        named = settings.sampling in ("poisson", TruncatedPoisson.kind)
        problems.require(named, f"sampling={settings.sampling} has no cap. Try --sampling truncated-poisson.")
        given = dict(settings.scheme_options).get("cap")
        problems.require(given is None, f"cap={given} is given, so cap is not open. Leave it out.")
    whole = settings.with_(sampling=TruncatedPoisson.kind)
    examples = int(whole.examples or 1)
    uncut_plan = _capped(whole, examples, earlier)
    mean = _scheme(uncut_plan).sample_rate * examples
    uncut = accounting.epsilon(uncut_plan, delta)
    seen: dict[int, Bound] = {examples: uncut}

    def passes(value: int) -> bool:
        if value not in seen:
            seen[value] = accounting.epsilon(_capped(whole, value, earlier), delta)
        return _cost(seen[value], uncut) <= most_cost

    first = max(math.ceil(mean), 1)
    low, high = first - 1, examples  # neither is asked: no cap so low is wanted, and one of n cuts nothing
    step = math.ceil(math.sqrt(mean)) + 1
    while (at := first + step) < high and not passes(at):
        low, step = at, 2 * step
    high = min(high, at)
    high = first_true_whole(passes, low, high)
    q = _scheme(uncut_plan).sample_rate
    chance = float(high < examples)
    if q < 1.0:
        chance = outward.up(math.exp(binomial_tails(high + 1, examples, q).log_from), outward.MANY)
    return Cap(
        high, _capped(whole, high, earlier), delta, seen[high], uncut, seen.get(high - 1), min(chance, 1.0), mean
    )


def _capped(settings: Settings, value: int, earlier: Sequence[Phase]) -> Plan:
    plan = settings.with_(scheme_options=(*settings.scheme_options, ("cap", value))).plan()
    return replace(plan, phases=(*earlier, *plan.phases), derivation=() if earlier else plan.derivation)


def _scheme(plan: Plan) -> TruncatedPoisson:
    scheme = plan.phases[-1].sampling
    assert isinstance(scheme, TruncatedPoisson)  # `_capped` has made it
    return scheme


def _cost(spent: Bound, uncut: Bound) -> float:
    if spent.upper is None or uncut.lower is None or uncut.upper is None:
        raise NotCertified("cap: no upper bound of ε could be proven for this plan.")
    return spent.upper / uncut.upper - 1.0 if uncut.upper > 0.0 else math.inf if spent.upper > 0.0 else 0.0
