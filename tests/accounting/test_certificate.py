"""Where a certificate once was false, raised, or took a gigabyte; and what every certificate must keep with itself."""

import math
import random

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting import delta, epsilon, exact, rdp
from dpplan.accounting.bound import FLOOR, widened
from dpplan.accounting.exact import prove, rdp_cross_check
from dpplan.accounting.exact.prove import contour_plan
from dpplan.accounting.exact.prove import invert as invert_proof
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.sampled_gaussian_moments import log_excess_moments
from dpplan.errors import InternalError, NotCertified, PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson


def plan_of(*rows):
    """From (noise multiplier, sample rate, steps) of each phase."""
    return Plan(tuple(Phase(Gaussian(sigma), Poisson(q), steps) for sigma, q, steps in rows))


@pytest.mark.sweep(slow=("0.253", "0.230"))
@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked", "truth"),
    [
        # A loss above 650 was capped in one of two places that are subtracted.
        (0.033, 0.5, 10000, 1e-5, "2387090.43264917932"),
        (0.03, 0.5, 1000, 1e-5, "314651.60198640514"),
        # log(1 + 6e-8) was rounded to units of 1, 2.5e8 times over.
        (0.23042997496325346, 1.1269718584872427e-8, 247940070, 3.155132259610574e-86, "186.6166227089531"),
        (0.25305042126824284, 1.781365222868247e-8, 48975362, 5.103533194873574e-93, "144.8421067760"),
    ],
)
def test_certificates_that_were_false(sigma, q, steps, asked, truth):
    bound = epsilon(Plan.from_rate(sigma, q, steps), asked)
    lower, upper = bound.proven
    slack = mpf(10) ** (1 - len(truth.replace(".", ""))) * mpf(truth)  # of the last digit written
    assert mpf(lower) - slack <= mpf(truth) <= mpf(upper) + slack
    assert bound.proven_width < 1e-8


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("rows", "asked", "truth"),
    [
        # A single step without sampling, or nearly so, has frequencies at which its transform is all but 0: there the
        # logarithm of its modulus was rounded to units of 1.
        (((0.5, 1.0, 1), (1.0, 0.01, 1000)), 1e-6, 11.28961969536437),
        (((1.0, 1.0, 1), (1.0, 0.01, 100)), 0.38, 0.0189928803085),
        (((1.0, 1.0, 1), (1.0, 0.01, 100)), 0.383, 0.00920227698883),
        (((1.0, 1.0, 1), (1.0, 0.01, 100)), 0.3845, 0.00431210404397),
        # Deltas that no float holds in full: the command refuses them, and so does accounting.epsilon.
        (((1.0, 0.5, 1000),), 3e-322, 1000.2292003594),
        (((1.0, 1e-3, 10**6),), 1e-318, 72.4841362822231),
    ],
)
def test_transforms_near_zero_and_deltas_near_the_end_of_floats(rows, asked, truth):
    lower, upper = exact.epsilon(plan_of(*rows), asked).proven
    assert lower <= truth * (1 + 1e-11)
    assert truth * (1 - 1e-11) <= upper


@pytest.mark.parametrize(
    ("rows", "spent", "truth"),
    [
        (((1.0, 0.95, 1), (1.0, 0.01, 100)), 3.0, 0.0013947122167207),
        (((23.7112, 0.9, 20), (8.0498, 0.5, 3), (1.6552, 1 - 2**-53, 1)), 0.0221, 0.24154748763581),
        (((1.0, 0.5, 1),), 38.0, 2.3311e-321),
        (((1.0, 0.5, 1),), 100.0, 5e-324),  # 3e-2185: no float is nearer from above
        (((2.0, 0.01, 1),), 15.0, 5e-324),
    ],
)
def test_deltas_that_were_certified_too_low(rows, spent, truth):
    lower, upper = delta(plan_of(*rows), spent).proven
    assert lower <= truth * (1 + 1e-4)
    assert truth * (1 - 1e-11) <= upper


