"""A proof in words: the digits that are certain, how it stands to the fast interval, and its error budget."""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.render.bound_detail_glossary import WITHIN
from dpplan.render.bound_text import SYMBOLS, Paint, proven, unpainted
from dpplan.render.explanation import errors
from dpplan.render.number_format import seconds
from dpplan.render.plan_rows import row

if TYPE_CHECKING:
    from dpplan.accounting.exact.prove import Proof


def proof(proved: "Proof", fast: Bound, at: float, paint: Paint = unpainted) -> Iterator[str]:
    """fast: what the exact accountant says without a proof. at: the delta of an epsilon, or the reverse."""
    symbol, other = SYMBOLS[fast.quantity], "δ" if fast.quantity == "epsilon" else "ε"
    exact = proved.lower_digits == proved.upper_digits
    certain = "exactly" if exact else f"to {proved.digits} digits"
    yield f"{symbol} at {other} = {show(at)}, {paint('proven', 'certified')} {certain}"
    yield ""
    if exact:
        yield f"  {'exactly':<19}{proved.lower_digits}"
    else:
        yield f"  {'at least':<19}{proved.lower_digits}"
        yield f"  {'at most':<19}{proved.upper_digits}"
    yield f"  {'without proof':<19}{proven(fast)}"
    yield f"  {'':<19}{WITHIN[within(proved, fast)]}"
    yield row("arithmetic", f"{proved.precision_bits} bits", f"in balls, {seconds(proved.seconds)}")
    yield from errors(dict(proved.terms), proved.bound.value, symbol)


def within(proved: "Proof", fast: Bound) -> bool:
    """Whether the fast interval holds the proven one; else they overlap (prove raises where they do not)."""
    lower, upper = Fraction(proved.lower_digits), Fraction(proved.upper_digits)
    assert fast.lower is not None and fast.upper is not None  # the exact accountant's bounds have both
    return Fraction(fast.lower) <= lower and (fast.upper == float("inf") or upper <= Fraction(fast.upper))
