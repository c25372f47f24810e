"""A search over settings as one release: a block that is run a random number of times, of which the best is released.

The number of trials K is drawn without a look at the data, each trial is the same random function of the data (which
draws its own settings, if it has any), and of all of them the one with the best score is released, the score being
public or part of what a trial releases. Not K, not the losers, not how long they took; 'none' where K = 0.
"""

from dataclasses import field
from typing import Any, ClassVar

from dpplan.checks import Problems
from dpplan.quick_dataclass import dataclass

LAWS = ("poisson", "geometric", "negative-binomial", "logarithmic", "binomial")
ETAS = {"geometric": 1.0, "logarithmic": 0.0}
MOST_TRIALS = 10**6
ETA, CHANCE = 0.5, 0.5
LEAST_ETA, MOST_ETA = 1e-6, 1e6  # beyond, the law loses digits, or cannot be told from another
PUBLIC, RELEASED = "public", "released"
SCORES = (PUBLIC, RELEASED)


@dataclass(frozen=True, slots=True)
class Trials:
    """How many trials are made: a law of LAWS with this mean. eta: of a negative binomial law that is truncated at 1.
    chance: of a binomial law, that a trial is made."""

    law: str
    mean: float
    eta: float = ETA
    chance: float = CHANCE

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.require(self.law in LAWS, f"law={self.law} is not one of: {', '.join(LAWS)}.")
            least = self.least
            if problems.positive("mean", self.mean, try_="It is the expected number of trials."):
                problems.require(self.mean > least, f"mean={self.mean:g} is not above {least:g}, the fewest trials.")
                problems.require(self.mean <= MOST_TRIALS, f"mean={self.mean:g} is more than {MOST_TRIALS}.")
            problems.require(self.eta > -1.0, f"eta={self.eta:g} is not above -1.")
            near = f"eta={self.eta:g} is closer to 0 than {LEAST_ETA:g}. Use law logarithmic, which is eta = 0."
            problems.require(self.eta == 0.0 or not abs(self.eta) < LEAST_ETA, near)
            problems.require(not self.eta > MOST_ETA, f"eta={self.eta:g} is more than {MOST_ETA:g}.")
            problems.probability("chance", self.chance, closed_right=False, try_="It is the chance of each trial.")

    @property
    def least(self) -> float:
        """The fewest trials, which the mean is above."""
        return 0.0 if self.law in ("poisson", "binomial") else 1.0

    @property
    def shape(self) -> float:
        """η of a law that is truncated at 1."""
        return ETAS.get(self.law, self.eta)


@dataclass(frozen=True, slots=True)
class BestOfTrials:
    """The best of a random number of trials, and nothing else.

    law, mean, eta, chance: of `Trials`; eta and chance None where the law has none. score: whether what decides is
    public, or released by each trial among its phases. phases: of one trial (`plan.Phase`). others: of the other kinds
    of trial, where there are some: each trial draws its kind, all with the same chance, and puts out which it was.
    """

    law: str
    mean: float
    phases: tuple[Any, ...] = field(metadata={"nested": True})
    score: str = PUBLIC
    eta: float | None = None
    chance: float | None = None
    others: tuple[tuple[Any, ...], ...] = field(default=(), metadata={"nested": True})

    kind: ClassVar[str] = "best-of-trials"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.require(all(self.kinds), "phases=() is empty: a trial is a phase at least.")
            nested = any(isinstance(each.mechanism, BestOfTrials) for each in self.inside)
            problems.require(not nested, "phases: a search within a search is not known here. Make it one search.")
            problems.require(self.score in SCORES, f"score={self.score} is not one of: {', '.join(SCORES)}.")
            for name, value, law in (("eta", self.eta, "negative-binomial"), ("chance", self.chance, "binomial")):
                problems.require(value is None or self.law == law, f"{name} is of {law}, and law={self.law}.")
        object.__setattr__(self, "mean", float(self.trials.mean))
        object.__setattr__(self, "phases", tuple(self.phases))
        object.__setattr__(self, "others", tuple(map(tuple, self.others)))

    @classmethod
    def of(
        cls, trials: Trials, phases: tuple[Any, ...], score: str = PUBLIC, others: tuple[tuple[Any, ...], ...] = ()
    ) -> "BestOfTrials":
        """So many trials of these phases, or of one of these kinds."""
        eta = trials.eta if trials.law == "negative-binomial" else None
        chance = trials.chance if trials.law == "binomial" else None
        return cls(trials.law, trials.mean, phases, score, eta, chance, others)

    @property
    def kinds(self) -> tuple[tuple[Any, ...], ...]:
        """The phases of each kind of trial."""
        return self.phases, *self.others

    @property
    def inside(self) -> tuple[Any, ...]:
        """Of every kind of trial."""
        return tuple(phase for kind in self.kinds for phase in kind)

    @property
    def trials(self) -> Trials:
        """The law of their number."""
        return Trials(
            self.law,
            self.mean,
            ETA if self.eta is None else self.eta,
            CHANCE if self.chance is None else self.chance,
        )

    @property
    def words(self) -> str:
        """The number of trials, as people read it."""
        extra = {"negative-binomial": f", η {self.trials.eta:g}", "binomial": f", chance {self.trials.chance:g}"}
        return f"{self.law}, mean {self.mean:g}{extra.get(self.law, '')}"
