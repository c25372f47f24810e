"""Curves: every point is the accountant's own figure for it, and their shapes are the ones that are known."""

import pytest

from dpplan import accounting, curve
from dpplan.accounting import Guarantee
from dpplan.errors import PlanError, UsageError
from dpplan.plan import Plan, Settings

PLAN = Plan.from_rate(1.1, 0.01, 500)
SETTINGS = Settings(noise_multiplier=1.1, examples=60_000, batch_size=256, epochs=6)
DELTA = 1e-5


def values(bounds):
    return [bound.value for bound in bounds]


def test_a_profile_falls_as_delta_rises_and_is_what_the_accountant_says():
    deltas = (1e-8, 1e-5, 1e-2)
    drawn = curve.profile(PLAN, deltas)
    assert (drawn.x_name, drawn.quantity, drawn.x, drawn.at) == ("delta", "epsilon", deltas, None)
    (bounds,) = drawn.series.values()
    for bound, alone in zip(bounds, (accounting.epsilon(PLAN, delta) for delta in deltas), strict=True):
        assert max(bound.lower, alone.lower) <= min(bound.upper, alone.upper)
        assert bound.proven_width < 1e-9
    assert values(bounds) == sorted(values(bounds), reverse=True)
    assert drawn.plan == PLAN


def test_the_profile_and_its_inverse_agree():
    epsilons = tuple(bound.upper for bound in curve.profile(PLAN, (1e-6, 1e-3)).series["exact"])
    drawn = curve.delta_profile(PLAN, epsilons)
    assert drawn.quantity == "delta"
    assert values(drawn.series["exact"]) == pytest.approx([1e-6, 1e-3], rel=1e-6)
    assert all(bound.lower <= delta for bound, delta in zip(drawn.series["exact"], (1e-6, 1e-3), strict=True))


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("quantity", "places", "rises"),
    [
        ("steps", (100, 200, 400), True),
        ("epochs", (1, 2.5, 4), True),
        ("sigma", (0.9, 1.1, 2), False),
        ("batch", (128, 256, 512), True),
        ("q", (0.002, 0.004, 0.008), True),
    ],
)
def test_epsilon_against_a_quantity_is_that_of_the_plan_with_it(quantity, places, rises):
    settings = SETTINGS if quantity != "q" else Settings(noise_multiplier=1.1, sample_rate=0.1, steps=300)
    drawn = curve.against(settings, quantity, places, DELTA)
    assert (drawn.x_name, drawn.x, drawn.at) == (quantity, places, DELTA)
    (bounds,) = drawn.series.values()
    assert [accounting.epsilon(plan, DELTA) for plan in drawn.plans] == list(bounds)
    assert values(bounds) == sorted(values(bounds), reverse=not rises)
    own = {
        "steps": [plan.steps for plan in drawn.plans],
        "sigma": [plan.only_phase.mechanism.noise_multiplier for plan in drawn.plans],
        "batch": [plan.batch_size for plan in drawn.plans],
        "q": [plan.only_phase.sampling.sample_rate for plan in drawn.plans],
    }
    assert own.get(quantity, list(places)) == list(places)


def test_the_epochs_stay_while_the_batch_varies():
    plans = curve.against(SETTINGS, "batch", (128, 256), DELTA).plans
    assert [plan.steps for plan in plans] == [2813, 1407]


def test_earlier_phases_count_at_every_point():
    drawn = curve.against(SETTINGS, "steps", (10, 20), DELTA, before=PLAN.phases)
    assert [plan.steps for plan in drawn.plans] == [510, 520]
    assert drawn.series["exact"][0].lower > accounting.epsilon(PLAN, DELTA).upper


def test_along_a_plan_lies_the_cost_of_its_beginnings():
    plan = Plan((*PLAN.phases, *Plan.from_rate(2, 0.02, 300).phases))
    drawn = curve.along(plan, (200, 600, 800), DELTA)
    assert [part.steps for part in drawn.plans] == [200, 600, 800]
    assert drawn.series["exact"][-1] == accounting.epsilon(plan, DELTA)
    assert [len(part.phases) for part in drawn.plans] == [1, 2, 2]
    assert plan.epochs == 11


def test_several_accountants_are_asked_with_their_options_and_may_refuse():
    who = {"exact": {}, "rdp": {"conversion": "classic"}, "zcdp": {}}
    drawn = curve.profile(PLAN, (1e-5, 1e-4), who)
    assert list(drawn.series) == list(who)
    assert drawn.series["rdp"][0] == accounting.epsilon(PLAN, 1e-5, "rdp", conversion="classic")
    assert drawn.series["exact"][0].guarantee is Guarantee.CERTIFIED
    assert drawn.series["zcdp"] == (None, None)
    assert set(drawn.refusals) == {"zcdp"}


def test_progress_is_told_after_every_point():
    seen = []
    who = {"rdp": {}, "gdp": {}}
    curve.delta_profile(PLAN, (1.0, 2.0), who, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_makes_no_sense_is_refused_before_anything_is_computed():
    with pytest.raises(PlanError, match=r"delta=2 is not in \(0, 1\)"):
        curve.profile(PLAN, (1e-5, 2))
    with pytest.raises(PlanError, match="epsilon=-1 is not at least 0"):
        curve.delta_profile(PLAN, (1, -1))
    with pytest.raises(UsageError, match=r"quantity=sgma is not one of.*Did you mean 'sigma'"):
        curve.against(SETTINGS, "sgma", (1,), DELTA)
    with pytest.raises(UsageError, match="no delta is given"):
        curve.profile(PLAN, ())
    with pytest.raises(PlanError) as caught:
        curve.against(SETTINGS, "batch", (-1, 100, 70_000), DELTA)
    assert [problem.split(":")[0].split(".")[0] for problem in caught.value.problems] == [
        "batch=-1 is not a positive number", "batch=70000 exceeds n=60000",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_curve_over_delta_is_as_wide_as_was_asked_for():
    plan = Settings(1.0, sample_rate=0.01, steps=200, sampling="balls-in-bins").plan()
    coarse, fine = (curve.profile(plan, [1e-6, 1e-3], {"exact": {"accuracy": each}}) for each in (2e-3, 1e-5))
    for wide, narrow in zip(coarse.series["exact"], fine.series["exact"], strict=True):
        assert narrow.relative_width <= 1e-5 < wide.relative_width <= 2e-3
        assert wide.lower <= narrow.upper and narrow.lower <= wide.upper
