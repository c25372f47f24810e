"""Noise that is correlated from step to step: trees of noisy sums, and strategies C whose noisy C·x is released.

A phase of so many steps is one release: of C·x + z, x the clipped sums of all steps and z independent noise. A step's
noise is a combination of z, so that sums over many steps carry less of it.
"""

import hashlib
from dataclasses import replace
from typing import Any, ClassVar

from dpplan.checks import Problems, is_number, show
from dpplan.quick_dataclass import dataclass

MOST_COEFFICIENTS = 100_000
MOST_ENTRIES = 1_000_000
MOST_PARTICIPATIONS = 10_000
_SIGMA = "It is the standard deviation of z over the clip norm."


@dataclass(frozen=True, slots=True)
class TreeAggregation:
    """Every sum over a block of 2^j steps, as soon as it is complete, with noise of its own (DP-FTRL).

    noise_multiplier: of the noise on one such sum, over the clip norm. participations: in how many steps a record is at
    most; separation: how many steps lie at least from one of them to the next. Steps beyond the largest complete tree
    begin a smaller one.
    """

    noise_multiplier: float
    participations: int = 1
    separation: int = 1

    kind: ClassVar[str] = "tree"

    def __post_init__(self) -> None:
        with Problems() as problems:
            _check(problems, self)
        _settle(self)


@dataclass(frozen=True, slots=True)
class ToeplitzNoise:
    """A strategy C that is lower triangular and the same along its diagonals: banded matrix factorisation and others.

    noise_multiplier: of z, over the clip norm; C is taken as it is given, its columns not scaled. Its first column is
    given by `coefficients`, or by `bands`: so many of the square root of the matrix of prefix sums, 1, 1/2, 3/8, ...
    (Kalinin, Lampert 2024, arXiv:2405.13763). participations, separation: as of a tree.
    """

    noise_multiplier: float
    bands: int | None = None
    coefficients: tuple[float, ...] = ()
    participations: int = 1
    separation: int = 1

    kind: ClassVar[str] = "toeplitz"

    def __post_init__(self) -> None:
        with Problems() as problems:
            _check(problems, self)
            if self.bands is not None and problems.whole("bands", self.bands, try_="It is how long a noise lasts."):
                many = f"bands={show(self.bands)} is more than {MOST_COEFFICIENTS}."
                problems.require(self.bands <= MOST_COEFFICIENTS, many)
            if _list(problems, "coefficients", self.coefficients) and self.coefficients:
                problems.require(self.coefficients[0] > 0, "coefficients: the first is not above 0: C has no inverse.")
            both = "bands and coefficients say the same thing in two ways. Leave one out."
            problems.require(self.bands is None or not self.coefficients, both)
            neither = "the strategy is missing: give bands, or coefficients."
            problems.require(self.bands is not None or bool(self.coefficients), neither)
        _settle(self, "coefficients")
        if self.bands is not None:
            object.__setattr__(self, "bands", int(self.bands))


@dataclass(frozen=True, slots=True)
class BufferedNoise:
    """Buffered linear Toeplitz noise (BLT; Dvijotham et al. 2024, arXiv:2404.16706): the first column of C is 1 and
    then Σ scales·decays^(j - 1), which a few buffers can stream.

    noise_multiplier: of z, over the clip norm. decays: each in [0, 1). scales: one for each. One of both alike, λ, is
    C = 1, λ, λ², ... participations, separation: as of a tree.
    """

    noise_multiplier: float
    decays: tuple[float, ...]
    scales: tuple[float, ...]
    participations: int = 1
    separation: int = 1

    kind: ClassVar[str] = "blt"

    def __post_init__(self) -> None:
        with Problems() as problems:
            _check(problems, self)
            good = [_list(problems, name, getattr(self, name)) for name in ("decays", "scales")]
            if all(good):
                told = (
                    f"decays has {len(self.decays)} numbers and scales {len(self.scales)}: each decay needs one scale."
                )
                problems.require(len(self.decays) == len(self.scales), told)
                problems.require(len(self.decays) > 0, "decays is empty: without buffers it is Gaussian noise.")
                for each in self.decays:
                    problems.require(0 <= each < 1, f"decays: {show(each)} is not in [0, 1).")
        _settle(self, "decays", "scales")


@dataclass(frozen=True, slots=True)
class MatrixNoise:
    """Any strategy C that is lower triangular, with a column for each step.

    noise_multiplier: of z, over the clip norm; the columns of C are not scaled. entries: the rows of C one after the
    other, of each the last `bands` entries up to the diagonal, with 0 for places before the first column.
    participations, separation: as of a tree.
    """

    noise_multiplier: float
    entries: tuple[float, ...]
    bands: int
    participations: int = 1
    separation: int = 1

    kind: ClassVar[str] = "matrix"

    def __post_init__(self) -> None:
        with Problems() as problems:
            _check(problems, self)
            bands = int(self.bands) if problems.whole("bands", self.bands, try_="It is how many a row has.") else 0
            if bands and _list(problems, "entries", self.entries, MOST_ENTRIES):
                rule = f"entries: {len(self.entries)} numbers are no rows of bands={bands}."
                if problems.require(bool(self.entries) and len(self.entries) % bands == 0, rule):
                    _check_entries(problems, self.entries, bands)
        _settle(self, "entries")
        object.__setattr__(self, "bands", int(self.bands))

    @property
    def rows(self) -> int:
        """How many steps it is for."""
        return len(self.entries) // self.bands


