"""How many trials a search makes: drawn by the law that is accounted, from bits of the system's generator.

The law's probabilities are summed with 80 digits, and 256 bits say where among them the draw falls; what that is off
by, 1e-70 in all, is far below the floor of every certified figure.
"""

import secrets
from collections.abc import Callable, Iterator
from decimal import Context, Decimal, localcontext

from dpplan.accounting.best_of_trials import count, gamma
from dpplan.mechanism.trials import Trials

BITS = 256
DIGITS = Context(prec=80, Emin=-(10**9), Emax=10**9)
REST = Decimal("1e-70")  # of the probability, when the last number is taken


def drawn(trials: Trials, bits: Callable[[int], int] = secrets.randbits) -> int:
    """One draw. bits: as many random bits as are asked for."""
    with localcontext(DIGITS):
        place, total, found = Decimal(bits(BITS)) / Decimal(2**BITS), Decimal(0), 0
        for number, probability in probabilities(trials):
            total, found = total + probability, number
            if place < total or total > 1 - REST:
                break
        return found


def probabilities(trials: Trials) -> Iterator[tuple[int, Decimal]]:
    """(k, P[K = k]) from the least k on, in the decimal context of whoever asks."""
    if trials.law in ("poisson", "binomial"):
        yield from _from_none(trials)
        return
    share, eta = Decimal(gamma(trials)), Decimal(trials.shape)
    if eta == 0:
        each = (1 - share) / -share.ln()
    else:
        each = (1 - share) * eta / ((-eta * share.ln()).exp() - 1)
    number = 1
    while True:
        yield number, each
        each *= (1 - share) * (number + eta) / (number + 1)
        number += 1


def _from_none(trials: Trials) -> Iterator[tuple[int, Decimal]]:
    if trials.law == "poisson":
        mean, each, number = Decimal(trials.mean), (-Decimal(trials.mean)).exp(), 0
        while True:
            yield number, each
            number += 1
            each *= mean / number
    most, chance = count(trials), Decimal(trials.chance)
    each = (1 - chance) ** most
    for number in range(most + 1):
        yield number, each
        each *= chance / (1 - chance) * (most - number) / (number + 1)
