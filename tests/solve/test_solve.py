"""Solving for one unknown: the answer is on the safe side, and the next value the other way is not."""

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dpplan import accounting, solve
from dpplan.accounting import Guarantee
from dpplan.accounting.bound import FLOOR
from dpplan.adjacency import ZERO_OUT
from dpplan.errors import NotApplicable, NotCertified, PlanError, Unreachable, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import Poisson
from dpplan.solve import candidate_values
from dpplan.solve.search import search

MNIST = Settings(examples=60000, batch_size=256, epochs=60)
DELTA = 1e-5
SOLVERS = {
    "noise_multiplier": solve.noise,
    "steps": solve.steps,
    "epochs": solve.epochs,
    "batch_size": solve.batch_size,
    "sample_rate": solve.sample_rate,
    "examples": solve.examples,
}


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("about", [None, (1.0, 1.3), (30.0, 0.01), pytest.param((0.02, 40.0), marks=pytest.mark.slow)])
def test_where_the_search_for_noise_begins_is_no_part_of_the_answer(about):
    usual, near = solve.noise(MNIST, 3, DELTA), solve.noise_near(MNIST, 3, DELTA, about)
    assert (near.value, near.spent, near.other_way) == (usual.value, usual.spent, usual.other_way)


def test_noise_that_is_known_nearly_is_not_estimated_anew(monkeypatch):
    usual, calls, whole = solve.noise(MNIST, 3, DELTA), [], accounting.epsilon

    def counted(plan, delta, accountant="exact", **options):
        calls.append(accountant)
        return whole(plan, delta, accountant, **options)

    monkeypatch.setattr(accounting, "epsilon", counted)
    assert solve.noise_near(MNIST, 3, DELTA, (usual.value * (1 + 1e-6), 1.4)).value == usual.value
    assert set(calls) == {"exact"}
    assert len(calls) <= 4


def assert_safe_and_tight(solution):
    """What every solution promises, asked of the accountant again."""
    again = accounting.epsilon(solution.plan, solution.delta)
    assert solution.spent.upper <= solution.target
    assert again.upper == pytest.approx(solution.spent.upper, rel=1e-9)
    assert again.upper <= solution.target
    assert solution.other_way is not None
    # One unit the other way exceeds the target, or comes nearer to it than any certified interval is wide.
    other = solution.other_way.spent
    assert other.upper > solution.target
    assert other.lower > solution.target * (1 - 3 * FLOOR)


# Noise


def test_noise_for_a_common_training_run():
    found = solve.noise(MNIST, 3, DELTA)
    assert found.unknown == "noise_multiplier"
    assert found.value == pytest.approx(0.96843, abs=1e-5)
    assert found.plan == MNIST.with_(noise_multiplier=found.value).plan()
    assert_safe_and_tight(found)


def test_noise_is_a_decimal_of_seven_digits_and_the_other_way_is_one_unit_less():
    found = solve.noise(MNIST, 3, DELTA)
    assert float(f"{found.value:.6e}") == found.value
    assert found.other_way.value == pytest.approx(found.value - 1e-7, abs=1e-12)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("target", "least", "most"),
    [(0.01, 60, 130), (50, 0.40, 0.41), (1e-6, 1e4, 1e5), (1e4, 0.06, 0.07)],
)
def test_noise_for_targets_far_from_the_common(target, least, most):
    found = solve.noise(MNIST, target, DELTA)
    assert least < found.value < most
    assert found.spent.upper == pytest.approx(target, rel=2e-5)
    assert_safe_and_tight(found)


def test_noise_at_a_target_of_a_hundredth_is_not_stuck_at_an_additive_error():
    """An accountant with an additive error of 0.01 in epsilon answers 1280 here."""
    settings = Settings(sample_rate=0.01, steps=1000)
    found = solve.noise(settings, 0.01, 1e-5)
    assert found.value == pytest.approx(77.13303)
    assert_safe_and_tight(found)


def test_noise_without_sampling():
    found = solve.noise(Settings(sample_rate=1, steps=100), 3, DELTA)
    assert_safe_and_tight(found)
    assert found.value == pytest.approx(13.90594)