@pytest.mark.sweep(every=3, slow=("1e-300",))
@pytest.mark.parametrize("asked", [1e-300, 1e-290, 1e-270, 1e-200])
def test_the_smallest_deltas_that_are_answered(asked):
    for rows in (((1.0, 0.01, 1),), ((1.0, 0.01, 10),), ((1.0, 1.0, 3),)):
        bound = epsilon(plan_of(*rows), asked)
        assert 0 < bound.lower <= bound.upper < 200
    with pytest.raises(PlanError, match="is below 1e-300"):
        epsilon(plan_of((1.0, 0.01, 10)), 1e-301)


def test_a_delta_next_to_one_is_not_proven_to_be_one():
    for rows, spent in (((1.0, 0.5, 2000), 0.1), ((0.05, 0.5, 100), 1.0), ((0.3, 0.9, 50), 0.5)):
        assert delta(plan_of(rows), spent).proven[0] < 1.0


def test_renyi_moments_of_rare_samples_under_little_noise_do_not_cancel():
    """E_Q[r²] - 1 = q²(e^{1/σ²} - 1) in closed form; where q·e^t is small though e^t is huge."""
    for q, sigma in ((1e-20, 0.2), (1e-40, 0.19), (1e-100, 0.1), (1e-8, 0.12)):
        excess = float(log_excess_moments(q, sigma, np.array([2.0]))[0])
        with mp.workdps(40):
            truth = 2 * mp.log(q) + mp.log(mp.expm1(1 / mpf(sigma) ** 2))
        assert 0 <= excess - truth < 1e-9


@pytest.mark.slow
def test_many_tiny_deltas_at_once():
    first, second = exact.epsilons(Plan.from_rate(1.0, 0.01, 100), [1e-200, 2e-200])
    assert first.lower > second.upper > 0


def test_a_plan_of_four_phases_whose_proofs_contradicted_each_other():
    rows = (
        (161.0608304665894, 0.21068087262008542, 10578),
        (0.028023016117766184, 0.9999997215428634, 43),
        (1.1569172463904691, 1.4337537767619498e-9, 3),
        (0.06403437930359701, 0.4706947202084713, 67622),
    )
    plan = plan_of(*rows)
    bound = epsilon(plan, 6.927786789846244e-7)
    assert 0 < bound.lower <= bound.upper <= rdp.epsilon(plan, 6.927786789846244e-7).upper
    assert bound.proven_width < 1e-8


# Noise large and sample rate tiny: the tilt is so large that r^a overflows where nothing ever happens.
TINY = [
    (7.808258528374349, 1.8656683990522977e-9, 7186, 3.6849143465112455e-7),
    (85.62050427460065, 7.584062409447311e-8, 44, 1.1884257709873184e-7),
    (5.158456803808419, 4.549033623932119e-8, 27, 1.7913866400295583e-7),
]


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(("sigma", "q", "steps", "spent"), TINY)
def test_deltas_that_were_not_a_number(sigma, q, steps, spent):
    plan = Plan.from_rate(sigma, q, steps)
    bound = delta(plan, spent)
    assert 0 < bound.lower <= bound.upper < 1
    assert bound.proven_width < 1e-6
    back = epsilon(plan, bound.upper)
    assert back.lower <= spent * (1 + 1e-8)


@pytest.mark.parametrize(
    ("sigma", "q", "steps", "spent"), [(0.05, 0.6, 1000, 100.0), (0.05, 0.9999, 1000, 10.0), (0.02, 0.999999, 50, 3.0)]
)
def test_deltas_of_nearly_one_with_losses_in_the_thousands(sigma, q, steps, spent):
    """The add direction's law sits far to the left, but no further than where the sampled part ends."""
    bound = delta(Plan.from_rate(sigma, q, steps), spent)
    assert 1 - 2e-9 < bound.lower <= bound.upper == 1.0


