"""The plan: what will run, how often, and on whose behalf. One frozen object feeds both the run and the claim."""

import dataclasses
import math
import re
from collections.abc import Iterator
from fractions import Fraction

from dpplan import notebook
from dpplan.adjacency import ADD_REMOVE, GROUP_N, REPLACE_ONE, ZERO_OUT, Adjacency, conversion
from dpplan.checks import Problems, did_you_mean, is_number, reaches_one_in, show
from dpplan.errors import NotApplicable, PlanError
from dpplan.groups import GroupPath, path_problems
from dpplan.mechanism import BestOfTrials, Correlation, Gaussian, Mechanism, noise_of_run, usual_noise
from dpplan.plan_assumptions import Assumptions, of_batches, of_zeroed
from dpplan.quantities import FIND_IT, RATE_WORDS, swapped
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import near_at_most
from dpplan.sampling import CHOICES, Choice, OptionValue, Poisson, Sampling, SchemeSettings, chosen, refusal, regular
from dpplan.sampling.balls_in_bins import redrawn
from dpplan.units import UNITS, UNITS_CONVERTED, unit_problems, unit_words

# What a mechanism or a scheme can be given.
Setting = float | int | str | tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Phase:
    """`steps` releases of one mechanism, each on a freshly drawn batch.

    adjacency, privacy_unit: None, or those of the plan once more, which tells no two phases apart: none can differ.
    groups: whose phase it is, where records are split into groups (`groups.GroupPath`); empty where it is for all.
    """

    mechanism: Mechanism
    sampling: Sampling
    steps: int
    adjacency: Adjacency | None = dataclasses.field(default=None, compare=False)
    privacy_unit: str | None = dataclasses.field(default=None, compare=False)
    groups: GroupPath = ()

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.found += path_problems(self.groups)
            problems.whole("steps", self.steps, try_="One step is one noisy update (--steps).")
        object.__setattr__(self, "steps", int(self.steps))

    @property
    def settings(self) -> dict[str, Setting]:
        """Name -> value of all that the mechanism and the scheme were given."""
        return settings_of(self.mechanism) | settings_of(self.sampling)


def settings_of(part: Mechanism | Sampling) -> dict[str, Setting]:
    """Name -> value of all that a mechanism or a scheme was given, but for phases inside of it."""
    entries = dataclasses.fields(part)  # type: ignore[arg-type]
    return {each.name: getattr(part, each.name) for each in entries if each.init and "nested" not in each.metadata}