def test_noise_says_what_one_epoch_more_would_need_and_that_meets_the_target():
    found = solve.noise(MNIST, 3, DELTA)
    (advice,) = found.advice()
    assert advice.startswith("one epoch more would need σ = ")
    needed = float(advice.rpartition(" ")[2])
    assert needed > found.value
    longer = MNIST.with_(epochs=61, noise_multiplier=needed).plan()
    assert accounting.epsilon(longer, DELTA).upper <= 3


def test_noise_that_is_hardly_needed_ends_at_the_least_one_tried():
    found = solve.noise(Settings(sample_rate=1e-10, steps=100), 1e4, DELTA, "rdp")
    assert found.value == solve.LEAST_NOISE
    assert found.other_way is None
    assert "every noise multiplier tried" in found.remarks[0]


def test_noise_with_ten_to_the_twelve_examples():
    settings = Settings(examples=10**12, batch_size=10**10, epochs=100)
    found = solve.noise(settings, 1, 1e-13)
    assert_safe_and_tight(found)


@pytest.mark.parametrize("accountant", ["rdp", "moments", "advanced", "basic"])
def test_noise_by_an_accountant_with_upper_bounds_only(accountant):
    found = solve.noise(MNIST, 3, DELTA, accountant)
    assert found.spent.accountant == accountant
    assert found.spent.guarantee is Guarantee.UPPER
    assert found.spent.upper <= 3 < found.other_way.spent.upper
    assert found.value > solve.noise(MNIST, 3, DELTA).value


def test_noise_by_an_estimate_is_no_guarantee_and_says_so():
    found = solve.noise(MNIST, 3, DELTA, "gdp")
    assert found.spent.guarantee is Guarantee.ESTIMATE
    assert found.spent.value <= 3
    assert "only estimates" in found.remarks[0]
    assert accounting.epsilon(found.plan, DELTA).lower > 3


def test_options_reach_the_accountant():
    classic = solve.noise(MNIST, 3, DELTA, "rdp", conversion="classic")
    assert classic.value > solve.noise(MNIST, 3, DELTA, "rdp", conversion="cks").value


# Steps, epochs, batch


def test_steps_are_the_last_whole_number_within_the_target():
    found = solve.steps(Settings(sample_rate=0.01, noise_multiplier=4), 3, DELTA)
    assert isinstance(found.value, int)
    assert found.value == found.plan.steps
    assert found.other_way.value == found.value + 1
    assert_safe_and_tight(found)


def test_epochs_round_up_to_the_steps_that_were_found():
    settings = Settings(examples=60000, batch_size=256, noise_multiplier=0.968)
    by_epochs, by_steps = solve.epochs(settings, 3, DELTA), solve.steps(settings, 3, DELTA)
    assert by_epochs.plan.steps == by_steps.value
    assert by_epochs.plan == settings.with_(epochs=by_epochs.value).plan()
    assert by_epochs.value <= by_steps.value * 256 / 60000
    assert by_epochs.value == pytest.approx(60, abs=0.2)
    assert_safe_and_tight(by_epochs)


def test_steps_whose_budget_never_ends_stop_at_the_most_tried():
    found = solve.steps(Settings(sample_rate=0.01, noise_multiplier=1e9), 3, DELTA, "rdp")
    assert found.value == solve.MOST_STEPS
    assert found.other_way is None
    assert any("not exhausted" in remark for remark in found.remarks)


def test_more_noise_lasts_as_long_as_the_remark_says():
    found = solve.steps(Settings(sample_rate=0.01, noise_multiplier=4), 3, DELTA)
    words = next(sentence for sentence in found.advice() if sentence.startswith("with σ")).split()
    sigma, count = float(words[3]), int(words[-2])
    assert sigma == pytest.approx(4.4)
    assert accounting.epsilon(Settings(sample_rate=0.01, noise_multiplier=sigma, steps=count).plan(), DELTA).upper <= 3


def test_batch_at_fixed_steps_is_the_last_whole_number_within_the_target():
    found = solve.batch_size(Settings(examples=60000, noise_multiplier=1, steps=10000), 3, DELTA)
    assert found.other_way.value == found.value + 1
    assert_safe_and_tight(found)


def test_batch_may_be_all_of_the_data():
    found = solve.batch_size(Settings(examples=60000, noise_multiplier=100, epochs=60), 3, DELTA)
    assert found.value == 60000
    assert found.other_way is None
    assert "cannot grow beyond n" in found.remarks[0]


