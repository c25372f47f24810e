"""What is cut away of steps is too unlikely to matter, and nothing is cut where nothing reaches for it."""

import math

import pytest
from mpmath import erfc, mpf, sqrt

from dpplan.accounting.exact.contour.placement import LOG_REMOVED
from dpplan.accounting.exact.mixed.fixed_size_replaced import MirroredSteps
from dpplan.accounting.exact.mixed.poisson_replaced import ReplacedSteps
from dpplan.accounting.exact.mixed.replaced_rule import Replacement
from dpplan.accounting.exact.mixed.truncated_steps import CutSteps

LOG_DELTA = math.log(1e-6)
KINDS = (ReplacedSteps, MirroredSteps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("sigma", "q", "count"), [(0.5, 1e-3, 1000.0), (1.0, 0.5, 7.0), (3.0, 1e-7, 1e6)])
def test_what_is_cut_is_less_than_a_trillionth_of_delta_and_is_counted(
    kind: type[CutSteps], sigma: float, q: float, count: float
) -> None:
    seen = kind(Replacement(sigma, q), count).seen_at(LOG_DELTA)
    cut = seen.cut_for(1e3, 1e3)
    assert isinstance(cut, kind)
    assert cut.step.cut is not None
    at, width = (mpf(float(part[0, 0])) for part in (cut.step.cut.at, cut.step.cut.width))

    def taken(mean: float) -> mpf:
        """Of N(mean, σ²): the cut is a normal distribution function, so this is one too."""
        return erfc((at - mean) / sqrt(2 * (sigma**2 + width**2))) / 2

    assert count * taken(1.0) <= math.exp(LOG_DELTA + LOG_REMOVED) * (1 + 1e-9)
    exact = count * ((1 - mpf(q)) * taken(0.0) + mpf(q) * taken(1.0))
    assert isinstance(cut, ReplacedSteps | MirroredSteps)
    assert exact <= cut.removed * (1 + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_cut_where_no_tilt_reaches_for_it(kind: type[CutSteps]) -> None:
    seen = kind(Replacement(1.0, 0.01), 100.0).seen_at(LOG_DELTA)
    assert math.isfinite(seen.limit)
    low = seen.limit - 1.0 - 3.0
    assert seen.cut_for(low - 0.01, low) is seen
    assert seen.cut_for(low + 0.01, low + 0.01).step.cut is not None
    assert kind(Replacement(1.0, 0.01), 100.0).cut_for(1e9, 1e9).step.cut is None  # with no limit there is no cut


def test_the_contour_is_given_the_same_steps() -> None:
    steps = CutSteps(Replacement(0.8, 0.25), 12.0).steps
    assert (steps.sigma.item(), steps.q.item(), steps.count.item()) == (0.8, 0.25, 12.0)