@dataclass(frozen=True, slots=True)
class Plan:
    """Phases run one after another on the same data, or each on a group of it that shares no record with another.

    derivation: for quantities that were computed rather than given, the computation in words, so that a
        printed number can carry its origin ("sample_rate" -> "256 / 60000").
    privacy_unit: example or user. Of users, max_per_user says how they are drawn: None, each as a whole, so that the
        rates are those of users and a user's sum is clipped; else example by example, at most so many of one user.
    """

    phases: tuple[Phase, ...]
    adjacency: Adjacency = ADD_REMOVE
    privacy_unit: str = "example"
    examples: int | None = None
    batch_size: float | None = None
    derivation: tuple[tuple[str, str], ...] = ()
    max_per_user: int | None = None

    def __post_init__(self) -> None:
        if not self.phases:
            raise PlanError("phases=() is empty: a plan needs at least one phase. Try Plan.from_rate(...).")
        with Problems() as problems:
            whole_data = [each for each in self.phases if not each.groups]
            drawn_from = {getattr(each.sampling, "examples", self.examples) for each in whole_data}
            sizes = sorted(int(n) for n in {self.examples, *drawn_from} if n is not None)  # some schemes hold n
            rule = f"n={' and '.join(map(str, sizes))}: the phases of a plan draw from one data set."
            problems.require(len(sizes) <= 1, rule)
            problems.found += unit_problems(self.privacy_unit, self.max_per_user, min(sizes, default=None))
            for place, phase in enumerate(self.phases):
                problems.found += self._foreign(phase, f"phases[{place}]")
                for number, each in enumerate(getattr(phase.mechanism, "inside", ())):
                    problems.found += self._foreign(each, f"phases[{place}].inside[{number}]")

    @classmethod
    def from_rate(cls, noise_multiplier: float, sample_rate: float, steps: int) -> "Plan":
        """A plan from the noise multiplier (σ), the sample rate (q) and the number of steps."""
        return Settings(noise_multiplier=noise_multiplier, sample_rate=sample_rate, steps=steps).plan()

    @classmethod
    def from_training(
        cls, noise_multiplier: float, examples: int, batch_size: float, epochs: float | None = None
    ) -> "Plan":
        """A plan from the data and the training: q = batch / n and steps = ⌈epochs × n / batch⌉."""
        run = Settings(noise_multiplier=noise_multiplier, examples=examples, batch_size=batch_size, epochs=epochs)
        return run.plan()

    def _foreign(self, phase: Phase, path: str) -> Iterator[str]:
        """What a phase, or one of a trial of a search, says of itself and the plan says otherwise."""
        units = ("privacy_unit", phase.privacy_unit, self.privacy_unit)
        for name, own, whole in (("adjacency", phase.adjacency, self.adjacency), units):
            if own not in (None, whole):
                yield (
                    f"{path}.{name}={own} is not the plan's, {whole}: guarantees for different neighbours do not add "
                    f"up. {conversion(own, self.adjacency) if isinstance(own, Adjacency) else UNITS_CONVERTED}."
                )

    @property
    def assumptions(self) -> Assumptions:
        # Each with the search that it is inside of, or itself: what a trial takes for granted, its winner does.
        around = [(each, phase) for phase in self.phases for each in getattr(phase.mechanism, "inside", (phase,))]
        unit = unit_words(self.privacy_unit, self.max_per_user)
        who = ((each.mechanism, each.sampling.assumption, each.steps) for each, _ in around)
        schemes = sorted({of_batches(*each, self.privacy_unit) for each in who})
        grouped = [each for each, phase in around if each.groups or phase.groups]
        disjoint = f", no {self.privacy_unit} in two groups" if grouped else ""
        searched = any(isinstance(each.mechanism, BestOfTrials) for each in self.phases)
        disjoint += redrawn([each.sampling for each, _ in around], searched)
        disjoint += ", of a search nothing but its winner released" if searched else ""
        if grouped and self.adjacency == REPLACE_ONE:
            disjoint += ", the n of a group public"
        if self.adjacency == REPLACE_ONE and any(not isinstance(each.mechanism, Gaussian) for each in grouped):
            disjoint += ", the mechanisms of a group as private if one leaves or enters it"
        drawn = ((each.mechanism, each.sampling != Poisson(1.0)) for each, _ in around)
        zeroed = of_zeroed(drawn) if self.adjacency == ZERO_OUT else ""
        return Assumptions(" and ".join(schemes) + disjoint, self.adjacency.name, unit, zeroed)

    @property
    def n_words(self) -> str:
        """Whether n is public, and that of its groups, and what that asks of who publishes it."""
        inside = [each for phase in self.phases for each in getattr(phase.mechanism, "inside", (phase,))]
        grouped = any(each.groups for each in (*self.phases, *inside))
        return f"{self.adjacency.n_words} {GROUP_N}" if grouped else self.adjacency.n_words

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def epochs(self) -> float:
        """Expected passes over the data, over all phases, rounded once."""
        return float(sum(phase.sampling.epochs(phase.steps) for phase in self.phases))

    @property
    def only_phase(self) -> Phase:
        """The phase of a plan that has one; asking this of a longer plan is a mistake in the caller."""
        (phase,) = self.phases
        return phase

    def origin(self, quantity: str) -> str | None:
        return dict(self.derivation).get(quantity)

    def _repr_html_(self) -> str:
        """What a notebook shows: each phase with its settings, where they come from, and what is assumed."""
        rows = []
        for place, phase in enumerate(self.phases):
            at = "" if len(self.phases) == 1 else f"phases[{place}]."
            told: dict[str, object] = {**phase.settings, "steps": phase.steps}
            rows += [(f"{at}{name}", show(value), self.origin(f"{at}{name}") or "") for name, value in told.items()]
        return notebook.table("plan", [*rows, ("assumes", self.assumptions, "")])


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user said about a run, any part of it left open. `plan()` completes it or lists all that is wrong.

    The sample rate comes from sample_rate or from batch_size / examples; the steps from steps or from epochs.
    sample_rate may be a Fraction, so that 1/79 stays exact where epochs become steps.
    sampling names the scheme, scheme_options are what it takes besides (`sampling.CHOICES`). correlation: of the noise
    from step to step; None for noise that is drawn anew for each.
    Saying one thing twice is allowed when both agree. `dataclasses.replace(settings, batch_size=b).plan()`
    is the function of one unknown that every solver searches.
    """

    noise_multiplier: float | None = None
    sample_rate: float | Fraction | None = None
    steps: int | None = None
    examples: int | None = None
    batch_size: float | None = None
    epochs: float | None = None
    sampling: str = Poisson.kind
    adjacency: Adjacency = ADD_REMOVE
    scheme_options: tuple[tuple[str, OptionValue], ...] = ()
    unit: str = "example"
    max_per_user: int | None = None
    correlation: Correlation | None = None

    def plan(self) -> Plan:
        """The plan these settings describe.

        Raises PlanError holding every missing, contradictory and out-of-range value at once.
        """
        with Problems() as problems:
            ranges_hold = self._check_ranges(problems)
            self._check_complete(problems)
            if ranges_hold:
                self._check_agreement(problems)
        if why := refusal(self.sampling):
            raise NotApplicable(why)
        rate, rate_origin = self._rate()
        steps, steps_origin = self._steps(rate)
        derivation = {"sample_rate": rate_origin, "steps": steps_origin}
        assert self.noise_multiplier is not None  # _check_complete has made sure
        scheme = self._choice.make(self._scheme_settings(rate))
        noise = noise_of_run(self.noise_multiplier, self.correlation, steps, in_every_step=not regular(scheme))
        return Plan(
            phases=(Phase(noise, scheme, steps),),
            adjacency=self.adjacency,
            privacy_unit=self.unit,
            max_per_user=self.max_per_user,
            examples=self.examples,
            batch_size=self.batch_size,
            derivation=tuple((name, text) for name, text in derivation.items() if text),
        )

    def before(self, phases: tuple[Phase, ...]) -> Plan:
        """Phases that ran before such a run, alone, for the same neighbours and the same unit."""
        return Plan(phases, self.adjacency, self.unit, max_per_user=self.max_per_user)

    @property
    def _choice(self) -> Choice:
        """The scheme that was asked for; of a name that is none, which is among the problems, Poisson sampling."""
        return CHOICES.get(self.sampling, CHOICES[Poisson.kind])

    def _scheme_settings(self, rate: float | Fraction | None) -> SchemeSettings:
        batch = None if self.batch_size is None else _exact(self.batch_size)
        options = self._choice.complete(dict(self.scheme_options))
        return SchemeSettings(None if rate is None else _exact(rate), self.examples, batch, options)

    @property
    def exact_rate(self) -> Fraction:
        """The sample rate without rounding, of settings that give one."""
        return self._rate()[0]

    def with_(
        self, **changes: float | Fraction | str | Adjacency | tuple[tuple[str, OptionValue], ...] | None
    ) -> "Settings":
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    @property
    def _open_rate(self) -> bool:
        """Whether nothing says how much of the data a step draws."""
        by_batch = self.batch_size is not None and self.examples is not None
        return self.sample_rate is None and not by_batch and self._choice.only_rate is None

    def _check_ranges(self, problems: Problems) -> bool:
        if self.noise_multiplier is not None:
            problems.positive(
                "sigma",
                self.noise_multiplier,
                try_=usual_noise(self.noise_multiplier),
            )
        if self.unit not in UNITS:
            problems.add(f"unit={self.unit} is not one of: {', '.join(UNITS)}.{did_you_mean(self.unit, UNITS)}")
        problems.found += unit_problems(self.unit, self.max_per_user, self.examples)
        before = len(problems.found)  # the rest can contradict each other whatever the noise is
        if self.sample_rate is not None:
            remedy = swapped(self.noise_multiplier, self.sample_rate)
            problems.probability("q", self.sample_rate, try_=remedy or RATE_WORDS)
        if self.steps is not None:
            problems.whole("steps", self.steps, try_="One step is one noisy update.")
        if self.examples is not None:
            problems.whole("n", self.examples, try_="It is the number of examples the run may draw from.")
        if self.batch_size is not None:
            problems.positive("batch", self.batch_size, try_="It is the expected number of examples per step.")
        if self.epochs is not None:
            problems.positive("epochs", self.epochs, try_="It is the expected number of passes over the data.")
        try:
            options = dict(self.scheme_options)
            choice = chosen(Poisson.kind if refusal(self.sampling) else self.sampling)
            problems.found += [*choice.foreign(options, CHOICES), *choice.own_problems(options)]
        except PlanError as error:
            problems.found += error.problems
        return len(problems.found) == before

    def _check_complete(self, problems: Problems) -> None:
        if self._choice.needs_examples and self.examples is None:
            problems.add(f"n is missing: {self._choice.needs_examples}. Give --n.")
        if self.noise_multiplier is None:
            problems.add(f"sigma is missing: give --sigma{FIND_IT}.")
        if self._open_rate:
            given = [name for name, value in (("n", self.examples), ("batch", self.batch_size)) if value]
            have = f" ({given[0]} alone does not give it)" if given else ""
            problems.add(f"the sample rate is missing{have}: give --q, or both --n and --batch.")
        if self.steps is None and self.epochs is None:
            problems.add("the length of the run is missing: give --steps or --epochs.")

    def _check_agreement(self, problems: Problems) -> None:
        n, batch = self.examples, self.batch_size
        if n is not None and batch is not None:
            ratio = _exact(batch) / n
            if ratio > 1:
                problems.add(
                    f"batch={show(batch)} exceeds n={show(n)}: the sample rate would be {float(ratio):.4g}. "
                    "Lower --batch or check --n."
                )
            elif found := self._choice.problems(self._scheme_settings(self.sample_rate)):
                problems.found += found
            elif self.sample_rate is not None and not math.isclose(self._rate()[0], self.sample_rate, rel_tol=1e-9):
                rate, words = self._rate()
                formula = re.sub("[{}]", "", self._choice.rate_words)
                problems.add(
                    f"q={show(self.sample_rate)} contradicts {formula} = {words} = {float(rate):.6g}. "
                    "Leave out one of --q, --batch, --n."
                )
        else:
            problems.found += self._choice.problems(self._scheme_settings(self.sample_rate))
        if self.steps is not None and self.epochs is not None and not self._open_rate:
            rate, _ = self._rate()
            steps, _ = self._of_epochs(rate)
            if steps != self.steps:
                problems.add(
                    f"steps={show(self.steps)} contradicts epochs={show(self.epochs)}, which is {steps} steps "
                    f"at this sample rate. Leave out --steps or --epochs."
                )

    def _rate(self) -> tuple[Fraction, str | None]:
        """The sample rate as an exact fraction, and where it comes from when it was computed."""
        choice, given = self._choice, self._scheme_settings(None)
        if given.share is not None:
            words = choice.rate_words.format(batch=show(self.batch_size), n=show(self.examples), **given.options)
            return choice.rate(given.share, given.options), words
        if self.sample_rate is None:
            return Fraction(1), "every example in every batch"
        origin = show(self.sample_rate) if isinstance(self.sample_rate, Fraction) else None
        return _exact(self.sample_rate), origin

    def _steps(self, rate: Fraction) -> tuple[int, str | None]:
        return (int(self.steps), None) if self.steps is not None else self._of_epochs(rate)

    def _of_epochs(self, rate: Fraction) -> tuple[int, str]:
        """The steps of so many epochs, and how they were computed."""
        assert self.epochs is not None
        choice, given = self._choice, self._scheme_settings(rate)
        steps, epochs = choice.steps(_exact(self.epochs), rate, given.options), show(self.epochs)
        if choice.steps_words:
            words = choice.steps_words.format(epochs=epochs, per_epoch=show(1 / rate), **given.options)
        elif given.share is not None:
            words = f"⌈{epochs} epochs × {show(self.examples)} / {show(self.batch_size)}⌉"
        elif self.sample_rate is None:
            words = f"⌈{epochs} epochs⌉"
        else:
            q = f"({self.sample_rate})" if isinstance(self.sample_rate, Fraction) else show(self.sample_rate)
            words = f"⌈{epochs} epochs / {q}⌉"
        return steps, words


def _exact(value: float | Fraction) -> Fraction:
    """The number as it was written. Through its shortest decimal, so that 0.1 is a tenth and
    ⌈epochs × n / batch⌉ is never one short because of binary rounding."""
    if isinstance(value, Fraction):
        return value
    return Fraction(int(value)) if float(value).is_integer() else Fraction(repr(float(value)))


@dataclass(frozen=True, slots=True)
class Delta:
    """A failure probability with its reason, when it was derived instead of given."""

    value: float
    reason: str | None = None


def resolve_delta(delta: float | None, examples: int | None) -> Delta:
    """The delta that was given, or the largest power of ten that is at most 1 / (10 n).

    Publishing one record at random is (0, 1/n)-private, so delta must lie well below 1/n to mean anything;
    a factor of ten below is a common floor. Raises PlanError when neither delta nor n is known.
    """
    if delta is not None:
        with Problems() as problems:
            problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
        return Delta(float(delta))
    if examples is None:
        raise PlanError("delta is missing: give --delta, or --n (a plan file: n) to have it derived as 1 / (10 n).")
    with Problems() as problems:
        problems.whole("n", examples, try_="It is the number of examples the run may draw from.")
    exponent = math.ceil(math.log10(10 * examples) - 1e-12)
    return Delta(float(f"1e-{exponent}"), f"largest power of ten ≤ 1 / (10 × {examples})")


def delta_warning(delta: float, examples: int | None) -> str | None:
    """A sentence when delta is too large for the data, else None."""
    if examples is None or not is_number(delta) or not reaches_one_in(delta, examples):
        return None
    safer, limit = resolve_delta(None, examples).value, near_at_most(min(1 / examples, delta), delta)
    return (
        f"delta={show(delta)} is not below 1/n = {limit}: it would allow publishing whole records. Try --delta "
        f"{safer:g}."
    )
