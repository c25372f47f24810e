"""How many trials are drawn: by the law that is accounted."""

import math
import random
from collections import Counter
from decimal import Decimal, localcontext
from itertools import islice

import pytest

from dpplan.accounting.best_of_trials import count, gamma, most
from dpplan.mechanism.trials import LAWS, Trials
from dpplan.tuning.trial_count import BITS, DIGITS, drawn, probabilities


def pgf(trials: Trials, x: float) -> float:
    """E[x^K], as the bounds take it."""
    if trials.law == "poisson":
        return math.exp(trials.mean * (x - 1))
    if trials.law == "binomial":
        return (1 - trials.chance + trials.chance * x) ** count(trials)
    share, eta = gamma(trials), trials.shape
    if eta == 0:
        return math.log(1 - (1 - share) * x) / math.log(share)
    return ((1 - (1 - share) * x) ** -eta - 1) / (share**-eta - 1)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("mean", [1.5, 6.0])
def test_the_probabilities_are_those_of_the_bounds(law: str, mean: float) -> None:
    trials = Trials(law, mean, eta=2.0 if mean > 2 else 0.5)
    with localcontext(DIGITS):
        table = list(islice(probabilities(trials), 1500))
        assert 1 - Decimal("1e-20") < sum(each for _, each in table) < 1 + Decimal("1e-70")
        for x in (0.0, 0.3, 0.9):
            found = sum(each * Decimal(x) ** number if number else each for number, each in table)
            assert float(found) == pytest.approx(pgf(trials, x), rel=1e-9, abs=1e-12)
        assert float(sum(number * each for number, each in table)) == pytest.approx(most(trials), rel=1e-6)


@pytest.mark.sweep(every=2, slow=("negative-binomial",))
@pytest.mark.parametrize("law", LAWS)
def test_draws_follow_it(law: str) -> None:
    generator, trials, size = random.Random(5), Trials(law, 3.0), 3000
    found = Counter(drawn(trials, generator.getrandbits) for _ in range(size))
    with localcontext(DIGITS):
        for number, chance in islice(probabilities(trials), 5):
            spread = 4.5 * math.sqrt(float(chance * (1 - chance)) / size)
            assert abs(found[number] / size - float(chance)) <= spread


def test_the_ends_of_what_is_drawn() -> None:
    """All bits 0 is the fewest; all bits 1 far out, and an end."""
    assert drawn(Trials("geometric", 3.0), lambda _: 0) == 1
    assert drawn(Trials("poisson", 3.0), lambda _: 0) == 0
    far = drawn(Trials("poisson", 3.0), lambda bits: 2**bits - 1)
    assert 40 < far < 200
    assert drawn(Trials("binomial", 3.0), lambda bits: 2**bits - 1) == 6
    assert BITS >= 200 and drawn(Trials("poisson", 3.0)) >= 0