@pytest.mark.slow
def test_batch_of_ten_to_the_twelve_examples():
    found = solve.batch_size(Settings(examples=10**12, noise_multiplier=1, epochs=60), 3, 1e-13)
    assert found.plan.steps == math.ceil(60 * 10**12 / found.value)
    assert_safe_and_tight(found)


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(
    ("examples", "epochs", "noise_multiplier", "targets"),
    [
        (60, 3, 3.0, (0.2, 1.2, 1.5, 1.9, 2.35, 2.5, 2.6)),
        (60, 2.5, 1.0, (1.5, 6.5, 7.5, 8.3, 8.45, 9.005)),
        (40, 1, 0.2, (34.0, 40.0, 54.0, 69.0, 94.0)),  # epsilon falls as the batch grows
        (50, 2, 0.5, (11.0, 12.0, 16.0, 16.6, 19.5, 20.8)),
    ],
)
def test_batch_is_the_largest_of_all_by_brute_force(examples, epochs, noise_multiplier, targets):
    settings = Settings(examples=examples, epochs=epochs, noise_multiplier=noise_multiplier)
    spent = {
        batch: accounting.epsilon(settings.with_(batch_size=batch).plan(), DELTA, "rdp").upper
        for batch in range(1, examples + 1)
    }
    for target in targets:
        meets = [batch for batch, epsilon in spent.items() if epsilon <= target]
        if meets:
            assert solve.batch_size(settings, target, DELTA, "rdp").value == max(meets)
        else:
            with pytest.raises(Unreachable):
                solve.batch_size(settings, target, DELTA, "rdp")


@pytest.mark.slow
def test_a_batch_that_is_ruled_out_is_ruled_out_by_its_whole_range():
    """At 60000 examples: every batch above the answer, at the places where the steps change, exceeds the target."""
    settings = Settings(examples=60000, epochs=60, noise_multiplier=1)
    found = solve.batch_size(settings, 3, DELTA, "rdp")
    jumps = {math.ceil(60 * 60000 / steps) for steps in range(60, 60 * 60000 // int(found.value) + 1, 97)}
    for batch in sorted(batch for batch in jumps if found.value < batch <= 60000):
        assert accounting.epsilon(settings.with_(batch_size=batch).plan(), DELTA, "rdp").upper > 3


# Round trips


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("seed", range(6))
def test_each_unknown_solved_from_the_others_comes_back(seed):
    draw = random.Random(seed)
    examples = int(10 ** draw.uniform(3.5, 6))
    batch = max(int(examples * 10 ** draw.uniform(-2.3, -1)), 1)
    epochs, delta = draw.randint(20, 80), 10 ** draw.uniform(-8, -4)
    target = 10 ** draw.uniform(-0.5, 0.9)
    settings = Settings(examples=examples, batch_size=batch, epochs=epochs)

    noise = solve.noise(settings, target, delta)
    assert_safe_and_tight(noise)
    noisy = settings.with_(noise_multiplier=noise.value)
    steps = solve.steps(noisy.with_(epochs=None), target, delta)
    assert_safe_and_tight(steps)
    assert steps.value == pytest.approx(noise.plan.steps, rel=1e-5, abs=1)
    assert steps.value >= noise.plan.steps
    by_epochs = solve.epochs(noisy.with_(epochs=None), target, delta)
    assert_safe_and_tight(by_epochs)
    assert by_epochs.plan.steps == steps.value
    same_steps = noisy.with_(epochs=None, steps=noise.plan.steps)
    by_batch = solve.batch_size(same_steps.with_(batch_size=None), target, delta)
    assert_safe_and_tight(by_batch)
    assert by_batch.value == batch


# Which is unknown


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Settings(sample_rate=0.01, steps=100), "noise_multiplier"),
        (Settings(sample_rate=0.01, noise_multiplier=1), "steps"),
        (Settings(examples=100, batch_size=10, noise_multiplier=1), "epochs"),
        (Settings(examples=100, epochs=1, noise_multiplier=1), "batch_size"),
        (Settings(examples=100, steps=10, noise_multiplier=1), "batch_size"),
        (Settings(steps=10, noise_multiplier=1), "sample_rate"),
        (Settings(epochs=2, noise_multiplier=1), "sample_rate"),
        (Settings(batch_size=10, steps=10, noise_multiplier=1), "examples"),
        (Settings(batch_size=10, epochs=2, noise_multiplier=1), "examples"),
    ],
)
def test_the_quantity_left_out_is_the_unknown(settings, name):
    assert solve.unknown(settings, 1e-3) == name
    assert solve.solve(settings, 8, 1e-3, "rdp") == SOLVERS[name](settings, 8, 1e-3, "rdp")


