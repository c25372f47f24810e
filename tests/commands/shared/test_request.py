"""From what was typed to a request, or to all that is wrong at once."""

from fractions import Fraction

import pytest

from dpplan.commands.shared.accountant_option import EXACT, AccountantChoice
from dpplan.commands.shared.curve_axis import Axis, AxisRange
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import cautions, parse, requested, resolve
from dpplan.errors import PlanError
from dpplan.plan import Delta, Settings

WHOLE = Settings(noise_multiplier=1.1, examples=1000, batch_size=10, epochs=3)


def test_a_call_that_makes_sense_is_a_plan_with_its_deltas() -> None:
    found = requested(PlanArguments(WHOLE), (1e-3, None), EXACT)
    assert found.plan == WHOLE.plan()
    assert [delta.value for delta in found.deltas] == [1e-3, 1e-4]
    assert (len(found.warnings), found.earlier) == (1, 0)
    assert requested(PlanArguments(WHOLE), None, EXACT).deltas == ()


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = PlanArguments(Settings(noise_multiplier=-1.0, examples=1000, batch_size=10))
    with pytest.raises(PlanError) as refused:
        requested(wrong, (2.0,), AccountantChoice("exakt", {}), "and this.")
    starts = ["sigma=-1", "the length", "delta=2", "accountant=exakt", "and this."]
    assert [problem.startswith(start) for problem, start in zip(refused.value.problems, starts, strict=True)] == [
        True
    ] * 5


def test_earlier_runs_are_the_first_phases() -> None:
    found = parse(PlanArguments(WHOLE, spent=("sigma=2,q=0.1,steps=7",)))
    assert found.plan is not None
    assert (found.earlier, [phase.steps for phase in found.plan.phases]) == (1, [7, 300])


def test_noise_of_a_mean_is_told_from_that_of_a_sum() -> None:
    few = Settings(noise_multiplier=1.1 / 256, examples=60_000, batch_size=256, epochs=15)
    (said,) = cautions(few, ())
    assert said.endswith("that of the sum is 256 times as much: --sigma 1.1.")
    for sigma in (1.1, 0.2, 1e-4):
        assert cautions(few.with_(noise_multiplier=sigma), ()) == ()


@pytest.mark.parametrize(
    ("sigma", "batch", "asked"),
    [
        *((256, 1.1, True), (16, 0.5, True), (64, 1, True), (50, 1, False), (15, 1.1, False), (256, 8, False)),
        *((50, 8, False), (64.5, 1.1, False), (10**400, 1.1, False), (256, 0.2, False), (60_001, 1.1, False)),
    ],
)
def test_noise_and_batch_are_asked_whether_they_are_swapped(sigma: float, batch: float, asked: bool) -> None:
    run = WHOLE.with_(noise_multiplier=sigma, batch_size=batch, epochs=20)
    told = [each for each in cautions(run, ()) if "swapped" in each]
    assert len(told) == asked
    if asked:
        assert told[0].endswith(f"If the two are swapped: --sigma {batch} --batch {sigma}.")


@pytest.mark.parametrize(
    ("sigma", "length", "asked"),
    [
        *((60, {"epochs": 1.1}, True), (10, {"epochs": 0.8}, True), (60, {"epochs": 1}, True)),
        *((1000, {"steps": 1}, True), (14_063, {"steps": 1.1}, True)),
        # Ordinary lengths, noise that no length is, and noise that is common beside such a length.
        *((60, {"epochs": 8}, False), (60, {"epochs": 60}, False), (60, {"epochs": 0.1}, False)),
        *((60.5, {"epochs": 1.1}, False), (10**400, {"epochs": 1.1}, False), (20, {"epochs": 1}, False)),
        *((9, {"epochs": 1.1}, False), (1.1, {"epochs": 1.1}, False), (1000, {"steps": 300}, False)),
    ],
)
def test_noise_and_length_are_asked_whether_they_are_swapped(
    sigma: float, length: dict[str, float], asked: bool
) -> None:
    run = Settings(noise_multiplier=sigma, examples=60_000, batch_size=256)
    ((word, value),) = length.items()
    told = [each for each in cautions(run.with_(**length), ()) if "swapped" in each]
    said = (
        f"sigma={sigma} is much noise and {word}={value} a short run. If the two are swapped: --sigma {value} --{word} "
    )
    assert told == [f"{said}{sigma}."] * asked


