"""Digits of a printed figure: rounded to the safe side, and as many as it takes to tell two figures apart.

A claim that is refused must be seen to be wrong: "claimed 2.38168, the true ε is at least 2.381" contradicts nothing.
"""

import decimal

from dpplan.checks import show

MOST = 17  # digits that any float is written with
# Digits of a printed interval: one more than a headline, and what certified ends still differ in.
FEWEST_OF_ENDS, MOST_OF_ENDS = 7, 12


def up(value: float | None, digits: int = 6) -> str:
    """Rounded up to that many digits: a printed epsilon is never below the proven one."""
    return _rounded(value, digits, decimal.ROUND_CEILING)


def down(value: float | None, digits: int = 6) -> str:
    """Rounded down to that many digits: a printed lower bound is never above the proven one."""
    return _rounded(value, digits, decimal.ROUND_FLOOR)


def down_above(value: float, limit: float, digits: int = 6) -> str:
    """Rounded down, with as many digits as it takes to stay above `limit`, which `value` is."""
    texts = (down(value, count) for count in range(digits, MOST + 1))
    return next((text for text in texts if float(text) > limit), show(value))


def near_above(value: float, limit: float, digits: int = 6) -> str:
    """Rounded to the nearest, with as many digits as it takes to be above `limit`, which `value` is."""
    texts = (f"{value:.{count}g}" for count in range(digits, MOST + 1))
    return next((text for text in texts if float(text) > limit), show(value))


def near_at_most(value: float, limit: float, digits: int = 3) -> str:
    """Rounded to the nearest, with as many digits as it takes not to be above `limit`, which `value` is not."""
    texts = (f"{value:.{count}g}" for count in range(digits, MOST + 1))
    return next((text for text in texts if float(text) <= limit), down(value, MOST))


def apart(low: float, high: float, digits: int = 6) -> tuple[str, str]:
    """The lower figure rounded up and the higher one down, with the digits it takes to see that low < high."""
    pairs = ((up(low, count), down(high, count)) for count in range(digits, MOST + 1))
    return next((pair for pair in pairs if float(pair[0]) < float(pair[1])), (show(low), show(high)))


def up_apart(one: float | None, other: float | None, digits: int = 6) -> tuple[str, str]:
    """Both rounded up, with the digits it takes to tell them apart; equal ones at so many digits."""
    pairs = ((up(one, count), up(other, count)) for count in range(digits, MOST + 1))
    return next((pair for pair in pairs if pair[0] != pair[1]), (up(one, digits), up(other, digits)))


def ends(lower: float, upper: float) -> tuple[str, str]:
    """Both rounded outward, with the digits it takes to tell them apart (7 to 12)."""
    told = (digits for digits in range(FEWEST_OF_ENDS, MOST_OF_ENDS) if f"{lower:.{digits}g}" != f"{upper:.{digits}g}")
    digits = next(told, MOST_OF_ENDS)
    return down(lower, digits), up(upper, digits)


def _rounded(value: float | None, digits: int, rounding: str) -> str:
    if value is None:
        return "none"
    context = decimal.Context(prec=digits, rounding=rounding)
    return show(float(context.create_decimal(repr(float(value)))))
