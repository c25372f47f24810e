"""Numbers as text, rounded toward less claimed privacy: upper bounds up, lower bounds down."""

from dpplan.checks import show
from dpplan.rounding import down, ends, up

__all__ = ["brief", "down", "ends", "interval", "percent", "ratio", "seconds", "up", "up_within"]


def up_within(value: float, limit: float) -> str:
    """Rounded up, with as many digits as it takes to stay below `limit` where value does: 2.999999 of 3, not 3."""
    texts = (up(value, digits) for digits in range(6, 18))
    return next((text for text in texts if float(text) < limit), show(value))


def interval(lower: float, symbol: str, upper: float) -> str:
    """lower <= symbol <= upper, as `ends` writes them."""
    left, right = ends(lower, upper)
    return f"{left} ≤ {symbol} ≤ {right}"


def brief(value: object) -> str:
    """A number no claim rests on, at six digits; anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def ratio(value: float) -> str:
    """A quotient of two figures, with the digits that matter when they are compared."""
    if value < 10:
        return f"{value:.3f}"
    return f"{value:.1f}" if value < 1e3 else f"{value:.0f}" if value < 1e6 else f"{value:.1e}"


def seconds(value: float) -> str:
    """A duration at two digits, in the unit that suits it."""
    return (
        f"{value:.2g} s" if 0.0995 <= value < 9.95 else f"{value:.0f} s" if value >= 9.95 else f"{1e3 * value:.2g} ms"
    )


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f} %"