@pytest.mark.parametrize("sigma", [1e-5, 1e-3, 0.004])
def test_hardly_any_noise_gets_a_wide_and_finite_interval(sigma):
    bound = epsilon(Plan.from_rate(sigma, 0.01, 1000), 1e-5)
    assert 0 < bound.lower < bound.upper < math.inf
    assert "wider than usual" in bound.why


def test_noise_that_no_figure_can_hold_is_refused():
    for q, steps in ((0.01, 1000), (1.0, 10**18)):
        with pytest.raises(NotCertified, match="no upper end could be proven"):
            epsilon(Plan.from_rate(1e-300, q, steps), 1e-5)


@pytest.mark.parametrize(
    ("sigma", "q", "steps"),
    [(1e300, 0.5, 10), (1e7, 0.5, 10), (1.0, 1e-15, 1000), (1.0, 1e-300, 1), (1e300, 1e-300, 1)],
)
def test_what_lies_outside_the_fast_methods_is_answered_all_the_same(sigma, q, steps):
    plan = Plan.from_rate(sigma, q, steps)
    assert 0 <= epsilon(plan, 1e-8).lower <= epsilon(plan, 1e-8).upper < 1e-3
    assert 0 <= delta(plan, 1.0).lower <= delta(plan, 1.0).upper < 1e-8


@pytest.mark.posix
def test_few_steps_and_rare_samples_take_no_gigabyte():
    import resource  # Windows has none, and runs the other tests of this file

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bound = epsilon(Plan.from_rate(6.789723443610874, 7.791537636884285e-8, 18), 3.153420666835571e-45)
    assert bound.proven_width < 1e-6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 450 * 1024  # KiB; it was 800 MiB


# The floor


@pytest.mark.parametrize(
    "plan",
    [Plan.from_rate(1.1, 0.004, 14063), Plan.from_rate(0.8, 0.05, 1), Plan.from_rate(3.0, 1.0, 50)],
    ids=["contour", "one step", "unsampled"],
)
@pytest.mark.parametrize("accountant", ["exact", "gdp"])
def test_every_certified_interval_is_wider_than_what_was_proven(plan, accountant):
    if accountant == "gdp" and plan.only_phase.sampling.sample_rate < 1:
        plan = Plan.from_rate(2.0, 1.0, 7)
    for bound in (epsilon(plan, 1e-6, accountant), delta(plan, 0.7, accountant)):
        lower, upper = bound.proven
        assert bound.lower <= lower * (1 - FLOOR)
        assert bound.upper >= upper * (1 + FLOOR)
        assert bound.relative_width < bound.proven_width + 2.1 * FLOOR


def test_the_floor_keeps_zero_and_one():
    assert widened("epsilon", 0.0, 0.0) == (0.0, 0.0)
    assert widened("delta", 0.5, 1.0)[1] == 1.0
    assert widened("epsilon", 1.0, 1.0)[1] > 1.0
    assert math.isinf(widened("epsilon", 1.0, math.inf)[1])


@pytest.mark.parametrize("apart", [1e-3, 1e-12, 1e-15])
def test_proofs_that_contradict_each_other_by_however_little_are_an_internal_error(apart):
    with pytest.raises(InternalError):
        rdp_cross_check.reconcile("epsilon", Ends(1.0 + apart, 1.0 + 2 * apart, "contour"), floor=0.0, ceiling=1.0)


def test_a_proof_is_held_against_the_ends_before_the_floor(monkeypatch):
    """Half of the floor would hide a mistake of that size."""
    plan = Plan.from_rate(1.0, 0.01, 200)
    true_ends = exact.epsilon(plan, 1e-6)
    shifted = tuple(end * (1 + FLOOR / 2) for end in true_ends.proven)
    moved = exact.Bound(
        "epsilon",
        true_ends.lower,
        true_ends.upper,
        true_ends.guarantee,
        "exact",
        plan.assumptions,
        details={"proven": shifted},
    )
    monkeypatch.setattr(prove.exact, "epsilon", lambda *_: moved)
    with pytest.raises(InternalError, match="do not meet"):
        prove.epsilon(plan, 1e-6, digits=12)


