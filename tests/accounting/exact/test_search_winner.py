"""A search that releases its winner, composed with other phases: against exact winners on small domains."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting.best_of_trials import WinnerCurve, cost_of_choosing, count, gamma, has_search, most
from dpplan.accounting.bound import Guarantee
from dpplan.accounting.exact import search_winner
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.exact.proven_deltas import TO_THE_LAST
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, NotCertified, PlanError
from dpplan.mechanism import BestOfTrials, Gaussian, Laplace, RandomizedResponse, Stated
from dpplan.mechanism.trials import LAWS, Trials
from dpplan.plan import Phase, Plan
from dpplan.risk.source import source_of_plan
from dpplan.sampling import Poisson

ONE = Phase(Gaussian(4.0), Poisson(1.0), 1)


def search(*phases: Phase, law: str = "geometric", mean: float = 10.0) -> Phase:
    return Phase(BestOfTrials(law, mean, phases), Poisson(1.0), 1)


def pgf(trials: Trials, x: np.ndarray) -> np.ndarray:
    """E[x^K], written down anew."""
    if trials.law == "poisson":
        return np.exp(trials.mean * (x - 1))
    if trials.law == "binomial":
        return (1 - trials.chance + trials.chance * x) ** count(trials)
    share, eta = gamma(trials), trials.shape
    if eta == 0:
        return np.log(1 - (1 - share) * x) / math.log(share)
    return ((1 - (1 - share) * x) ** -eta - 1) / (share**-eta - 1)


def response(epsilon: float, answers: int) -> tuple[np.ndarray, np.ndarray]:
    """The laws of randomized response under two answers."""
    other = np.full(answers, 1.0) / (math.exp(epsilon) + answers - 1)
    pair = other.copy(), other.copy()
    pair[0][0] *= math.exp(epsilon)
    pair[1][1] *= math.exp(epsilon)
    return pair


def winner(law: np.ndarray, trials: Trials) -> np.ndarray:
    """The law of the best of K, the last outcome being the best, with 'none' first."""
    values = pgf(trials, np.minimum(np.concatenate([[0.0], np.cumsum(law)]), 1.0))
    return np.concatenate([[values[0]], np.diff(values)])


def delta_of(p: np.ndarray, q: np.ndarray, epsilon: float) -> float:
    return float(np.maximum(p - math.exp(epsilon) * q, 0).sum())


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("law", LAWS)
def test_no_winner_with_what_comes_beside_it_tells_more_than_is_claimed(law: str) -> None:
    """Randomized response with every order of its answers by score, beside another response; both ways round."""
    trials, beside = Trials(law, 3.0), response(0.5, 2)
    trial = Phase(RandomizedResponse(0.7, 3), Poisson(1.0), 1)
    other = Phase(RandomizedResponse(0.5, 2), Poisson(1.0), 1)
    plan = Plan((search(trial, law=law, mean=3.0), other), adjacency=REPLACE_ONE)
    told = 0.0
    for epsilon in (0.0, 0.4, 1.2, 2.0):
        claimed = accounting.delta(plan, epsilon)
        assert claimed.guarantee is Guarantee.UPPER and claimed.lower is None and claimed.upper is not None
        for order in itertools.permutations(range(3)):
            one, two = (winner(each[list(order)], trials) for each in response(0.7, 3))
            for p, q in ((one, two), (two, one)):
                for a, b in (beside, beside[::-1]):
                    true = delta_of(np.outer(p, a), np.outer(q, b), epsilon)
                    assert true <= claimed.upper
                    told = max(told, true / claimed.upper if claimed.upper else 0.0)
    assert told > 0.2  # a claim of 1 would pass all that is above


def test_a_trial_that_draws_its_kind_tells_no_more_than_is_claimed() -> None:
    """Two responses of different ε, which one being seen; every order of the six outcomes by score, both ways round."""
    kinds, trials = (0.4, 1.0), Trials("geometric", 3.0)
    first, other = ((Phase(RandomizedResponse(each, 3), Poisson(1.0), 1),) for each in kinds)
    best = BestOfTrials.of(trials, first, others=(other,))
    plan = Plan((Phase(best, Poisson(1.0), 1),), adjacency=REPLACE_ONE)
    laws = [np.concatenate([0.5 * response(each, 3)[side] for each in kinds]) for side in (0, 1)]
    told = 0.0
    for epsilon in (0.3, 1.0, 1.6):
        claimed = accounting.delta(plan, epsilon).value
        assert claimed <= accounting.delta(Plan((search(*other, mean=3.0),), adjacency=REPLACE_ONE), epsilon).value
        for order in itertools.permutations(range(6)):
            one, two = (winner(law[list(order)], trials) for law in laws)
            true = max(delta_of(one, two, epsilon), delta_of(two, one, epsilon))
            assert true <= claimed
            told = max(told, true / claimed)
    assert told > 0.2


@pytest.mark.slow
def test_kinds_cost_between_the_cheapest_and_the_dearest_by_either_accountant() -> None:
    cheap, dear = ((Phase(Gaussian(sigma), Poisson(1.0), 1),) for sigma in (8.0, 4.0))
    trials = Trials("geometric", 10.0)
    both = Plan((Phase(BestOfTrials.of(trials, cheap, others=(dear,)), Poisson(1.0), 1),))
    same = Plan((Phase(BestOfTrials.of(trials, dear, others=(dear,)), Poisson(1.0), 1),))
    for accountant in ("exact", "rdp"):
        low, high = (accounting.epsilon(Plan((search(*each),)), 1e-6, accountant).value for each in (cheap, dear))
        assert low < accounting.epsilon(both, 1e-6, accountant).value < high
        assert accounting.epsilon(same, 1e-6, accountant).value == pytest.approx(high, rel=1e-6)
    assert "Poisson sampling" not in str(both.assumptions)
    sampled = (Phase(Gaussian(4.0), Poisson(0.5), 1),)
    mixed = Plan((Phase(BestOfTrials.of(trials, dear, others=(sampled,)), Poisson(1.0), 1),))
    assert "Poisson sampling" in str(mixed.assumptions)  # whichever kind assumes it
    with pytest.raises(PlanError, match="search within a search"):
        BestOfTrials.of(trials, dear, others=((search(*dear),),))
    with pytest.raises(PlanError, match="is empty"):
        BestOfTrials.of(trials, dear, others=((),))


@pytest.mark.parametrize(("sigma", "figure"), [(4.0, 1.983017), (2.0, 3.993254)])
def test_a_search_alone_costs_what_the_profile_form_says(sigma: float, figure: float) -> None:
    plan = Plan((search(Phase(Gaussian(sigma), Poisson(1.0), 1)),))
    found = accounting.epsilon(plan, 1e-6)
    assert has_search(plan) and found.guarantee is Guarantee.UPPER
    assert found.value == pytest.approx(figure, rel=1e-4)
    assert accounting.epsilon(plan, 1e-6, "rdp").value > found.value
    assert "Koskela" in found.why


@pytest.mark.slow
def test_composition_is_dearer_than_each_part_and_cheaper_than_the_sum() -> None:
    before = Phase(Laplace(0.1), Poisson(1.0), 4)
    whole = Plan((before, search(ONE)))
    parts = [accounting.epsilon(Plan((each,)), 1e-6).value for each in whole.phases]
    for accountant in ("exact", "rdp"):
        found = accounting.epsilon(whole, 1e-6, accountant).value
        assert found > max(parts)
    assert accounting.epsilon(whole, 1e-6).value < sum(parts)
    twice = Plan((search(ONE), search(ONE)))
    assert accounting.epsilon(twice, 1e-6).value == pytest.approx(
        accounting.epsilon(Plan((replace(search(ONE), steps=2),)), 1e-6).value, rel=1e-9
    )


def test_more_trials_and_more_noise_move_it_the_right_way() -> None:
    costs = [
        accounting.epsilon(Plan((search(ONE, law="poisson", mean=mean),)), 1e-6).value for mean in (1.0, 5.0, 20.0)
    ]
    assert costs == sorted(costs)
    assert accounting.epsilon(Plan((ONE,)), 1e-6).value < costs[0]


@pytest.mark.sweep(slow=("1e-15",))
@pytest.mark.parametrize("delta", [1e-3, 1e-15, 1e-60])
def test_deltas_of_any_size_are_answered(delta: float) -> None:
    plan = Plan((search(ONE), Phase(Laplace(0.1), Poisson(1.0), 1)))
    found = accounting.epsilon(plan, delta).value
    assert 0.0 < found < accounting.epsilon(plan, delta, "rdp").value


def test_a_record_that_is_zeroed_out_or_replaced_is_followed_into_its_trial() -> None:
    """A replaced record moves a clipped sum by twice as much, in a trial as anywhere."""
    plan = Plan((search(ONE),), adjacency=ZERO_OUT)
    replaced = Plan((search(ONE),), adjacency=REPLACE_ONE)
    half = Plan((search(replace(ONE, mechanism=Gaussian(2.0))),), adjacency=ZERO_OUT)
    assert accounting.epsilon(replaced, 1e-6).value == pytest.approx(accounting.epsilon(half, 1e-6).value, rel=1e-6)
    assert accounting.epsilon(plan, 1e-6).value < accounting.epsilon(replaced, 1e-6).value


def test_groups_inside_and_around_a_search() -> None:
    apart = tuple(replace(ONE, groups=((0, group),)) for group in range(2))
    alike = accounting.epsilon(Plan((search(*apart),)), 1e-6).value
    assert alike == pytest.approx(accounting.epsilon(Plan((search(ONE),)), 1e-6).value, rel=1e-4)
    around = Plan(tuple(replace(search(ONE), groups=((0, group),)) for group in range(2)))
    assert accounting.epsilon(around, 1e-6).value == pytest.approx(alike, rel=1e-4)
    said = (replace(each, adjacency=REPLACE_ONE) for each in around.phases)
    moved = replace(around, adjacency=REPLACE_ONE, phases=tuple(said))
    assert accounting.epsilon(moved, 1e-6).value > accounting.epsilon(around, 1e-6).value


def test_a_profile_with_small_deltas_keeps_their_digits() -> None:
    """What a search asks of a trial lies far below what curves are drawn of."""
    profile = Profile.of(Plan.from_rate(2.0, 0.01, 100))
    (low,), (high,) = profile.ends(0, np.array([1.5]), TO_THE_LAST)
    assert 0.0 < low <= high < 1e-18 and (high - low) / high < 1e-3


def test_a_picture_of_it_is_from_above() -> None:
    source = source_of_plan(Plan((search(ONE),)))
    assert source.guarantee is Guarantee.UPPER
    low, high = source.delta(0, 1.0)
    assert low == 0.0 < high < 1.0


@pytest.mark.parametrize("accountant", ["gdp", "zcdp", "moments", "basic", "advanced", "optimal"])
def test_accountants_without_a_theorem_refuse(accountant: str) -> None:
    with pytest.raises(NotApplicable):
        accounting.epsilon(Plan((search(ONE),)), 1e-6, accountant)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(PlanError, match="search within a search"):
        search(search(ONE))
    sampled = replace(search(ONE), sampling=Poisson(0.5))
    for accountant in ("exact", "rdp"):
        with pytest.raises(NotApplicable):
            accounting.epsilon(Plan((sampled,)), 1e-6, accountant)
    with pytest.raises(NotApplicable, match="binomial"):
        accounting.epsilon(Plan((search(ONE, law="binomial"),)), 1e-6, "rdp")
    with pytest.raises(NotApplicable, match="reveal all"):
        accounting.epsilon(Plan((search(Phase(Stated(0.1, 1e-9), Poisson(1.0), 1)),)), 1e-6, "rdp")


def test_a_trial_that_may_reveal_all_is_charged_for_it() -> None:
    """m·δ of a trial with a stated δ: below that no ε suffices."""
    plan = Plan((search(Phase(Stated(0.1, 1e-8), Poisson(1.0), 1)),))
    assert accounting.delta(plan, 50.0).value == pytest.approx(1e-7, rel=1e-2)
    assert accounting.epsilon(plan, 1e-6).value == pytest.approx(0.3, rel=1e-3)


def test_the_curve_of_moments_covers_a_trial_of_one() -> None:
    """A geometric number of mean near 1 is one trial: by Thm 2 it costs what choosing could."""
    curve = WinnerCurve(Trials("geometric", 1.0 + 1e-9), lambda orders: orders / 32.0, lambda *_: -50.0)
    orders = np.array([2.0, 8.0])
    assert np.all(curve(orders) >= orders / 32.0)
    assert np.all(curve(orders) <= orders / 32.0 + 0.01)
    assert search_winner.winner((Plan((ONE,)),), Trials("geometric", 10.0)).dominates
    assert most(Trials("poisson", 10.0)) == 10.0


def test_a_trial_that_may_reveal_all_is_bounded_as_far_as_its_mean_allows() -> None:
    """m·δ = 0.2 is all that is known beyond some ε, and a δ below it is refused in words of a search."""
    plan = Plan((search(Phase(Stated(0.3, 0.02), Poisson(1.0), 1)),))
    found = accounting.delta(plan, 3.0)
    assert found.guarantee is Guarantee.UPPER and found.upper == pytest.approx(0.2, rel=1e-5) and found.upper >= 0.2
    with pytest.raises(NotCertified, match=r"no more than 0\.2, the least δ that the profile of one trial proves"):
        accounting.epsilon(plan, 1e-3)


def test_what_was_not_shown_of_a_trial_is_not_said_to_be_false(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object) -> None:
        raise NotCertified("nothing is proven")

    monkeypatch.setattr(search_winner, "costliest", nothing)
    with pytest.raises(NotCertified, match=r"a trial is proven .* for no δ up to"):
        search_winner._last(Plan.from_rate(1.0, 0.1, 3), 10.0, 40.0)


def test_what_no_theorem_knows_of_a_trial_is_said_once() -> None:
    trial = (Phase(RandomizedResponse(0.5, 2), Poisson(1.0), 1, groups=((0, 0),)), replace(ONE, groups=((0, 1),)))
    with pytest.raises(NotApplicable) as caught:
        accounting.epsilon(Plan((search(*trial),), adjacency=REPLACE_ONE), 1e-6)
    assert str(caught.value).count("no theorem") == 1 and not str(caught.value).endswith("..")


def rise(trials: Trials, x: mpf) -> mpf:
    """g'(x) of E[x^K], in mpmath; g'(1) is the mean."""
    if trials.law == "poisson":
        return trials.mean * mp.exp(trials.mean * (x - 1))
    if trials.law == "binomial":
        p, n = mpf(trials.chance), count(trials)
        return n * p * (1 - p + p * x) ** (n - 1)
    share, eta = mpf(gamma(trials)), mpf(trials.shape)
    unit = -mp.log(share) if eta == 0 else (share**-eta - 1) / eta
    return (1 - share) * (1 - (1 - share) * x) ** (-eta - 1) / unit


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("mean", [1.001, 3.7, 1e4])
def test_the_mean_of_trials_is_no_less_than_said_in_mpmath(law: str, mean: float) -> None:
    """g'(1), with γ as the float it is: at least the mean that was asked for, at most `most`, and near both."""
    trials = Trials(law, mean)
    with mp.workdps(40):
        true = rise(trials, mpf(1))
        assert mpf(mean) * (1 - mpf(10) ** -15) <= true <= most(trials) * (1 + mpf(10) ** -15)
        assert most(trials) <= mean * (1.0 + 2e-9) + (trials.chance if law == "binomial" else 0.0)