def test_nothing_left_out_says_what_to_leave_out():
    complete = Settings(sample_rate=0.01, steps=10, noise_multiplier=1)
    with pytest.raises(PlanError, match="Leave out --sigma"):
        solve.unknown(complete, 1e-5)
    assert solve.unknown(complete) == "delta"


def test_several_left_out_says_which():
    with pytest.raises(PlanError, match="sigma and steps are both open"):
        solve.unknown(Settings(sample_rate=0.01))


# Calls that make no sense


def test_every_problem_of_a_call_is_reported_at_once():
    with pytest.raises(PlanError) as caught:
        solve.noise(Settings(noise_multiplier=1, examples=10, batch_size=100, epochs=-1), 0, 2)
    text = str(caught.value)
    for part in ("target_epsilon=0", "delta=2", "sigma=1 is given", "epochs=-1"):
        assert part in text


@pytest.mark.parametrize("target", [0, -1, math.nan, math.inf, True])
def test_a_target_that_is_no_positive_number_is_refused(target):
    with pytest.raises(PlanError, match="target_epsilon"):
        solve.noise(MNIST, target, DELTA)


@pytest.mark.parametrize("delta", [0, 1, -0.1, math.nan])
def test_a_delta_outside_its_range_is_refused(delta):
    with pytest.raises(PlanError, match="delta"):
        solve.noise(MNIST, 1, delta)


def test_a_batch_needs_n():
    with pytest.raises(PlanError, match="n is missing"):
        solve.batch_size(Settings(noise_multiplier=1, steps=10), 1, DELTA)


def test_steps_and_epochs_together_leave_no_batch_open():
    with pytest.raises(PlanError, match="steps and epochs together"):
        solve.batch_size(Settings(examples=100, noise_multiplier=1, steps=10, epochs=1), 1, DELTA)


def test_an_unknown_accountant_is_refused():
    with pytest.raises(UsageError, match="accountant=exat"):
        solve.noise(MNIST, 1, DELTA, "exat")


# Targets out of reach


def test_steps_out_of_reach_say_what_one_step_costs_and_which_noise_would_do():
    settings = Settings(sample_rate=0.01, noise_multiplier=0.5)
    with pytest.raises(Unreachable) as caught:
        solve.steps(settings, 0.1, DELTA)
    one_step = accounting.epsilon(settings.with_(steps=1).plan(), DELTA).upper
    assert f"{one_step:.6g}, at steps=1" in str(caught.value)
    needed = float(str(caught.value).partition("sigma=")[2].split()[0])
    assert accounting.epsilon(settings.with_(steps=1, noise_multiplier=needed).plan(), DELTA).upper <= 0.1
    assert caught.value.exit_code == 1


def test_a_batch_out_of_reach_names_the_best_one_which_need_not_be_the_smallest():
    settings = Settings(examples=40, noise_multiplier=0.2, epochs=1)
    with pytest.raises(Unreachable, match="at batch=40"):
        solve.batch_size(settings, 20, DELTA, "rdp")


def test_noise_out_of_reach_says_what_the_most_noise_gives():
    with pytest.raises(Unreachable, match=r"at sigma=10000000000.*Raise the target"):
        solve.noise(Settings(sample_rate=1, steps=10**12), 1e-9, 1e-12)


def test_a_tiny_target_is_within_reach_of_renyi_accounting():
    """On a fixed list of orders, epsilon stays above log(1/δ) / (largest order): about 0.01 for the usual ones."""
    found = solve.noise(MNIST, 1e-4, DELTA, "rdp")
    assert found.spent.upper <= 1e-4 < found.other_way.spent.upper
    assert found.value > solve.noise(MNIST, 1e-4, DELTA).value


