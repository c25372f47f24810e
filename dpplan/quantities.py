"""The quantities that people speak of, each named once: how code, formulas, options and sentences call it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dpplan.checks import show


@dataclass(frozen=True, slots=True)
class Quantity:
    """name: in code, JSON and recipes. symbol: in formulas and tables. word: in errors and where options are named.

    words: in tables and sentences. meaning: what it counts, in a sentence without an end. digits: to show, None for
    all that were given.
    """

    name: str
    symbol: str
    word: str
    words: str
    meaning: str
    digits: int | None = None

    @property
    def option(self) -> str:
        return f"--{self.word}"

    def show(self, value: object) -> str:
        """The value as tables print it."""
        if self.digits is not None and isinstance(value, float):
            return f"{value:.{self.digits}g}"
        return show(value)


_ALL = (
    Quantity("noise_multiplier", "σ", "sigma", "noise multiplier", "standard deviation of the noise / clip norm"),
    Quantity("sample_rate", "q", "q", "sample rate", "chance of an example to be in a batch", digits=6),
    Quantity("steps", "T", "steps", "steps", "noisy updates"),
    Quantity("examples", "n", "n", "examples", "examples that the run may draw from"),
    Quantity("batch_size", "B", "batch", "batch", "expected examples per step"),
    Quantity("epochs", "E", "epochs", "epochs", "expected passes over the data"),
    Quantity("delta", "δ", "delta", "delta", "chance that the guarantee of epsilon does not hold"),
    Quantity("epsilon", "ε", "eps", "epsilon", "privacy loss in nats"),
)
QUANTITIES: Mapping[str, Quantity] = MappingProxyType({each.name: each for each in _ALL})


def quantity(name: str) -> Quantity:
    """The quantity of that name; of a setting that only one mechanism or scheme has, its name in plain words."""
    words = name.replace("_", " ")
    return QUANTITIES.get(name) or Quantity(name, words, name.replace("_", "-"), words, words)
