"""What is stated of moments of the privacy loss: ρ-zCDP, and a Rényi curve."""

import math
from itertools import pairwise
from typing import ClassVar

from dpplan.checks import Problems, is_number, show
from dpplan.quick_dataclass import dataclass

LEAST_RHO, MOST_RHO = 1e-12, 1e4  # mu from about 1e-6 to 141 in the Gaussian of the same ρ
LEAST_ORDER, MOST_ORDER, MOST_POINTS = 1.0001, 1e6, 1000  # the orders that Rényi accounting searches


@dataclass(frozen=True, slots=True)
class StatedZcdp:
    """Anything that is rho-zero-concentrated differentially private for the neighbours of the plan; no more is known.

    rho: the Rényi divergence of one release is at most rho·a at every order a > 1, in both orders of neighbours (Bun,
    Steinke 2016, arXiv:1605.02065, Def 1.1).
    """

    rho: float

    kind: ClassVar[str] = "zcdp"

    def __post_init__(self) -> None:
        with Problems() as problems:
            if problems.positive("rho", self.rho, try_="Gaussian noise of multiplier σ has rho = 1/(2σ²)."):
                rule = f"rho={show(self.rho)} is not between {LEAST_RHO:g} and {MOST_RHO:g}."
                problems.require(LEAST_RHO <= self.rho <= MOST_RHO, rule)
        object.__setattr__(self, "rho", float(self.rho))


@dataclass(frozen=True, slots=True)
class StatedRenyi:
    """Anything whose Rényi divergence, for the neighbours of the plan, is at most this at these orders.

    orders: rising, each above 1. epsilons: one for each, at least 0: the divergence in nats of one release.
    """

    orders: tuple[float, ...]
    epsilons: tuple[float, ...]

    kind: ClassVar[str] = "rdp"

    def __post_init__(self) -> None:
        with Problems() as problems:
            good = [_listed(problems, name, getattr(self, name)) for name in ("orders", "epsilons")]
            if all(good):
                self._check(problems)
        for name in ("orders", "epsilons"):
            object.__setattr__(self, name, tuple(float(each) for each in getattr(self, name)))

    def _check(self, problems: Problems) -> None:
        count, said = len(self.orders), len(self.epsilons)
        problems.require(
            count == said, f"orders has {count} numbers and epsilons {said}: each order needs one epsilon."
        )
        for order in self.orders:
            rule = f"orders: {show(order)} is not between {LEAST_ORDER} and {MOST_ORDER:g}. Rényi orders lie above 1."
            problems.require(LEAST_ORDER <= order <= MOST_ORDER, rule)
        for low, high in pairwise(self.orders):
            problems.require(low < high, f"orders: {show(high)} after {show(low)} does not rise. Sort them.")
        for value in self.epsilons:
            problems.require(0.0 <= value < 1e300, f"epsilons: {show(value)} is not a number of at least 0.")


def _listed(problems: Problems, name: str, values: object) -> bool:
    """Whether it is a list of numbers that is neither empty nor endless."""
    if not isinstance(values, list | tuple) or not values:
        return problems.require(False, f"{name}={show(values)} is not a list of numbers. Write {name}: [2, 4, 8].")
    wrong = [each for each in values if not is_number(each) or not math.isfinite(each)]
    for each in wrong[:3]:
        problems.add(f"{name}: {show(each)} is not a number.")
    many = f"{name} has {len(values)} numbers, and more than {MOST_POINTS} tell nothing new."
    return problems.require(len(values) <= MOST_POINTS, many) and not wrong