def test_an_accountant_without_a_theorem_for_the_plan_refuses():
    with pytest.raises(NotApplicable, match="zcdp"):
        solve.noise(MNIST, 3, DELTA, "zcdp")


# The search


@given(
    answer=st.integers(0, 10**9),
    power=st.floats(0.05, 8),
    start=st.integers(1, 10**9),
    slope=st.floats(1e-3, 1e3),
    refused_from=st.integers(1, 2 * 10**9),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_search_ends_at_the_two_rungs_around_the_answer(answer, power, start, slope, refused_from):
    candidates = dataclasses.replace(candidate_values.steps(Settings()), last=10**9)
    looked = []

    def gap(index):
        looked.append(index)
        if index > max(answer, refused_from):
            return math.inf
        distance = power * (math.log(index) - math.log(answer + 0.5))
        return distance if index > answer else max(distance, -4.6)

    found = search(gap, candidates, start, slope)
    assert (found.low, found.high) == (answer, answer + 1)
    assert len(looked) == len(set(looked)) <= 80


def test_search_takes_few_looks_where_epsilon_is_smooth(monkeypatch):
    calls = []
    plain = accounting.epsilon

    def counted(plan, delta, accountant="exact", **options):
        calls.append(accountant)
        return plain(plan, delta, accountant, **options)

    monkeypatch.setattr(accounting, "epsilon", counted)
    solve.noise(MNIST, 3, DELTA)
    assert calls.count("exact") <= 9


def test_a_value_that_is_refused_was_not_shown_to_meet_the_target(monkeypatch):
    """Below σ = 1.5 nothing can be proven: the answer is the least noise above, and the reason is given."""
    plain = accounting.epsilon

    def partly(plan, delta, accountant="exact", **options):
        if accountant == "rdp" and plan.only_phase.mechanism.noise_multiplier < 1.5:
            raise NotCertified("no proof below 1.5")
        return plain(plan, delta, accountant, **options)

    monkeypatch.setattr(accounting, "epsilon", partly)
    found = solve.noise(MNIST, 3, DELTA, "rdp")
    assert found.value == 1.5
    assert found.other_way is None
    assert any("no proof below 1.5" in remark for remark in found.remarks)


def test_a_wide_interval_does_not_end_the_search_early(monkeypatch):
    """Upper bounds that double between σ = 0.99 and 1.2 leave a better answer below, which is found."""
    plain = accounting.epsilon

    def wide(plan, delta, accountant="exact", **options):
        bound = plain(plan, delta, accountant, **options)
        doubled = accountant == "exact" and 0.99 < plan.only_phase.mechanism.noise_multiplier < 1.2
        return dataclasses.replace(bound, upper=2 * bound.upper) if doubled else bound

    expected = solve.noise(MNIST, 3, DELTA).value
    monkeypatch.setattr(accounting, "epsilon", wide)
    assert solve.noise(MNIST, 3, DELTA).value == expected


def test_a_next_value_too_wide_to_tell_is_said(monkeypatch):
    plain = accounting.epsilon

    def wide(plan, delta, accountant="exact", **options):
        bound = plain(plan, delta, accountant, **options)
        if accountant != "rdp":
            return bound
        return dataclasses.replace(bound, lower=0.9 * bound.upper, guarantee=Guarantee.CERTIFIED)

    expected = solve.noise(MNIST, 3, DELTA, "rdp").value
    monkeypatch.setattr(accounting, "epsilon", wide)
    found = solve.noise(MNIST, 3, DELTA, "rdp")
    assert found.value == expected
    assert found.spent.upper <= 3 < found.other_way.spent.upper
    assert any("may meet the target too" in remark for remark in found.remarks)


@given(n=st.integers(1, 10**9), share=st.floats(1e-6, 1), steps=st.integers(1, 10**12))
@hypothesis_settings(max_examples=200, deadline=None)
def test_every_rung_of_the_epochs_rounds_up_to_its_steps(n, share, steps):
    settings = Settings(noise_multiplier=1, examples=n, batch_size=max(int(share * n), 1))
    candidates = candidate_values.epochs(settings)
    assert candidates.plan(steps).steps == steps
    assert candidates.value(steps) <= steps * settings.exact_rate * (1 + 1e-15)


@given(st.floats(0.01, 1e10))
@hypothesis_settings(max_examples=200, deadline=None)
def test_a_noise_multiplier_rounds_up_to_its_rung_and_the_next_rung_is_less(noise_multiplier):
    candidates = candidate_values.noise(Settings())
    index = candidates.below(-math.log(noise_multiplier))
    assert candidates.value(index) >= noise_multiplier * (1 - 1e-14)
    assert candidates.value(index + 1) < noise_multiplier * (1 + 1e-14)
    assert float(f"{candidates.value(index):.6e}") == candidates.value(index)


# Sample rate, examples, delta


@pytest.mark.sweep(slow=("length1",))
@pytest.mark.parametrize("length", [{"steps": 14063}, {"epochs": 60}])
def test_the_sample_rate_is_a_decimal_of_seven_digits_rounded_down(length):
    found = solve.sample_rate(Settings(noise_multiplier=0.9684275, **length), 3, DELTA)
    assert float(f"{found.value:.6e}") == found.value == 0.004266667
    assert found.other_way.value == pytest.approx(0.004266668, abs=1e-12)
    assert_safe_and_tight(found)


def test_the_sample_rate_may_be_all_of_the_data():
    found = solve.sample_rate(Settings(noise_multiplier=100, epochs=60), 3, DELTA)
    assert (found.value, found.other_way) == (1, None)
    assert "all of the data" in found.remarks[0]


@pytest.mark.parametrize("length", [{"steps": 14063}, {"epochs": 60}])
def test_examples_are_the_fewest_that_meet_the_target(length):
    found = solve.examples(Settings(noise_multiplier=0.9684275, batch_size=256, **length), 3, DELTA)
    assert found.value == 60000
    assert found.plan.examples == 60000
    assert found.other_way.value == 59999
    assert_safe_and_tight(found)


def test_examples_may_be_a_single_batch():
    found = solve.examples(Settings(noise_multiplier=100, batch_size=256.5, epochs=60), 3, DELTA)
    assert (found.value, found.other_way) == (257, None)
    assert "smaller than one batch" in found.remarks[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("batch", "epochs", "noise_multiplier", "targets"),
    [
        (7, 1, 0.2, (40.0, 55.0, 69.0, 94.0)),  # epsilon jumps up where one more example adds a step
        (10, 2.5, 1.0, (5.0, 6.5, 8.3)),
    ],
)
def test_examples_are_the_fewest_of_all_by_brute_force(batch, epochs, noise_multiplier, targets):
    settings = Settings(batch_size=batch, epochs=epochs, noise_multiplier=noise_multiplier)
    spent = {
        examples: accounting.epsilon(settings.with_(examples=examples).plan(), DELTA, "rdp").upper
        for examples in range(batch, 160)
    }
    for target in targets:
        fewest = min(examples for examples, epsilon in spent.items() if epsilon <= target)
        assert solve.examples(settings, target, DELTA, "rdp").value == fewest


def test_rates_are_the_largest_of_all_by_brute_force():
    settings = Settings(epochs=1, noise_multiplier=0.2)
    for target in (54.0, 69.0, 94.0):
        found = solve.sample_rate(settings, target, DELTA, "rdp").value
        for steps in range(1, math.ceil(1 / found) + 1):
            least = math.nextafter(max(1 / steps, found), 2)  # the smallest rate above the answer in so many steps
            if math.ceil(1 / least) == steps and least <= 1:
                assert accounting.epsilon(settings.with_(sample_rate=least).plan(), DELTA, "rdp").upper > target


@pytest.mark.slow
def test_ten_to_the_twelve_examples_come_back_from_their_own_target():
    found = solve.noise(Settings(examples=10**12, batch_size=10**9, steps=1000), 1, 1e-13)
    back = solve.examples(Settings(batch_size=10**9, steps=1000, noise_multiplier=found.value), 1, 1e-13)
    assert back.spent.upper <= 1
    assert back.value <= 10**12
    assert back.value == pytest.approx(10**12, rel=1e-4)


def test_delta_is_rounded_up_and_the_next_smaller_one_exceeds_the_target():
    settings = MNIST.with_(noise_multiplier=1.1)
    found = solve.delta(settings, 3)
    assert (found.unknown, found.delta) == ("delta", found.value)
    assert float(f"{found.value:.6e}") == found.value
    assert found.other_way.value < found.value
    assert_safe_and_tight(found)
    assert accounting.delta(settings.plan(), 3).lower <= found.value == solve.solve(settings, 3, None).value


def test_a_target_that_costs_no_delta_stops_at_the_least_tried():
    found = solve.delta(Settings(noise_multiplier=1e6, sample_rate=0.01, steps=1), 100)
    assert (found.value, found.other_way) == (1e-300, None)
    assert "every delta tried" in found.remarks[0]


# Targets given as delta


@pytest.mark.sweep(every=3, slow=("batch_size",))
@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "examples"])
def test_a_target_delta_is_held_and_gives_what_the_target_epsilon_gives(name):
    whole = {"noise_multiplier": 0.97, "examples": 60000, "batch_size": 256, "epochs": 60}
    del whole[name if name in whole else {"steps": "epochs", "sample_rate": "batch_size"}[name]]
    if name == "sample_rate":
        del whole["examples"]
    settings = Settings(**whole)
    by_delta, by_epsilon = (SOLVERS[name](settings, 3, DELTA, by=by) for by in ("delta", "epsilon"))
    assert by_delta.value == pytest.approx(by_epsilon.value, rel=3e-7, abs=1)
    assert by_delta.spent.quantity == "delta"
    assert by_delta.spent.upper <= DELTA < by_delta.other_way.spent.lower
    assert accounting.delta(by_delta.plan, 3).upper <= DELTA