def _check_entries(problems: Problems, entries: tuple[float, ...], bands: int) -> None:
    """Whether C has an inverse, and nothing before its first column."""
    rows = len(entries) // bands
    zero = next((row for row in range(rows) if entries[(row + 1) * bands - 1] == 0), None)
    problems.require(zero is None, f"entries: the diagonal is 0 in row {(zero or 0) + 1}: C has no inverse.")
    before = any(entries[row * bands + at] for row in range(min(bands - 1, rows)) for at in range(bands - 1 - row))
    problems.require(not before, "entries: a number stands before the first column.")


Correlated = TreeAggregation | ToeplitzNoise | BufferedNoise | MatrixNoise


@dataclass(frozen=True, slots=True)
class Correlation:
    """How the noise of a training run is correlated, whatever its size: banded, with so many bands; tree; or matrix, by
    the strategy in a file.

    given: what the file holds, with any noise; None before it was read. rows: of a square matrix there.
    """

    kind: str
    bands: int | None = None
    strategy: str | None = None
    given: ToeplitzNoise | MatrixNoise | None = None
    rows: int | None = None

    def mechanism(
        self, noise_multiplier: float, participations: int = 1, separation: int = 1
    ) -> ToeplitzNoise | TreeAggregation | MatrixNoise:
        """The noise of this multiplier; with the pattern of a record where the sampling does not say it."""
        if self.kind == TreeAggregation.kind:
            return TreeAggregation(noise_multiplier, participations, separation)
        if self.given is not None:
            made = self.given
            return replace(
                made, noise_multiplier=noise_multiplier, participations=participations, separation=separation
            )
        return ToeplitzNoise(noise_multiplier, bands=self.bands, participations=participations, separation=separation)

    def problems(self, steps: int) -> list[str]:
        """What does not fit a run of so many steps."""
        if self.bands is not None and self.bands > steps:
            return [f"bands={self.bands} exceeds steps={steps}: noise cannot last longer than the run. Lower bands."]
        if self.rows not in (None, steps):
            return [
                f"steps={steps}, and the strategy in {self.strategy} has {self.rows} rows, one for each step. "
                "Change one of the two."
            ]
        return []

    @property
    def said(self) -> dict[str, Any]:
        """What a recipe says of it."""
        own = ("bands", self.bands) if self.strategy is None else ("strategy", self.strategy)
        return dict((("kind", self.kind), own))

    @property
    def content(self) -> dict[str, Any]:
        """The same, and of a file what it holds, so that two of one name are told apart."""
        if self.given is None:
            return self.said
        numbers = repr((self.lasting, getattr(self.given, "coefficients", ()), getattr(self.given, "entries", ())))
        return {**self.said, "sha256": hashlib.sha256(numbers.encode()).hexdigest()}

    @property
    def lasting(self) -> int | None:
        """How many steps a noise lasts; None of a tree, and before a file was read."""
        if isinstance(self.given, ToeplitzNoise):
            return len(self.given.coefficients)
        return self.bands if self.given is None else self.given.bands

    def __str__(self) -> str:
        if self.kind == TreeAggregation.kind:
            return "a tree of sums (DP-FTRL)"
        named = "DP-BandMF" if self.strategy is None else self.strategy
        return f"{self.lasting} band{'s' if self.lasting != 1 else ''} ({named})"


BANDED = "banded"
CORRELATIONS = (BANDED, TreeAggregation.kind, MatrixNoise.kind)


def _check(problems: Problems, mechanism: Correlated) -> None:
    problems.positive("noise_multiplier", mechanism.noise_multiplier, try_=_SIGMA)
    try_ = "It is in how many steps a record is at most."
    if problems.whole("participations", mechanism.participations, try_=try_):
        many = f"participations={show(mechanism.participations)} is more than {MOST_PARTICIPATIONS}."
        problems.require(mechanism.participations <= MOST_PARTICIPATIONS, many)
    problems.whole("separation", mechanism.separation, try_="It is how many steps lie between two of a record's.")


def _list(problems: Problems, name: str, values: object, most: int = MOST_COEFFICIENTS) -> bool:
    if not isinstance(values, list | tuple):
        return problems.require(False, f"{name}={show(values)} is not a list of numbers. Write {name}: [1, 0.5].")
    for each in values:
        good = is_number(each) and abs(each) <= 1e9
        if not problems.require(good, f"{name}: {show(each)} is not a number from -1e+09 to 1e+09."):
            return False
    return problems.require(len(values) <= most, f"{name} has {len(values)} numbers, more than {most}.")


def _settle(mechanism: Correlated, *lists: str) -> None:
    object.__setattr__(mechanism, "noise_multiplier", float(mechanism.noise_multiplier))
    object.__setattr__(mechanism, "participations", int(mechanism.participations))
    object.__setattr__(mechanism, "separation", int(mechanism.separation))
    for name in lists:
        object.__setattr__(mechanism, name, tuple(float(each) for each in getattr(mechanism, name)))
