"""The values each unknown may take, numbered so that a higher index spends more.

Decimals of seven digits for the noise, the sample rate and delta; whole numbers for steps, batches and examples.
"""

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction

from dpplan.checks import MOST_WHOLE
from dpplan.plan import Settings
from dpplan.sampling import Shuffle
from dpplan.sampling.balls_in_bins import ALLOCATIONS
from dpplan.solve.search import Candidates

LEAST_NOISE, MOST_NOISE = 0.01, 1e10
LEAST_RATE = 1e-15
LEAST_DELTA = 1e-300  # below it a float no longer has all of its digits
MOST_STEPS = 10**12
MOST_BINS = 10**5  # of an epoch in which each example has one step: what is solved for does not go beyond
IN_WHOLE_EPOCHS = (*ALLOCATIONS, Shuffle.kind)  # of which a sample rate says how many steps a round or an epoch has
MOST_EXAMPLES = 10**15  # whole numbers up to here are floats, with room for the factors around them
DIGITS = 7  # of a noise multiplier: the last one moves epsilon by about one part in a million


def noise(settings: Settings, digits: int = DIGITS) -> Candidates:
    """From the largest noise down."""
    return falling(settings, "noise_multiplier", (MOST_NOISE, 1.0, LEAST_NOISE), slope=1.3, digits=digits)


def delta(settings: Settings, start: float) -> Candidates:
    """From the largest delta below 1 down. The plan is the same for all."""
    return falling(settings, "delta", (1.0 - 10.0**-DIGITS, start, LEAST_DELTA), slope=0.2)


def sample_rate(settings: Settings) -> Candidates:
    """From the smallest sample rate up to all of the data."""

    if settings.sampling in IN_WHOLE_EPOCHS:
        return _bins(settings)

    def below(place: float) -> int:
        return decimal_below(math.exp(place))

    least = max(LEAST_RATE, float(settings.epochs or 0.0) / MOST_WHOLE)
    first, last = decimal_above(min(least, 1.0)), decimal_below(1.0)
    start = min(max(decimal_below(0.01), first), last)
    return Candidates(
        settings, "sample_rate", first, last, start, 1.0, decimal, lambda index: math.log(decimal(index)), below
    )


def _bins(settings: Settings) -> Candidates:
    """Sample rates times / T with T whole, from the most steps to the fewest: index -T stands for T."""
    times = int(dict(settings.scheme_options).get("times", 1))
    return Candidates(
        settings,
        "sample_rate",
        first=-MOST_BINS,
        last=-times,
        start=-100 * times,
        slope=0.6,
        value=lambda index: Fraction(times, -index),
        place=lambda index: -math.log(-index),
        below=lambda place: -math.ceil(math.exp(-place)),
    )


def steps(settings: Settings) -> Candidates:
    return whole(settings, "steps", MOST_STEPS, start=1000, slope=0.6)


def epochs(settings: Settings) -> Candidates:
    """One for each number of steps: a number of epochs of few digits that rounds up to that many."""
    rate = settings.exact_rate

    def value(index: int) -> float:
        scale = 1
        while (epochs := Fraction(math.floor(index * rate * scale), scale)) <= (index - 1) * rate:
            scale *= 10
        return float(epochs)

    return whole(settings, "epochs", MOST_STEPS, start=1000, slope=0.6, value=value)