@pytest.mark.parametrize("law", LAWS)
def test_the_cost_of_choosing_bounds_every_ratio_of_ranks_in_mpmath(law: str) -> None:
    """log g'(u) - log g'(u') over a net of the u <= e^e·u' + δ(e), 1 - u' <= e^e·(1 - u) + δ(e), at the e that was
    chosen: never above c."""
    trials, beyond = Trials(law, 5.0), 1e-4
    cost, e = cost_of_choosing(trials, lambda place: beyond * math.exp(-place))
    with mp.workdps(30):
        grown, extra, largest = mp.exp(mpf(e)), mpf(beyond) * mp.exp(-mpf(e)), mpf(0)
        for k in range(401):
            other = mpf(k) / 400
            u = min(grown * other + extra, 1 - (1 - other - extra) / grown, mpf(1))
            largest = max(largest, mp.log(rise(trials, u) / rise(trials, other)))
        assert largest >= 0.1 * cost
        assert largest <= cost


@pytest.mark.parametrize(("law", "eta"), [("geometric", 1.0), ("logarithmic", 0.0)])
def test_moments_of_a_winner_are_the_theorem_at_its_best_second_order(law: str, eta: float) -> None:
    """Papernot and Steinke 2022, Thm 2, for Gaussian trials: b·ρ - ρ + log(1/γ)/b is least at b = √(log(1/γ)/ρ)."""
    trials, rho = Trials(law, 20.0), 0.02
    curve = WinnerCurve(trials, lambda orders: rho * orders, lambda *_: 0.0)
    orders = np.array([1.5, 4.0, 64.0])
    with mp.workdps(30):
        spread, r = -mp.log(mpf(gamma(trials))), mpf(rho)
        least = (1 + eta) * (2 * mp.sqrt(spread * r) - r)
        for order, found in zip(orders.tolist(), curve(orders).tolist(), strict=True):
            exact = order * r + least + mp.log(rise(trials, mpf(1))) / (order - 1)
            assert exact <= found <= exact * (1 + mpf(10) ** -4)