# What a certificate must keep with itself


def random_plan(draw: random.Random, beyond: bool = False) -> tuple[Plan, float]:
    """Of the whole box, and with `beyond` outside it too: very small and very large noise, q next to 0 and to 1."""

    def log_uniform(low: float, high: float) -> float:
        return math.exp(draw.uniform(math.log(low), math.log(high)))

    phases = []
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if beyond:
            sigma, q = (
                log_uniform(0.004, 1e5),
                log_uniform(1e-13, 1) if draw.random() < 0.7 else 1 - log_uniform(1e-12, 0.5),
            )
        else:
            sigma, q = log_uniform(0.05, 1e3), log_uniform(1e-9, 1)
        phases.append(Phase(Gaussian(sigma), Poisson(min(q, 1.0)), int(log_uniform(1, 1e9))))
    return Plan(tuple(phases)), log_uniform(1e-110, 0.9) if beyond else log_uniform(1e-100, 0.5)


def cut_and_shuffled(plan: Plan, draw: random.Random) -> Plan:
    """The same run, its phases cut in two and in another order."""
    phases = []
    for phase in plan.phases:
        first = draw.randint(1, phase.steps - 1) if phase.steps > 1 else 1
        counts = (first, phase.steps - first) if phase.steps > 1 else (1,)
        phases += [Phase(phase.mechanism, phase.sampling, count) for count in counts]
    draw.shuffle(phases)
    return Plan(tuple(phases))


def assert_it_keeps_with_itself(plan: Plan, asked: float, draw: random.Random) -> None:
    """delta at either end of epsilon, and epsilon of the same run written otherwise."""
    bound = epsilon(plan, asked)
    for low, high in (bound.proven, (bound.lower, bound.upper)):
        if 0 < high < 1e12:
            assert delta(plan, high).proven[0] <= asked
        if low > 0:
            assert delta(plan, low).proven[1] >= asked
    other = epsilon(cut_and_shuffled(plan, draw), asked)
    assert other.proven[0] <= bound.proven[1]
    assert bound.proven[0] <= other.proven[1]


@pytest.mark.slow
@pytest.mark.sweep(every=40)
@pytest.mark.parametrize(
    ("phases", "asked"),
    [
        ([(35457.99055814518, 1.0931233477330868e-10, 54197)], 2.6944386126488854e-47),
        ([(88.67274901098047, 2.1337184265349865e-09, 18), (1899.3927443588511, 2.4845262661770448e-11, 239313093)],
         2.971613631178771e-55),
    ],
)  # fmt: skip
def test_a_tilt_that_a_lattice_cannot_show_is_no_error(phases, asked):
    """From one place of it to the next the tilted law grew by more than floats can tell."""
    assert_it_keeps_with_itself(plan_of(*phases), asked, random.Random(1))


@pytest.mark.sweep(every=12)
@pytest.mark.parametrize("seed", range(10))
def test_round_trips_of_random_plans(seed):
    draw = random.Random(f"round trip {seed}")
    assert_it_keeps_with_itself(*random_plan(draw, beyond=seed % 2 == 1), draw)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_round_trips_of_many_random_plans(seed):
    draw = random.Random(f"many {seed}")
    for number in range(10):
        assert_it_keeps_with_itself(*random_plan(draw, beyond=number % 2 == 1), draw)


@pytest.mark.slow
def test_an_epsilon_whose_exponential_is_no_float_is_asked_of_a_contour_over_jumps():
    """Newton's rule went as far as 730 on its way, and e^730 raised OverflowError."""
    bound = epsilon(Plan.from_rate(0.18188747383229534, 4.83231879173217e-05, 22), 3.5496506888009544e-73)
    assert 269.0 < bound.lower <= bound.upper < 269.1