def batch_size(settings: Settings) -> Candidates:
    examples = int(settings.examples or 1)
    # Of groups that take turns a batch is at most one, whole or not.
    most = max(examples // int(dict(settings.scheme_options).get("groups", 1)), 1)
    found = whole(settings, "batch_size", most, start=math.isqrt(most), slope=1.0)
    least = math.ceil(float(settings.epochs or 0.0) * examples / MOST_WHOLE)  # smaller batches need too many steps
    return found.above(min(max(least, 1), most))


def examples(settings: Settings) -> Candidates:
    """From the most examples down to as many as one batch holds: index −n stands for n."""
    fewest = max(math.ceil(settings.batch_size or 1), settings.max_per_user or 1)
    if settings.sampling in ALLOCATIONS and fewest == settings.batch_size:
        return _of_whole_bins(settings, fewest)
    most = MOST_EXAMPLES
    if settings.epochs:
        most = max(min(most, math.floor(MOST_WHOLE / float(settings.epochs) * float(settings.batch_size or 1))), fewest)
    return Candidates(
        settings,
        "examples",
        first=-most,
        last=-fewest,
        start=-min(100 * fewest, most),
        slope=1.0,
        value=lambda index: -index,
        place=lambda index: -math.log(-index),
        below=lambda place: -math.ceil(math.exp(-place)),
    )


def _of_whole_bins(settings: Settings, batch: int) -> Candidates:
    """n = T·batch / times with T whole: index -T stands for T."""
    times = int(dict(settings.scheme_options).get("times", 1))
    common = math.gcd(batch, times)
    each, step = batch // common, times // common
    return Candidates(
        settings,
        "examples",
        first=-(MOST_BINS // step),
        last=-max(math.ceil(times / step), 1),
        start=-100,
        slope=0.6,
        value=lambda index: -index * each,
        place=lambda index: -math.log(-index),
        below=lambda place: -math.ceil(math.exp(-place)),
    )


# Decimals of so many digits, counted from 1 upward: with two digits, 1.0, 1.1, ..., 9.9, 10, 11, ...


def decimal(count: int, digits: int = DIGITS) -> float:
    least_mantissa = 10 ** (digits - 1)
    exponent, further = divmod(count, 9 * least_mantissa)
    return float(f"{least_mantissa + further}e{exponent - digits + 1}")


def decimal_above(value: float, digits: int = DIGITS) -> int:
    """The count of the least such decimal that is no smaller."""
    return _count(value, digits, ROUND_CEILING)


def decimal_below(value: float, digits: int = DIGITS) -> int:
    """The count of the largest such decimal that is no larger."""
    return _count(value, digits, ROUND_FLOOR)


def _count(value: float, digits: int, rounding: str) -> int:
    exponent, least_mantissa = math.floor(math.log10(value)), 10 ** (digits - 1)
    # A float's shortest decimal has 17 digits at most, which Decimal keeps as they are.
    mantissa = int(Decimal(repr(value)).scaleb(digits - 1 - exponent).to_integral_value(rounding))
    return exponent * 9 * least_mantissa + mantissa - least_mantissa


def falling(
    settings: Settings, name: str, ends: tuple[float, float, float], slope: float, digits: int = DIGITS
) -> Candidates:
    """Decimals from the largest down: index −k is the k-th above 1. ends: the largest, where to start, the smallest."""

    def value(index: int) -> float:
        return decimal(-index, digits)

    first, start, last = (-decimal_above(end, digits) for end in ends)
    return Candidates(
        settings,
        name,
        first,
        last,
        min(max(start, first), last),
        slope,
        value,
        place=lambda index: -math.log(value(index)),
        below=lambda place: -decimal_above(math.exp(-place), digits),
    )


def rising(
    settings: Settings, name: str, ends: tuple[float, float, float], slope: float, digits: int = DIGITS
) -> Candidates:
    """Decimals from the smallest up. ends: the smallest, where to start, the largest."""

    def value(index: int) -> float:
        return decimal(index, digits)

    least, begin, most = ends
    first, last = decimal_above(least, digits), decimal_below(most, digits)
    return Candidates(
        settings,
        name,
        first,
        last,
        min(max(decimal_below(begin, digits), first), last),
        slope,
        value,
        place=lambda index: math.log(value(index)),
        below=lambda place: decimal_below(math.exp(place), digits),
    )


def whole(
    settings: Settings, name: str, last: int, start: int, slope: float, value: Callable[[int], float] = int
) -> Candidates:
    """Whole numbers from 1 up."""
    return Candidates(settings, name, 1, last, start, slope, value, math.log, lambda place: math.floor(math.exp(place)))


def whole_down(settings: Settings, name: str, most: int, start: int, slope: float) -> Candidates:
    """Whole numbers from the largest down to 1: index -k is k."""
    return Candidates(
        settings,
        name,
        first=-most,
        last=-1,
        start=-min(start, most),
        slope=slope,
        value=lambda index: -index,
        place=lambda index: -math.log(-index),
        below=lambda place: -math.ceil(math.exp(-place)),
    )
