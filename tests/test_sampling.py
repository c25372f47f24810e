"""The arithmetic of a scheme, asked by whoever plans, trains or checks."""

import math
from fractions import Fraction

import pytest
from scipy import stats

from dpplan.errors import NotApplicable, PlanError
from dpplan.plan import Settings
from dpplan.sampling import CHOICES, SCHEMES, Binomial, Choice, Option, Poisson


@pytest.mark.parametrize("steps_in_epoch", [1, 3, 49, 93, 107, 1000])
def test_an_epoch_of_k_steps_ends_with_step_k(steps_in_epoch: int) -> None:
    scheme = Poisson(1 / steps_in_epoch)
    for epoch in range(1, 50):
        assert scheme.complete_epochs(epoch * steps_in_epoch) == epoch
        assert steps_in_epoch == 1 or scheme.complete_epochs(epoch * steps_in_epoch - 1) == epoch - 1


def test_steps_of_an_epoch_round_up_and_never_from_binary_rounding() -> None:
    steps = CHOICES["poisson"].steps
    assert steps(Fraction(60), Fraction(256, 60_000), {}) == 14_063
    assert steps(Fraction(3), Fraction(1, 10), {}) == 30
    assert steps(Fraction(3), Fraction("0.1"), {}) == 30


@pytest.mark.parametrize(("n", "q"), [(1437, 0.1), (5, 1.0), (60_000, 256 / 60_000), (3, 1e-9)])
def test_the_law_of_a_batch_is_binomial(n: int, q: float) -> None:
    law, known = Poisson(q).batch_law(n), stats.binom(n, q)
    assert law == Binomial(n, q)
    assert law.mean == Poisson(q).expected_batch(n) == pytest.approx(known.mean())
    assert law.chance_of_none == pytest.approx(known.pmf(0), rel=1e-9)


def test_passes_over_the_data_are_exact() -> None:
    assert Poisson(0.1).epochs(30) == 3
    assert math.isclose(Poisson(1 / 3).epochs(3), 1, rel_tol=1e-15)


def test_a_rate_outside_its_range_is_refused() -> None:
    for rate in (0.0, -1.0, 1.5, math.nan, math.inf):
        with pytest.raises(PlanError, match="sample_rate="):
            Poisson(rate)


def test_a_subclass_is_not_the_scheme() -> None:
    class Cut(Poisson):
        """Draws as it likes."""

    assert Poisson.of(Poisson(0.5)) == Poisson(0.5)
    with pytest.raises(NotApplicable, match="sampling=Cut is not"):
        Poisson.of(Cut(0.5))
    assert SCHEMES["poisson"] is Poisson


CAPPED = Choice("capped", "cut", "Cut.", lambda said: Poisson(0.5), (Option("cap", "the most examples of a batch"),))
ORDERED = Choice(
    "ordered", "in order", "Ordered.", lambda said: Poisson(0.5), (Option("order", "when", ("fresh", "once"), "fresh"),)
)
BOTH = {each.name: each for each in (CAPPED, ORDERED)}


def test_an_option_of_another_scheme_is_refused_by_the_name_of_that_scheme() -> None:
    (said,) = ORDERED.foreign({"cap": 300, "order": "once"}, BOTH)
    assert said == (
        "cap=300 is an option of capped, and the sampling is ordered. Leave out --cap, or draw by --sampling capped."
    )
    assert CAPPED.foreign({"cap": 300}, BOTH) == []


def test_options_of_a_scheme_are_checked_and_have_their_defaults() -> None:
    assert CAPPED.own_problems({}) == ["cap is missing: capped needs the most examples of a batch. Give --cap."]
    (said,) = CAPPED.own_problems({"cap": 2.5})
    assert said.startswith("cap=2.5 is not a whole number")
    (said,) = ORDERED.own_problems({"order": "onse"})
    assert said == "order=onse is not one of: fresh, once. Did you mean 'once'?"
    assert ORDERED.own_problems({}) == [] and ORDERED.complete({}) == {"order": "fresh"}


def test_steps_and_epochs_of_full_batches_have_to_agree() -> None:
    """300 passes were accounted for as the 5 steps beside them."""
    run = Settings(noise_multiplier=5.0, sampling="full-batch", steps=5)
    with pytest.raises(PlanError, match="steps=5 contradicts epochs=300, which is 300 steps"):
        run.with_(epochs=300.0).plan()
    assert run.with_(epochs=5.0).plan().steps == 5