@pytest.mark.parametrize(
    ("drawn", "asked"),
    [
        *(({"sample_rate": Fraction(1, 234)}, True), ({"sample_rate": 1}, False), ({}, False)),
        # Much noise is usual with large batches: what such a run spends is not next to nothing.
        *(({"batch_size": 30_000}, False), ({"sample_rate": 0.29, "epochs": 1.5}, False)),
        *(({"batch_size": 10**400}, False), ({"examples": 10**400, "batch_size": 1}, False)),
    ],
)
def test_noise_and_length_are_not_swapped_where_the_plan_spends_something(drawn: dict[str, float], asked: bool) -> None:
    run = Settings(noise_multiplier=60, examples=60_000).with_(epochs=1.1).with_(**drawn)
    assert any("a short run" in each for each in cautions(run, ())) == asked


def test_a_batch_of_less_than_one_example_may_be_a_rate() -> None:
    (said,) = cautions(WHOLE.with_(batch_size=4.2e-3), ())
    assert said.startswith("batch=0.0042 is less than one example per step")
    assert said.endswith("write --q 0.0042 in its place.")
    assert cautions(WHOLE.with_(batch_size=1), ()) == ()
    in_phases = requested(PlanArguments(Settings(examples=1000), ("sigma=1,batch=0.5,epochs=3",) * 2), None, EXACT)
    (said,) = in_phases.warnings
    assert said.endswith("write the rate 0.5 in its place.")


def test_a_delta_is_judged_by_n() -> None:
    assert resolve(WHOLE, (None,), EXACT) == ((Delta(1e-4, "largest power of ten ≤ 1 / (10 × 1000)"),), [])
    assert cautions(WHOLE, [Delta(1e-4)]) == ()
    assert cautions(Settings(), [Delta(0.5)]) == ()


def test_what_one_accountant_was_told_is_not_for_another() -> None:
    told = AccountantChoice("rdp", {"conversion": "classic"})
    assert (told.problems(), told.options("rdp"), told.options("exact")) == ([], {"conversion": "classic"}, {})
    assert AccountantChoice("all", {"max_lambda": 3}).by_accountant()["moments"] == {"max_lambda": 3}
    (wrong,) = AccountantChoice("exact", {"conversion": "classic"}).problems()
    assert wrong == (
        "--conversion is for rdp and zcdp, and the accountant is exact. Leave it out, or say --accountant rdp."
    )


def test_an_axis_ends_where_it_is_told_and_its_values_are_as_they_are_shown() -> None:
    assert Axis("steps", None, None, 3, None).values(AxisRange(1.0, 100.0)) == [1.0, 50.0, 100.0]
    assert Axis("sigma", 1.0, 4.0, 3, None).values(AxisRange(0.0, 9.0)) == [1.0, 2.0, 4.0]
    with pytest.raises(PlanError, match="to=1 lies beyond the other end, 2 when nothing is said"):
        Axis("sigma", None, 1.0, 3, None).values(AxisRange(2.0, 9.0))


@pytest.mark.parametrize(
    ("over", "reach"),
    [
        ("sigma", AxisRange(0.55, 2.2)),
        ("batch", AxisRange(1.25, 80.0)),
        ("q", AxisRange(0.00125, 0.08)),
        ("epochs", AxisRange(1.0, 3.0)),
    ],
)
def test_an_axis_reaches_around_the_plans_own_value(over: str, reach: AxisRange) -> None:
    assert Axis(over, None, None, 3, None).reach(WHOLE.plan(), WHOLE) == pytest.approx(reach)


@pytest.mark.parametrize("over", ["steps", "epochs", "sigma", "batch", "q"])
def test_what_is_varied_need_not_be_given(over: str) -> None:
    left = {
        "steps": ("epochs",),
        "epochs": ("epochs",),
        "sigma": ("noise_multiplier",),
        "batch": ("batch_size",),
        "q": ("batch_size",),
    }
    settings = WHOLE.with_(**dict.fromkeys(left[over]))
    completed = Axis(over, 1.0, 2.0, 3, None).completed(PlanArguments(settings)).settings
    assert completed.plan().steps >= 1
