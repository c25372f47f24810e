"""What one release does to one record: the noise, and how far one record can move what it is added to."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Protocol

from dpplan.checks import Problems
from dpplan.errors import NotApplicable


class Mechanism(Protocol):
    """One mechanism. A frozen dataclass whose fields are its settings, each a number, a word or None.

    kind: its name in JSON and in plan files.
    """

    kind: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise on a sum of clipped vectors.

    noise_multiplier: standard deviation of the noise divided by the clip norm (σ, no unit). It is not the
        standard deviation of the noise itself, and not the noise on the mean gradient; both depend on the
        clip norm and the batch, and neither changes epsilon.

    Adding or removing one record moves the clipped sum by at most one clip norm, so the pair of output
    laws that dominates every other is N(0, σ²) against N(1, σ²) (Mironov, Talwar, Zhang 2019, Thm 4).
    """

    noise_multiplier: float

    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.positive(
                "sigma",
                self.noise_multiplier,
                try_="Without noise epsilon is infinite; values between 0.5 and 10 are common (--sigma).",
            )
        object.__setattr__(self, "noise_multiplier", float(self.noise_multiplier))

    @classmethod
    def of(cls, mechanism: Mechanism) -> "Gaussian":
        """The mechanism, for those who know no other. Raises NotApplicable for another, a subclass included."""
        if type(mechanism) is not cls:
            raise NotApplicable(f"mechanism={kind_of(mechanism)} is not what this is made for: gaussian.")
        return mechanism


def kind_of(part: object) -> str:
    """The name of a mechanism or a scheme; of one that only inherited a name, or has none, that of its class."""
    return str(vars(type(part)).get("kind", type(part).__name__))


# Kind -> class, for whoever reads a plan from a file. A new mechanism gets a line here.
MECHANISMS: Mapping[str, type[Mechanism]] = MappingProxyType({Gaussian.kind: Gaussian})