# Of the work that a proof may take in a sweep (prove/contour_plan.py): a second or two, where the command allows a
# minute.
SHORT_PROOF = 2_000_000


def assert_the_prover_agrees(plan: Plan, asked: float) -> bool:
    """Whether it could prove anything; a contradiction raises."""
    try:
        proof = prove.epsilon(plan, asked, digits=8)
    except prove.NotProved:
        return False
    assert proof.bound.lower <= proof.bound.upper
    return True


@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"),
    [
        (1.1, 256 / 60000, 14063, 1e-5),
        pytest.param(0.05, 0.3, 20, 1e-9, marks=pytest.mark.slow),
        pytest.param(300.0, 2e-7, 10**6, 1e-30, marks=pytest.mark.slow),
        (0.9, 1 - 1e-6, 30, 1e-20),
        (20.0, 0.7, 400, 0.3),
    ],
)
def test_the_prover_agrees(sigma, q, steps, asked):
    assert assert_the_prover_agrees(Plan.from_rate(sigma, q, steps), asked)


def compared_with_proofs(seed: int, plans: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many of so many plans, half of them of the box and half from beyond it, a short proof was found for."""
    monkeypatch.setattr(contour_plan, "MOST_PRODUCTS", SHORT_PROOF)
    draw = random.Random(f"proofs {seed}")
    return sum(assert_the_prover_agrees(*random_plan(draw, beyond=number % 2 == 1)) for number in range(plans))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_the_prover_agrees_on_a_thousand_random_plans(seed, monkeypatch):
    """About half of them can be proven in a short time; fewer than a fifth in twenty would say that none was tried."""
    assert compared_with_proofs(seed, 20, monkeypatch) >= 4


@pytest.mark.slow
def test_a_plan_that_no_tilt_can_be_seen_of_is_not_proved_and_no_internal_error():
    plan = plan_of((4890.410627773748, 4.067819201036351e-10, 1), (0.005328515497866306, 1.718334376857352e-07, 15147))
    with pytest.raises(prove.NotProved, match="no tilt has moments that could be computed"):
        prove.epsilon(plan, 0.0011951214963088633, digits=8)


def test_a_proof_whose_balls_are_of_no_use_ends_at_once():
    """It once wrote a number of 10^14 digits as a fraction."""
    ball = prove.balls.arb(1, 1)
    curve = type("Curve", (), {"delta": lambda self, e: ball * prove.balls.arb(2) ** (10**12)})()
    curve.slope = lambda e: prove.balls.arb(-1)
    curve.terms = lambda e: ()
    assert invert_proof.bracket(curve, prove.balls.arb(1e-5), 1.0, 60).upper is None


@pytest.mark.parametrize(
    ("sigmas", "q", "counts"),
    [
        ((0.14438767437060218, 0.4331630230821065), 0.008122721342323048, (4, 3)),
        ((0.2147, 0.6441), 0.00104697, (10, 1)),
        ((0.0794, 0.2382), 0.000708, (10, 20)),
    ],
)
def test_full_batches_that_leave_a_lattice_nothing_near_the_origin_are_no_division_by_zero(sigmas, q, counts):
    phases = zip(sigmas, (1.0, q), counts, strict=True)
    plan = plan_of(*phases)
    found = epsilon(plan, 0.26343974638379924)
    full = epsilon(plan_of((sigmas[0], 1.0, counts[0])), 0.26343974638379924)
    assert full.lower <= found.upper and found.lower <= found.upper
    assert delta(plan, found.upper).lower <= 0.26343974638379924 <= delta(plan, found.lower).upper
    for at in (1.64, 8.48):
        assert delta(plan, at).upper >= delta(plan_of((sigmas[0], 1.0, counts[0])), at).lower
