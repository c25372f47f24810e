"""The discrete Gaussian: noise on whole numbers that are released as whole numbers."""

from typing import ClassVar

from dpplan.checks import Problems, is_number, show
from dpplan.quick_dataclass import dataclass

LEAST_SCALE, MOST_SCALE = 0.05, 200.0  # a law has 74 times as many outcomes
MOST_DIFFERENCE, MOST_NUMBERS = 1000, 10_000


@dataclass(frozen=True, slots=True)
class DiscreteGaussian:
    """Noise k with probability proportional to e^(-k²/(2σ²)), independent on each of several whole numbers.

    noise_scale: σ, in the units of the numbers. One of these says what a record can do to them:
    sensitivity: how far it moves the one number that is released, whole. differences: how far at most it moves each of
    several. l2_sensitivity: how far it moves several together, by their Euclidean length, and no more is known.
    """

    noise_scale: float
    sensitivity: int = 1
    differences: tuple[int, ...] = ()
    l2_sensitivity: float | None = None

    kind: ClassVar[str] = "discrete-gaussian"

    def __post_init__(self) -> None:
        with Problems() as problems:
            if problems.positive("noise_scale", self.noise_scale, try_="It is σ in e^(-k²/(2σ²))."):
                rule = f"noise_scale={show(self.noise_scale)} is not between {LEAST_SCALE} and {MOST_SCALE:g}."
                state = "State rho = sensitivity²/(2σ²) (kind: zcdp)."
                problems.require(LEAST_SCALE <= self.noise_scale <= MOST_SCALE, f"{rule} {state}")
            if problems.whole("sensitivity", self.sensitivity, try_="It is how far one record moves the number."):
                rule = f"sensitivity={show(self.sensitivity)} is more than {MOST_DIFFERENCE}. Count in larger units."
                problems.require(self.sensitivity <= MOST_DIFFERENCE, rule)
            self._check_several(problems)
        object.__setattr__(self, "noise_scale", float(self.noise_scale))
        object.__setattr__(self, "sensitivity", int(self.sensitivity))
        object.__setattr__(self, "differences", tuple(int(each) for each in self.differences))
        if self.l2_sensitivity is not None:
            object.__setattr__(self, "l2_sensitivity", float(self.l2_sensitivity))

    def _check_several(self, problems: Problems) -> None:
        if self.l2_sensitivity is not None:
            problems.positive("l2_sensitivity", self.l2_sensitivity, try_="It is the length of what a record moves.")
        if not isinstance(self.differences, list | tuple):
            problems.add(f"differences={show(self.differences)} is not a list. Write differences: [2, 1, 1].")
            return
        many = f"differences has {len(self.differences)} numbers, more than {MOST_NUMBERS}."
        problems.require(len(self.differences) <= MOST_NUMBERS, many)
        for each in self.differences:
            whole = is_number(each) and 0 <= each <= MOST_DIFFERENCE and each == int(each)
            problems.require(whole, f"differences: {show(each)} is not a whole number from 0 to {MOST_DIFFERENCE}.")
        if len(self.differences) > 0 and not any(self.differences):
            problems.add("differences are all 0: such a release depends on nobody. It is public.")
        said = [
            name
            for name, given in (
                ("sensitivity", self.sensitivity != 1),
                ("differences", len(self.differences) > 0),
                ("l2_sensitivity", self.l2_sensitivity is not None),
            )
            if given
        ]
        problems.require(len(said) <= 1, f"{' and '.join(said)} say the same thing in two ways. Leave one out.")

    @property
    def squared_sensitivity(self) -> float:
        """Of the Euclidean length of what a record moves."""
        if self.l2_sensitivity is not None:
            return self.l2_sensitivity**2
        return float(sum(each**2 for each in self.differences) or self.sensitivity**2)