def test_a_target_delta_out_of_reach_says_so_in_its_own_terms():
    with pytest.raises(Unreachable, match=r"target_delta=1e-30 is out of reach at epsilon=0\.1: the least"):
        solve.steps(Settings(sample_rate=0.01, noise_multiplier=0.5), 0.1, 1e-30, by="delta")


def test_what_is_held_is_epsilon_or_delta():
    with pytest.raises(PlanError, match="by=sigma is not one of: epsilon, delta"):
        solve.noise(MNIST, 3, DELTA, by="sigma")


# Prior spend

EARLIER = (Phase(Gaussian(2.0), Poisson(0.01), 500), Phase(Gaussian(1.0), Poisson(0.001), 200))


@pytest.mark.parametrize("by", ["epsilon", "delta"])
def test_what_was_spent_before_is_composed_as_further_phases(by):
    found = solve.noise(MNIST, 3, DELTA, by=by, spent=EARLIER)
    assert found.plan.phases == (*EARLIER, MNIST.with_(noise_multiplier=found.value).plan().only_phase)
    assert found.plan.origin("phases[2].steps") == "⌈60 epochs × 60000 / 256⌉"
    assert accounting.epsilon(found.plan, DELTA).upper <= 3 * (1 + 1e-9)
    assert found.value > solve.noise(MNIST, 3, DELTA).value
    less = dataclasses.replace(
        found.plan, phases=(*EARLIER, *MNIST.with_(noise_multiplier=found.other_way.value).plan().phases)
    )
    assert accounting.epsilon(less, DELTA).lower > 3 * (1 - 1e-9)


