"""One run under every sampling scheme and every neighbour relation: what may be claimed, and the noise it takes."""

import dataclasses
import math

from dpplan import accounting, notebook
from dpplan.accounting.bound import Bound, cells
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, REPLACE_ONE, Adjacency
from dpplan.checks import Problems, show
from dpplan.errors import NotCertified, PlanError
from dpplan.loader_run import carried_over, settings_at_rate
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, Settings
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import CHOICES, LOADERS, Poisson, Shuffle
from dpplan.solve import candidate_values
from dpplan.solve.search import Evaluator, search

DIGITS = 4  # of the noise that would be needed


@dataclass(frozen=True, slots=True)
class SamplerRow:
    """One scheme under one relation. bound: what the run costs, None where that is refused, and `refusal` says why.

    noise_needed: the least noise multiplier at which, from above, it costs no more than the usual figure says: less
    than the run's own where the scheme is cheaper.
    """

    sampling: str
    adjacency: Adjacency
    plan: Plan | None
    bound: Bound | None
    refusal: str = ""
    noise_needed: float | None = None


@dataclass(frozen=True, slots=True)
class SamplerComparison:
    """usual: the figure for Poisson sampling under add/remove, which is what most software prints. rows: every scheme
    under every relation. left_out: schemes that need an option that was not given, with what they need."""

    settings: Settings
    delta: float
    usual: Bound
    rows: tuple[SamplerRow, ...]
    left_out: tuple[str, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: every scheme under every relation, and why one has no figure."""
        rows: list[notebook.Row] = [("Poisson and add/remove, as most print", "", *cells(self.usual))]
        rows += [(row.sampling, row.adjacency.short, *cells(row.bound, row.refusal)) for row in self.rows]
        rows += [("left out", "", "-", each) for each in self.left_out]
        return notebook.table(f"Samplers at δ = {show(self.delta)}", rows, ("sampling", "neighbours", "", "guarantee"))

    def ratio(self, row: SamplerRow) -> float | None:
        """What may be claimed, from above, over the usual figure."""
        if row.bound is None or row.bound.upper is None or not self.usual.value:
            return None
        return row.bound.upper / self.usual.value


def samplers(settings: Settings, delta: float, noise: bool = True, loader: str = "") -> SamplerComparison:
    """settings: σ, n, batch or sample rate, and length; of scheme_options each scheme takes its own. noise: whether to
    solve for it.

    loader: whose rows, those of the scheme it draws by, are of the steps and the rate that it takes, and of the ends
    that are proven of it. "" for none.

    Raises PlanError where the run is not complete.
    """
    with Problems() as problems:
        same = "every scheme is asked for the same batches"
        problems.require(settings.examples is not None, f"n is missing: {same}. Give --n.")
        said = settings.batch_size is not None or settings.sample_rate is not None
        problems.require(said, f"batch is missing: {same}. Give --batch, or --q.")
    alone = settings.with_(sampling=Poisson.kind, adjacency=ADD_REMOVE, scheme_options=())
    usual = accounting.epsilon(alone.plan(), delta)
    of = LOADERS[loader].scheme if loader in LOADERS else None
    rows, left_out = list[SamplerRow](), list[str]()
    for name, choice in CHOICES.items():
        own = {option.name for option in choice.options}
        options = tuple((key, value) for key, value in settings.scheme_options if key in own)
        drawn = settings.with_(sampling=name, scheme_options=options)
        drawn = drawn.with_(batch_size=settings.examples, sample_rate=None) if choice.only_rate == 1 else drawn
        drawn = settings_at_rate(drawn, loader) if name == of else drawn
        try:
            drawn.plan()
        except PlanError as error:
            left_out.append(f"{name}: {' '.join(error.problems)}")
            continue
        found = [_row(drawn.with_(adjacency=each), usual, delta, noise) for each in ADJACENCIES.values()]
        rows += (_of_loader(row, settings, loader) for row in found) if name == of else found
    return SamplerComparison(alone, delta, usual, tuple(rows), tuple(left_out))


def _row(settings: Settings, usual: Bound, delta: float, noise: bool) -> SamplerRow:
    plan = settings.plan()
    try:
        bound = accounting.epsilon(plan, delta)
    except NotCertified as refusal:
        return SamplerRow(settings.sampling, settings.adjacency, plan, None, _reason(str(refusal)))
    needed = settings.noise_multiplier
    if noise and bound.upper is not None and usual.upper is not None and bound.upper != usual.upper:
        needed = _noise(settings, bound.upper, usual.upper, delta)
    return SamplerRow(settings.sampling, settings.adjacency, plan, bound, noise_needed=needed if noise else None)


def _of_loader(row: SamplerRow, settings: Settings, loader: str) -> SamplerRow:
    """The row with the ends that are proven of this loader."""
    return row if row.bound is None else dataclasses.replace(row, bound=carried_over(row.bound, settings, loader))


def _reason(refusal: str) -> str:
    """Without who refused."""
    return refusal.rpartition("not known under ")[2].partition(": ")[2] or refusal


def _noise(settings: Settings, spends: float, target: float, delta: float) -> float | None:
    """The least noise multiplier of DIGITS digits at which the plan spends no more than `target`, from above; its own,
    which may have more digits, where that is less. spends: what it spends with its own."""
    own = float(settings.noise_multiplier or 1.0)
    candidates = candidate_values.noise(settings.with_(noise_multiplier=None), DIGITS)
    evaluator = Evaluator(candidates, lambda at: accounting.epsilon(_as_dear(candidates.plan(at)), delta), target)
    begin = candidates.below(-math.log(own) - math.log(spends / target) / candidates.slope) if spends else 0
    found = search(evaluator.gap, candidates, begin, candidates.slope)
    if found.low < candidates.first:
        return None
    needed = float(candidates.value(found.low))
    return min(needed, own) if spends <= target else needed


def _as_dear(plan: Plan) -> Plan:
    """A plan with the same upper end. That of shuffled batches is that of full batches, one for each epoch."""
    phase = plan.only_phase
    if not isinstance(phase.sampling, Shuffle):
        return plan
    sigma = Gaussian.of(phase.mechanism).noise_multiplier / (2.0 if plan.adjacency == REPLACE_ONE else 1.0)
    return Plan.from_rate(sigma, 1.0, math.ceil(phase.steps / phase.sampling.steps_per_epoch))
