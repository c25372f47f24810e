"""What is known by moments alone: never below the truth of what satisfies it, published figures met, pairs refused."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import Guarantee, rdp, renyi_curves, zcdp
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import (
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    NoisyMax,
    RandomizedResponse,
    Stated,
    StatedGdp,
)
from dpplan.mechanism.stated_curves import StatedRenyi, StatedZcdp
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize, Poisson

FULL = Poisson(1.0)
CENSUS_RHO = (542 / 339) ** 2  # the scale of the noise, 339/542, from the settings file


def plan(*parts: tuple[Mechanism, int], adjacency: Adjacency = ADD_REMOVE) -> Plan:
    return Plan(tuple(Phase(kind, FULL, steps) for kind, steps in parts), adjacency=adjacency)


@pytest.mark.parametrize("steps", [1, 2, 17, 1000])
@pytest.mark.parametrize("delta", [1e-5, 1e-50])
def test_a_stated_rho_costs_what_the_best_order_proves(steps: int, delta: float) -> None:
    """Against a dense scan of orders by mpmath, which imports nothing from here."""
    found = rdp.epsilon(plan((StatedZcdp(0.01), steps)), delta)
    assert found.guarantee is Guarantee.UPPER and found.lower is None
    with mp.workdps(30):
        rho = mpf("0.01") * steps

        def proven(b: mpf) -> mpf:
            return rho * (b + 1) + mp.log(b / (b + 1)) - (mp.log(delta) + mp.log(b + 1)) / b

        best = min(proven(mp.exp(mpf(x) / 50)) for x in range(-200, 500))
        assert best * (1 - mpf("1e-3")) <= found.upper <= best
    assert zcdp.epsilon(plan((StatedZcdp(0.01), steps)), delta).upper == pytest.approx(found.upper, rel=1e-6)


def test_the_census_of_persons_has_the_printed_figure() -> None:
    """17.14 at 1e-10 by the conversion that was used; one Gaussian of this ρ would cost 16.47, an estimate."""
    persons = plan((StatedZcdp(CENSUS_RHO), 1), adjacency=REPLACE_ONE)
    for name in ("rdp", "zcdp"):
        found = accounting.epsilon(persons, 1e-10, name)
        assert found.guarantee is Guarantee.UPPER and found.value == pytest.approx(17.1436, abs=5e-5)
    as_if = accounting.epsilon(persons, 1e-10, "gdp")
    assert as_if.guarantee is Guarantee.ESTIMATE and as_if.value == pytest.approx(16.47, abs=5e-3)
    with pytest.raises(NotApplicable, match="Gaussian of the same rho is no upper bound"):
        accounting.epsilon(persons, 1e-10)


def test_the_printed_figure_of_housing_units_does_not_follow_from_the_rho_that_is_quoted_for_it() -> None:
    quoted = accounting.epsilon(plan((StatedZcdp(0.07), 1), adjacency=REPLACE_ONE), 1e-10, "zcdp").value
    needed = accounting.epsilon(plan((StatedZcdp(0.07468), 1), adjacency=REPLACE_ONE), 1e-10, "zcdp").value
    assert quoted == pytest.approx(2.387, abs=5e-4) and needed == pytest.approx(2.47, abs=5e-4)


@pytest.mark.parametrize(("rho", "delta", "printed"), [(0.81, 1e-10, 8.92), (0.025, 1e-6, 1.014074255)])
def test_printed_conversions_of_rho(rho: float, delta: float, printed: float) -> None:
    """A keyboard model by DP-FTRL, and a row of the reference implementation of the conversion."""
    found = accounting.epsilon(plan((StatedZcdp(rho), 1)), delta, "rdp")
    assert found.value == pytest.approx(printed, abs=5e-3 if printed == 8.92 else 1e-8)


def test_a_gaussian_is_never_above_the_stated_curve_that_it_satisfies() -> None:
    orders = (1.5, 2.0, 4.0, 8.0, 32.0)
    for sigma, steps in ((1.0, 1), (3.0, 10), (20.0, 1000)):
        rho = 0.5 / sigma**2
        truth = accounting.epsilon(plan((Gaussian(sigma), steps)), 1e-6)
        curve = StatedRenyi(orders, tuple(rho * order for order in orders))
        by_curve = accounting.epsilon(plan((curve, steps)), 1e-6, "rdp").value
        by_rho = accounting.epsilon(plan((StatedZcdp(rho), steps)), 1e-6, "rdp").value
        assert truth.lower is not None and truth.lower <= by_rho <= by_curve * (1 + 1e-9)


def test_between_its_orders_a_curve_is_the_chord_and_beyond_them_nothing() -> None:
    curve = renyi_curves.Interpolated((2.0, 4.0), (0.1, 0.6))
    at = curve(np.array([1.5, 2.0, 3.0, 4.0, 4.0001]))
    assert at[:4] == pytest.approx([0.1, 0.1, (0.1 + 1.8) / 2 / 2, 0.6], rel=1e-12)
    assert at[4] == math.inf
    chosen = rdp.epsilon(plan((StatedRenyi((2.0, 4.0), (0.1, 0.6)), 1)), 1e-5)
    assert 2.0 <= float(str(chosen.details["order"])) <= 4.0
    least = min(float(rdp.to_epsilon(np.array([d]), np.array([a]), 1e-5)[0]) for a, d in ((2.0, 0.1), (4.0, 0.6)))
    assert chosen.upper is not None and chosen.upper <= least * (1 + 1e-12)


LAWS = [
    (Laplace(0.3), ADD_REMOVE),
    (DiscreteLaplace(0.4, 3), ADD_REMOVE),
    (Stated(0.3), REPLACE_ONE),
    (RandomizedResponse(0.4, 5), REPLACE_ONE),
    (RandomizedResponse(0.4, 5), ZERO_OUT),
    (StatedGdp(0.3), ADD_REMOVE),
    (NoisyMax(0.2), ADD_REMOVE),
]


@pytest.mark.parametrize(("kind", "adjacency"), LAWS)
@pytest.mark.parametrize("steps", [1, 40])
def test_rdp_answers_laws_of_known_moments_and_never_below_their_truth(
    kind: Mechanism, adjacency: Adjacency, steps: int
) -> None:
    beside = Phase(Gaussian(4.0), Poisson(1.0 if adjacency == REPLACE_ONE else 0.1), 20)
    both = Plan((Phase(kind, FULL, steps), beside), adjacency=adjacency)
    if adjacency == REPLACE_ONE:
        both = plan((kind, steps), adjacency=adjacency)
    truth, found = accounting.epsilon(both, 1e-6), accounting.epsilon(both, 1e-6, "rdp")
    assert found.guarantee is Guarantee.UPPER
    assert truth.lower is not None and truth.lower <= found.value <= 1.6 * truth.value + 0.05
    if steps > 1:  # alone, a pure release is best at the largest order, which delta hardly moves
        assert accounting.delta(both, found.value, "rdp").value == pytest.approx(1e-6, rel=1e-2)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("order", [1.0001, 1.5, 7.0, 300.0])
@pytest.mark.parametrize(("kind", "adjacency"), LAWS)
def test_divergences_of_laws_are_those_of_mpmath(kind: Mechanism, adjacency: Adjacency, order: float) -> None:
    run = renyi_curves.of(plan((kind, 1), adjacency=adjacency), "rdp")
    found = float(np.atleast_1d(run.divergence(np.array([order])))[0])
    with mp.workdps(40):
        truth = max(_renyi(p, order) for p in _outcomes(kind, adjacency))
        assert truth <= found <= truth * (1 + mpf("1e-9")) + mpf("1e-9")


def _renyi(outcomes: list[tuple[mpf, mpf]], order: float) -> mpf:
    return mp.log(mp.fsum(p**order * q ** (1 - mpf(order)) for p, q in outcomes)) / (mpf(order) - 1)


def _outcomes(kind: Mechanism, adjacency: Adjacency) -> list[list[tuple[mpf, mpf]]]:
    """(P, Q) outcome by outcome, in each direction, from the mechanism itself."""
    if isinstance(kind, StatedGdp):  # order·μ²/2 in closed form: one outcome of that loss at order 2 has it
        return [_gaussian_outcomes(mpf(kind.mu))]
    e = mpf(kind.epsilon)  # type: ignore[attr-defined]
    if isinstance(kind, Laplace):  # the loss between -e and e by a fine Gauss rule
        nodes = _gauss(0, 1)
        inside = [(w * e / 2 * mp.exp(-e * (1 - x)), w * e / 2 * mp.exp(-e * x)) for x, w in nodes]
        return [[(mpf(1) / 2, mp.exp(-e) / 2), (mp.exp(-e) / 2, mpf(1) / 2), *inside]]
    if isinstance(kind, DiscreteLaplace):
        rate, far = e / kind.sensitivity, kind.sensitivity
        point = (1 - mp.exp(-rate)) / (1 + mp.exp(-rate))
        return [[(point * mp.exp(-rate * abs(x - far)), point * mp.exp(-rate * abs(x))) for x in range(-900, 900)]]
    k = kind.categories if isinstance(kind, RandomizedResponse) else 2
    whole = mp.exp(e) + k - 1
    if adjacency == ZERO_OUT:
        rows = [(mp.exp(e) / whole, mpf(1) / k), ((k - 1) / whole, mpf(k - 1) / k)]
        return [rows, [(q, p) for p, q in rows]]
    return [[(mp.exp(e) / whole, 1 / whole), (1 / whole, mp.exp(e) / whole), *[(1 / whole, 1 / whole)] * (k - 2)]]


def _gauss(low: int, high: int) -> list[tuple[mpf, mpf]]:
    x, w = np.polynomial.legendre.leggauss(80)
    return [((mpf(a) + 1) / 2 * (high - low) + low, mpf(b) / 2 * (high - low)) for a, b in zip(x, w, strict=True)]


def _gaussian_outcomes(mu: mpf) -> list[tuple[mpf, mpf]]:
    """A trapezoid sum over ±400, which is exact to its digits: order 300 moves the weight to 300·μ."""
    step = mpf(1) / 4
    places = (step * at for at in range(-200, 800))
    return [(step * mp.npdf(x - mu), step * mp.npdf(x)) for x in places]


def test_the_exponential_mechanism_costs_a_quarter_of_what_is_pure() -> None:
    ((curve, _),) = renyi_curves.of(plan((Exponential(0.4), 1)), "zcdp").others
    assert 0.0395 < curve(np.array([2.0]))[0] < 0.04  # ε²/8·2, and the worst of two losses 0.4 apart
    by_range, pure = (
        accounting.epsilon(plan((kind, 200)), 1e-6, "rdp").value for kind in (Exponential(0.4), Stated(0.4))
    )
    assert by_range < 0.6 * pure


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 0.1, 1.0, 10.0, 100.0])
def test_the_divergence_of_a_bounded_range_is_that_of_its_worst_two_losses(epsilon: float) -> None:
    """Against the largest over many places of the two, at 40 digits; never below it, and hardly above."""
    curve = renyi_curves.BoundedRange(epsilon)
    with mp.workdps(40):
        ratio = mp.exp(epsilon)
        for order in (1.001, 1.5, 2.0, 17.0, 1000.0):
            found, tilt = curve(np.array([order]))[0], mpf(order) - 1
            worst = mpf(0)
            near = [min(mpf(10) ** (-mpf(each) / 50), mpf(1)) * epsilon for each in range(250)]
            for place in (
                *near,
                *(epsilon - each for each in near),
                *(mpf(epsilon) * at / 100 for at in range(1, 100)),
            ):
                x = mp.exp(place)
                moment = ((ratio - x) * x**tilt + (x - 1) * (x / ratio) ** tilt) / (ratio - 1)
                worst = max(worst, mp.log(moment) / tilt)
            assert worst <= found <= order * epsilon**2 / 8 * (1 + 1e-12)
            assert found <= float(worst) * (1 + 1e-3) + 1e-11


@pytest.mark.parametrize("scores", [(0, 1), (0, 0, 0, 5), (0, 1, 2, 3, 4)])
def test_no_exponential_mechanism_on_a_tiny_domain_exceeds_its_curve(scores: tuple[int, ...]) -> None:
    """Every change of the scores by at most 1, exhaustively, at many orders."""
    e = 1.3

    def law(shift: tuple[int, ...]) -> np.ndarray:
        weights = np.exp(e / 2 * (np.array(scores) + np.array(shift)))
        return weights / weights.sum()

    shifts = [tuple(map(int, np.base_repr(at, 3).zfill(len(scores)))) for at in range(3 ** len(scores))]
    others = [law(tuple(each - 1 for each in shift)) for shift in shifts]
    for order in (1.01, 2.0, 5.0, 40.0):
        worst = max(np.log(np.sum(p**order * law((0,) * len(scores)) ** (1 - order))) / (order - 1) for p in others)
        assert worst <= e**2 / 8 * order * (1 + 1e-9)


def test_a_stated_delta_is_set_aside_and_may_leave_nothing() -> None:
    both = plan((StatedZcdp(0.01), 3), (Stated(0.2, 1e-7), 4))
    found = accounting.epsilon(both, 1e-6, "rdp")
    pure = accounting.epsilon(plan((StatedZcdp(0.01), 3), (Stated(0.2), 4)), 6e-7, "rdp")
    assert found.value == pytest.approx(pure.value, rel=1e-5)
    assert accounting.delta(both, found.value, "rdp").value == pytest.approx(1e-6, rel=1e-3)
    with pytest.raises(NotApplicable, match="gives a record away altogether"):
        accounting.epsilon(both, 3e-7, "rdp")
    with pytest.raises(NotApplicable, match="not known by a ρ"):
        accounting.epsilon(both, 1e-6, "zcdp")


@pytest.mark.parametrize("name", ["exact", "moments", "optimal", "advanced", "basic"])
def test_who_needs_a_pair_refuses_a_curve_and_says_who_answers(name: str) -> None:
    for kind in (StatedZcdp(0.1), StatedRenyi((2.0,), (0.1,))):
        with pytest.raises(NotApplicable, match="Ask --accountant rdp"):
            accounting.epsilon(plan((Gaussian(2.0), 3), (kind, 1)), 1e-6, name)


def test_what_sampling_makes_of_a_curve_is_not_guessed() -> None:
    for scheme in (Poisson(0.1), FixedSize(10, 100)):
        for name in ("rdp", "zcdp", "gdp"):
            with pytest.raises(NotApplicable):
                accounting.epsilon(Plan((Phase(StatedZcdp(0.1), scheme, 1),)), 1e-6, name)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StatedZcdp(0), "rho=0 is not a positive number"),
        (lambda: StatedZcdp(1e9), "rho=1000000000 is not between"),
        (lambda: StatedRenyi((), ()), "orders=\\[\\] is not a list"),
        (lambda: StatedRenyi(2.0, 0.1), "orders=2 is not a list"),  # type: ignore[arg-type]
        (lambda: StatedRenyi((2.0,), (0.1, 0.2)), "orders has 1 numbers and epsilons 2"),
        (lambda: StatedRenyi((1.0, 2.0), (0.1, 0.2)), "orders: 1 is not between"),
        (lambda: StatedRenyi((4.0, 2.0), (0.1, 0.2)), "does not rise"),
        (lambda: StatedRenyi((2.0,), (-0.1,)), "epsilons: -0.1 is not a number of at least 0"),
        (lambda: StatedRenyi((2.0, math.nan), (0.1, 0.2)), "orders: nan is not a number"),
        (lambda: StatedRenyi((2.0,) * 1001, (0.1,) * 1001), "1001 numbers"),
    ],
)
def test_curves_that_make_no_sense_are_refused(make: object, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make()  # type: ignore[operator]