@pytest.mark.sweep(every=5)
@pytest.mark.parametrize("name", ["steps", "epochs", "batch_size", "sample_rate", "examples"])
def test_every_unknown_counts_what_was_spent_before(name):
    whole = {"noise_multiplier": 1.2, "examples": 60000, "batch_size": 256, "epochs": 60}
    del whole[name if name in whole else {"steps": "epochs", "sample_rate": "batch_size"}[name]]
    if name == "sample_rate":
        del whole["examples"]
    alone = SOLVERS[name](Settings(**whole), 3, DELTA)
    after = SOLVERS[name](Settings(**whole), 3, DELTA, spent=EARLIER)
    assert after.plan.phases[:2] == EARLIER
    assert_safe_and_tight(after)
    assert (after.value > alone.value) if name == "examples" else (after.value < alone.value)


def test_delta_counts_what_was_spent_before():
    found = solve.delta(MNIST.with_(noise_multiplier=1.1), 3, spent=EARLIER)
    assert found.value > solve.delta(MNIST.with_(noise_multiplier=1.1), 3).value
    assert_safe_and_tight(found)


@pytest.mark.slow
def test_a_target_that_is_already_spent_says_so():
    before = accounting.epsilon(Plan(EARLIER), DELTA).value
    with pytest.raises(Unreachable, match=f"What was spent before is {before:.6g} on its own"):
        solve.noise(MNIST, 0.9 * before, DELTA, spent=EARLIER)


