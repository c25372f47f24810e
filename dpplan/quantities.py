"""The quantities that people speak of, each named once: how code, formulas, options, sentences and axes call it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from dpplan.checks import is_number, show
from dpplan.quick_dataclass import dataclass

MEANINGLESS_EPSILON = 50.0  # above, no attack at all is ruled out: e^50 false alarms are 10^21


@dataclass(frozen=True, slots=True)
class Quantity:
    """name: in code, JSON and recipes. symbol: in formulas and tables. word: in errors and where options are named.

    words: in tables and sentences. meaning: what it counts, in a sentence without an end. digits: to show, None for
    all that were given. options: other names of its option. help: of the option; "" where plans have none.
    kind: how it is typed; a rate may be a fraction. stand_in: a value that fits any plan, to see what else is wrong
    with it. replaces: what cannot be given together with it. axis: under a plot, "" for the words. answer: in front
    of a value that was solved for, "" for the words.
    """

    name: str
    symbol: str
    word: str
    words: str
    meaning: str
    digits: int | None = None
    options: tuple[str, ...] = ()
    help: str = ""
    kind: Literal["number", "whole", "rate", "batch"] = "number"
    stand_in: float | None = None
    replaces: tuple[str, ...] = ()
    axis: str = ""
    answer: str = ""

    @property
    def option(self) -> str:
        return f"--{self.word}"

    @property
    def all_options(self) -> tuple[str, ...]:
        return (self.option, *self.options)

    @property
    def short(self) -> str:
        """Where there is little room: its Greek letter, else its word."""
        return self.word if self.symbol.isascii() else self.symbol

    def show(self, value: object) -> str:
        """The value as tables print it."""
        if self.digits is not None and isinstance(value, float):
            return f"{value:.{self.digits}g}"
        return show(value)


_ALL = (
    Quantity(
        "noise_multiplier",
        "σ",
        "sigma",
        "noise multiplier",
        "standard deviation of the noise / clip norm",
        options=("--noise-multiplier",),
        help="Noise multiplier σ: standard deviation of the noise on the summed gradients, divided by the clip norm. "
        "It is not that of the noise on the mean gradient: the batch size plays no part in it.",
        stand_in=1.0,
        axis="noise multiplier, σ",
    ),
    Quantity(
        "sample_rate",
        "q",
        "q",
        "sample rate",
        "chance of an example to be in a batch",
        digits=6,
        options=("--sample-rate",),
        help="Sample rate: the chance of each example to be in a batch. A number or a fraction: 0.01, 1/79.",
        kind="rate",
        stand_in=1.0,
        replaces=("batch_size",),
        axis="sample rate, q",
    ),
    Quantity(
        "steps",
        "T",
        "steps",
        "steps",
        "noisy updates",
        help="Noisy updates.",
        kind="whole",
        stand_in=1,
        replaces=("epochs",),
        axis="length of training (steps)",
    ),
    Quantity(
        "examples",
        "n",
        "n",
        "examples",
        "examples that the run may draw from",
        options=("--examples",),
        help="Examples: 60000, 6e4 or 60_000.",
        kind="whole",
        replaces=("sample_rate",),
        answer="n",
    ),
    Quantity(
        "batch_size",
        "B",
        "batch",
        "batch",
        "expected examples per step",
        options=("--batch-size",),
        help="Expected examples per step.",
        kind="batch",
        stand_in=1,
        replaces=("sample_rate",),
        axis="expected batch (examples)",
    ),
    Quantity(
        "epochs",
        "E",
        "epochs",
        "epochs",
        "expected passes over the data",
        help="Expected passes over the data.",
        stand_in=1.0,
        replaces=("steps",),
        axis="length of training (epochs)",
    ),
    Quantity("delta", "δ", "delta", "delta", "chance that the guarantee of ε fails", axis="δ", answer="δ"),
    Quantity("epsilon", "ε", "eps", "epsilon", "privacy loss in nats", axis="ε (nats)"),
)
QUANTITIES: Mapping[str, Quantity] = MappingProxyType({each.name: each for each in _ALL})
# What a plan is described by, in the order in which help lists it: the fields of plan.Settings.
DESCRIBING: tuple[Quantity, ...] = tuple(each for each in _ALL if each.help)


def quantity(name: str) -> Quantity:
    """The quantity of that name; of a setting that only one mechanism or scheme has, its name in plain words."""
    words = name.replace("_", " ")
    return QUANTITIES.get(name) or Quantity(name, words, name.replace("_", "-"), words, words)


def by_word(word: str) -> Quantity:
    """The quantity whose option is --word, or of that name."""
    return next((each for each in _ALL if each.word == word), None) or quantity(word)


MOST_NOISE = 100.0  # what a sample rate above 1 may be, if it was meant for the noise
FIND_IT = ", or let `dpplan solve` find it from a target epsilon"  # of noise, and not in `dpplan solve`, nor in files
MUCH_NOISE, MUCH_BESIDE_A_FRACTION, MOST_BATCH = 64.0, 16.0, 1e9  # what a batch may be, if it was given for the noise
FEWEST, FEW = 0.3, 8.0  # and the noise, if it was given for a batch: of 8 or more much noise is nothing unusual
RATE_WORDS = "The sample rate is the expected batch divided by n."


def swapped(sigma: object, rate: object) -> str:
    """A remedy where the noise would do for a rate, and the rate is none but would do for noise; else ""."""
    if not (is_number(sigma) and is_number(rate) and 0 < sigma <= 1 < rate <= MOST_NOISE):
        return ""
    if rate >= MUCH_BESIDE_A_FRACTION and float(rate).is_integer():  # hardly noise: n / batch
        return f"{RATE_WORDS} Is it 1/{int(rate)}?"
    return f"Are sigma and q swapped? Try --sigma {show(rate)} --q {show(sigma)}."


def noise_for_batch(sigma: object, batch: object, examples: object) -> str:
    """A sentence where the noise is a whole number as large as batches are, and the batch as small as noise is: that
    is rarer than that the two were swapped. Else ""."""
    if not (is_number(sigma) and is_number(batch)) or not FEWEST <= batch < FEW or not sigma <= MOST_BATCH:
        return ""
    least = MUCH_NOISE if float(batch).is_integer() else MUCH_BESIDE_A_FRACTION
    if sigma < least or not float(sigma).is_integer() or (is_number(examples) and sigma > examples):
        return ""
    return (
        f"sigma={show(sigma)} is much noise and batch={show(batch)} a small batch. If the two are swapped: --sigma "
        f"{show(batch)} --batch {show(sigma)}."
    )
