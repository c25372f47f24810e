"""What a curve runs along: from where to where, in how many points, and where they lie."""

import dataclasses
import math
from typing import Any, NamedTuple

from dpplan.checks import Problems, did_you_mean, show
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.curve import QUANTITIES
from dpplan.errors import PlanError
from dpplan.plan import Plan, Settings
from dpplan.quantities import by_word
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import Poisson

PROFILES = ("delta", "eps")
OVER = (*PROFILES, *QUANTITIES)
IN_PHASES = (*PROFILES, "steps")  # what can be varied where there are several phases
WHOLE = ("steps", "batch")
FEWEST, MOST = 2, 2000
DIGITS = 6  # of a value between the ends: it is used as it is shown
SPREAD = {"sigma": 2.0, "batch": 8.0, "q": 8.0}  # without --from and --to: from a part of the plan's own to a multiple
ALONE = {"delta": (1e-12, 1e-2), "sigma": (0.5, 8.0), "q": (1e-4, 0.1)}


class AxisRange(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Axis:
    """over: one of OVER. start, end: as typed, or None. log: None where the quantity decides."""

    over: str
    start: Any
    end: Any
    points: Any
    log: bool | None

    @property
    def logarithmic(self) -> bool:
        return self.log if self.log is not None else self.over in ("delta", "sigma", "batch", "q")

    def problems(self, arguments: PlanArguments) -> list[str]:
        """Everything wrong with the axis by itself, and with varying this quantity of this run."""
        problems = Problems()
        meant = did_you_mean(self.over, OVER)
        if not problems.require(self.over in OVER, f"over={self.over} is not one of: {', '.join(OVER)}.{meant}"):
            return problems.found
        if arguments.in_phases:
            problems.require(
                self.over in IN_PHASES,
                f"over={self.over} varies a single phase, and this plan is given in phases. "
                f"Say --over {', '.join(IN_PHASES[:-1])} or {IN_PHASES[-1]}.",
            )
        elif self.over in ("steps", "epochs") and self.end is None and not _is_given(arguments.settings, self.over):
            problems.add(f"the end of the curve is missing: give --to, or --{self.over}.")
        elif self.over == "q" and arguments.settings.sampling != Poisson.kind:
            problems.add(
                f"over=q varies a Poisson rate, and the sampling is {arguments.settings.sampling}. Try --over batch."
            )
        elif self.over == "batch" and arguments.settings.examples is None:
            problems.add("n is missing: a batch has a sample rate only with it. Give --n.")
        good = [self._in_range(problems, name, value) for name, value in (("from", self.start), ("to", self.end))]
        if all(good) and self.start is not None and self.end is not None:
            rule = f"from={show(self.start)} is not below to={show(self.end)}. Give the smaller one as --from."
            problems.require(self.start < self.end, rule)
        if problems.whole("points", self.points, FEWEST, try_="It is the number of places on the curve."):
            problems.require(self.points <= MOST, f"points={show(self.points)} is more than {MOST}. Try --points 200.")
        return problems.found

    def completed(self, arguments: PlanArguments) -> PlanArguments:
        """The same with a stand-in for the quantity that is varied, where there is none."""
        if self.over not in QUANTITIES or arguments.in_phases or _is_given(arguments.settings, self.over):
            return arguments
        unknown = (
            "q" if self.over == "batch" and arguments.settings.examples is None else self.over
        )  # n is told as missing
        stand_in = by_word(unknown)
        return dataclasses.replace(arguments, settings=arguments.settings.with_(**{stand_in.name: stand_in.stand_in}))

    def values(self, reach: AxisRange) -> list[float]:
        """The points, rising. reach: where the curve begins and ends when nothing was arguments.

        Raises PlanError when the one end that was given lies beyond the other.
        """
        low = float(f"{reach.low:.{DIGITS}g}" if self.start is None else self.start)
        high = float(reach.high if self.end is None else self.end)
        if low >= high:
            known, missing = (f"to={show(high)}", "--from") if self.start is None else (f"from={show(low)}", "--to")
            other = show(low if self.start is None else high)
            raise PlanError(f"{known} lies beyond the other end, {other} when nothing is said. Give {missing} as well.")
        inner = [self._between(low, high, i / (self.points - 1)) for i in range(1, int(self.points) - 1)]
        values = [low, *(float(f"{value:.{DIGITS}g}") for value in inner), high]
        return sorted({float(round(value)) for value in values} if self.over in WHOLE else set(values))

    def reach(self, plan: Plan, settings: Settings) -> AxisRange:
        """Where a curve goes when nothing is arguments, for every quantity but eps."""
        if self.over in ("steps", "epochs"):
            whole = plan.steps if settings.epochs is None or self.over == "steps" else settings.epochs
            if self.end is not None:
                whole = self.end
            return AxisRange(min(1.0, whole) if self.logarithmic else whole / self.points, whole)
        if self.over in ALONE and not _is_given(settings, self.over):
            return AxisRange(*ALONE[self.over])
        if self.over == "batch":
            n = float(settings.examples or 1)
            batch = plan.only_phase.sampling.expected_batch(int(n)) if _is_given(settings, "batch") else 0.01 * n
            return AxisRange(max(1.0, batch / SPREAD["batch"]), min(n, max(2.0, batch * SPREAD["batch"])))
        given, spread = plan.only_phase.settings, SPREAD[self.over]
        name, most = ("noise_multiplier", math.inf) if self.over == "sigma" else ("sample_rate", 1.0)
        said = given[name]
        own = float(said) if isinstance(said, int | float) else 0.0
        return AxisRange(own / spread, min(own * spread, most))

    def _in_range(self, problems: Problems, name: str, value: Any) -> bool:
        if value is None:
            return True
        before = len(problems.found)
        if self.over == "delta":
            problems.probability(name, value, closed_right=False, try_="It is a δ.")
        elif self.over == "eps":
            problems.at_least(name, value, 0, try_="It is an ε.")
        elif self.over == "q":
            problems.probability(name, value, try_="It is a sample rate.")
        elif self.over in WHOLE:
            problems.whole(name, value, try_=f"It is a number of {'steps' if self.over == 'steps' else 'examples'}.")
        else:
            problems.positive(name, value, try_=f"It is a value of {self.over}.")
        if self.log and self.over == "eps" and value == 0:
            problems.add(f"{name}=0 has no place on a logarithmic axis. Start above 0, or leave out --log.")
        return len(problems.found) == before

    def _between(self, low: float, high: float, share: float) -> float:
        if self.logarithmic and low > 0.0:
            return math.exp((1.0 - share) * math.log(low) + share * math.log(high))
        return (1.0 - share) * low + share * high


def _is_given(settings: Settings, over: str) -> bool:
    """Whether the settings say what this quantity is, themselves or through others."""
    known = {name: getattr(settings, name) is not None for name in ("noise_multiplier", "sample_rate", "steps")}
    if over in ("steps", "epochs"):
        return known["steps"] or settings.epochs is not None
    rate = known["sample_rate"] or (settings.batch_size is not None and settings.examples is not None)
    return {"sigma": known["noise_multiplier"], "q": rate, "batch": rate}[over] if over in QUANTITIES else False