def test_rounding_of_delta_held_targets_never_passes_the_target():
    """The figure of the plan as it is returned, not of the unrounded answer."""
    for target in (1e-12, 3.3e-9, 0.2):
        found = solve.noise(MNIST, 1.5, target, by="delta")
        assert accounting.delta(found.plan, 1.5).upper <= target


# Every unknown in turn


def drawn(seed):
    """A random run, from small to large data and from tight to loose targets."""
    draw = random.Random(1000 + seed)
    examples = int(10 ** draw.uniform(2.5, 8))
    batch = max(int(examples * 10 ** draw.uniform(-3, -0.3)), 1)
    settings = Settings(examples=examples, batch_size=batch, epochs=float(f"{10 ** draw.uniform(0, 2):.3g}"))
    return settings, float(f"{10 ** draw.uniform(-1, 1):.4g}"), 10 ** draw.uniform(-10, -4)


def assert_each_unknown_comes_back(seed):
    """Solves the noise for a random (n, ε, δ, B, E), then each other unknown from that; all on the safe side."""
    settings, target, delta = drawn(seed)
    noise = solve.noise(settings, target, delta)
    assert_safe(noise)
    noisy = settings.with_(noise_multiplier=noise.value)
    fixed = noisy.with_(epochs=None, steps=noise.plan.steps)
    assert solve.steps(noisy.with_(epochs=None), target, delta).value >= noise.plan.steps
    assert solve.epochs(noisy.with_(epochs=None), target, delta).plan.steps >= noise.plan.steps
    for found, least in (
        (solve.batch_size(fixed.with_(batch_size=None), target, delta), settings.batch_size),
        (
            solve.sample_rate(Settings(noise_multiplier=noise.value, steps=fixed.steps), target, delta),
            settings.exact_rate,
        ),
        (solve.batch_size(noisy.with_(batch_size=None), target, delta), settings.batch_size),
    ):
        assert_safe(found)
        assert found.value >= least * (1 - 1e-6)
    for whole in (fixed, noisy):
        fewest = solve.examples(whole.with_(examples=None), target, delta)
        assert_safe(fewest)
        assert fewest.value <= settings.examples
    smallest = solve.delta(fixed, target)
    assert_safe(smallest)
    assert smallest.value <= delta * (1 + 1e-6)


def assert_safe(found):
    assert found.spent.upper <= found.target
    assert accounting.epsilon(found.plan, found.delta).upper <= found.target


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("seed", range(5))
def test_each_unknown_of_a_random_run_comes_back_on_the_safe_side(seed):
    assert_each_unknown_comes_back(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5, 62))
def test_each_unknown_of_fifty_more_random_runs_comes_back_on_the_safe_side(seed):
    assert_each_unknown_comes_back(seed)


@pytest.mark.parametrize("scheme", ["balls-in-bins", "random-allocation", "shuffle"])
def test_a_rate_of_whole_epochs_may_be_all_of_the_data(scheme):
    """After the last rate, 1, there is none: it was divided by 0."""
    options = (("times", 2),) if scheme == "random-allocation" else ()
    run = Settings(noise_multiplier=20.0, epochs=3, sampling=scheme, scheme_options=options, adjacency=ZERO_OUT)
    found = solve.sample_rate(run, 12.0, DELTA)
    assert (found.value, found.plan.steps, found.other_way, found.remarks) == (
        1,
        3,
        None,
        ("every batch may be all of the data",),
    )


@pytest.mark.parametrize(("order", "target"), [("fresh", 8.0), ("once", 20.0)])
def test_a_rate_of_shuffled_data_is_one_over_the_steps_of_an_epoch(order, target):
    """It was asked for among all rates, and stopped at one of its own whose epochs are not whole."""
    options = (("order", order),)
    run = Settings(noise_multiplier=2.0, steps=100, sampling="shuffle", scheme_options=options, adjacency=ZERO_OUT)
    found = solve.sample_rate(run, target, DELTA)
    assert (1 / found.value).denominator == 1 and found.spent.upper <= target
    assert found.other_way.spent.upper > target and 1 / found.other_way.value == 1 / found.value - 1