@pytest.mark.parametrize("law", ["poisson", "geometric"])
def test_the_pair_of_a_winner_is_above_every_exact_winner_in_mpmath(law: str) -> None:
    """Three answers of randomized response, every order by score, both ways round, by differences of E[x^K]."""
    trials = Trials(law, 3.0)
    trial = Plan((Phase(RandomizedResponse(0.7, 3), Poisson(1.0), 1),), adjacency=REPLACE_ONE)
    law_of_winner = search_winner.winner((trial,), trials).remove

    def best(masses: list[mpf]) -> list[mpf]:
        ranks = [mp.fsum(masses[:k]) for k in range(4)]
        if law == "poisson":
            values = [mp.exp(trials.mean * (rank - 1)) for rank in ranks]
        else:
            share = mpf(gamma(trials))
            values = [share * rank / (1 - (1 - share) * rank) for rank in ranks]
        return [values[0], *(b - a for a, b in itertools.pairwise(values))]

    with mp.workdps(30):
        high, other = mp.exp(mpf(0.7)) / (mp.exp(mpf(0.7)) + 2), 1 / (mp.exp(mpf(0.7)) + 2)
        told = mpf(0)
        for epsilon in (0.0, 0.5, 1.2):
            factor = mp.exp(mpf(epsilon))
            rows = law_of_winner.atoms.rows
            claimed = law_of_winner.infinite + mp.fsum(max(mpf(p) - factor * mpf(q), mpf(0)) for _, p, q in rows)
            for one, two in itertools.permutations(range(3), 2):
                p, q = (best([high if k == at else other for k in range(3)]) for at in (one, two))
                true = mp.fsum(max(a - factor * b, mpf(0)) for a, b in zip(p, q, strict=True))
                assert true <= claimed
                told = max(told, true / claimed)
        assert told > 0.2


@pytest.mark.parametrize("mean", [1.0000000005, 1.00000001, 1.001])
def test_a_logarithmic_law_whose_mean_is_next_to_1_has_at_least_that_mean(mean: float) -> None:
    """1/γ - 1 in floats made it a part in 10^7 less."""
    trials = Trials("logarithmic", mean)
    with mp.workdps(40):
        share = mpf(gamma(trials))
        true = (1 - share) / (share * -mp.log(share))
        assert mpf(mean) * (1 - mpf(1e-15)) <= true <= mpf(most(trials)) <= true * (1 + mpf(1e-8))
