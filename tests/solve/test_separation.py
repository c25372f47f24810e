"""How far apart the steps of a record have to be: the order that the search goes along, its ends, and what is said."""

import dataclasses
import json
import time
from pathlib import Path

import pytest
from shared_noise import NOISES, STEPS, asked_for, found_from_anywhere, in_order, matrix, solved, upper

from dpplan import __main__ as program
from dpplan.accounting.pairs import correlated
from dpplan.accounting.pairs.participation_sensitivity import Sensitivity
from dpplan.errors import NotApplicable, Unreachable
from dpplan.mechanism import Gaussian, Mechanism
from dpplan.mechanism.correlated import ToeplitzNoise, TreeAggregation
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle
from dpplan.solve.participations import SEPARATION


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("most", [1, 2, 3, 5, 8, 30])
def test_no_sensitivity_rises_with_the_separation(name: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where quicker bounds take over below some separation."""

    def rising() -> list[Sensitivity]:
        return [correlated.sensitivity(NOISES[name], STEPS, most, apart) for apart in range(STEPS + 2, 0, -1)]

    for squares in in_order(rising, monkeypatch):
        assert {*squares[:3]} == {squares[0]}  # a record in one step


@pytest.mark.parametrize("name", NOISES)
def test_the_least_separation_that_meets_the_target_is_found(name: str) -> None:
    """The same as by trying all, from whichever the phase says."""
    mechanism = dataclasses.replace(NOISES[name], participations=4)
    said = [dataclasses.replace(mechanism, separation=apart) for apart in range(1, STEPS + 1)]
    costs = [upper(each) for each in said]
    for apart in (1, 3, 6, STEPS):
        target = costs[apart - 1] * (1 + 1e-6)  # met so far apart, and where it costs no more
        expected = min(at for at, cost in enumerate(costs, 1) if cost <= target)
        assert all(cost <= target for cost in costs[expected - 1 :])  # and from there on
        found_from_anywhere(SEPARATION, said, costs, target, expected, expected - 1 or None)


@pytest.mark.parametrize("most", [1, 4, 10_000])
def test_a_record_in_one_step_that_is_too_much_is_said(most: int) -> None:
    with pytest.raises(Unreachable, match=r"ε = 0.5 is not met even with a record in one step of train, and the plan"):
        solved(SEPARATION, TreeAggregation(9.0, participations=most), 0.5)


@pytest.mark.parametrize(
    ("most", "target", "apart", "told"),
    [
        (4, 2.0, 8, "so far apart a record is in 3 steps of 21 at most, not in 4"),
        (4, 1.0, 21, "so far apart a record is in one step of 21 at most, not in 4"),
        (4, 50.0, 1, "the target is met however near to each other a record's steps are"),
        (1, 50.0, 1, "the target is met however near to each other a record's steps are"),
        (9_999, 50.0, 1, "the target is met however near to each other a record's steps are"),
        (4, 2.8, 4, ""),
    ],
)
def test_what_a_separation_makes_of_the_participations_is_said(most: int, target: float, apart: int, told: str) -> None:
    made = solved(SEPARATION, TreeAggregation(9.0, participations=most, separation=3), target)
    assert made.alone is not None
    assert (made.alone.value, made.alone.remark) == (apart, told)
    assert made.alone.beyond == (apart - 1 if apart > 1 else None)
    assert (made.alone.spends is None) is (apart == 1)


def test_where_there_is_no_figure_at_all_why_is_said() -> None:
    with pytest.raises(NotApplicable, match="the strategy is for 21 steps"):
        solved(SEPARATION, dataclasses.replace(matrix(4, signed=False), participations=2), 5.0, steps=22)


@pytest.mark.parametrize(
    ("mechanism", "steps", "target"),
    [
        (TreeAggregation(100.0, participations=40), 10**5, 4.0),
        pytest.param(TreeAggregation(300.0, participations=300), 10**6, 4.0, marks=pytest.mark.slow),
        pytest.param(TreeAggregation(900.0, participations=10_000), 10**9, 5.0, marks=pytest.mark.slow),
        (ToeplitzNoise(20.0, bands=500, participations=40), 10**5, 4.0),
        (ToeplitzNoise(20.0, bands=500, participations=40), 10**12, 4.0),
    ],
)
def test_long_runs_are_answered_in_moments(mechanism: Mechanism, steps: int, target: float) -> None:
    begun = time.process_time()
    made = solved(SEPARATION, mechanism, target, steps)
    assert time.process_time() - begun < 30.0
    assert made.alone is not None and made.alone.spends is not None and made.alone.beyond == made.alone.value - 1
    assert made.spent.upper is not None and made.alone.spends.upper is not None
    assert made.spent.upper <= target < made.alone.spends.upper


@pytest.mark.parametrize(
    ("mechanism", "sampling", "told"),
    [
        (Gaussian(2.0), Poisson(0.1), "only noise that steps share (tree, toeplitz, matrix, blt) has a separation"),
        (
            TreeAggregation(2.0),
            CyclicPoisson(0.1, 4, "place"),
            "steps are a multiple of groups=4 apart. Ask for steps.",
        ),
        (TreeAggregation(2.0), Shuffle(10, "once"), "every epoch, which has 10. Ask for steps."),
        (TreeAggregation(2.0), Shuffle(10, "fresh"), "every epoch, which has 10. Ask for steps."),
        (TreeAggregation(2.0), Poisson(0.1), "none holds under sampling=poisson"),
        (TreeAggregation(2.0), FixedSize(10, 100), "none holds under sampling=fixed-size"),
        (TreeAggregation(2.0), Poisson(1.0), ""),
    ],
)
def test_it_is_asked_for_where_a_phase_declares_it(mechanism: Mechanism, sampling: Sampling, told: str) -> None:
    asked_for(SEPARATION, mechanism, sampling, told)


def test_the_command_answers_what_epsilon_says_of_its_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, answer = tmp_path / "plan.yaml", tmp_path / "answer.json"
    kind = "{kind: tree, noise_multiplier: 9, participations: 8}"
    file.write_text(f"phases:\n  - {{name: train, mechanism: {kind}, steps: 64}}\n", encoding="utf-8")
    call = ["solve", str(file), "--target-eps", "3", "--delta", "1e-6", "--unknown", "train.separation"]
    assert program.run(call) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("train.separation = 22 ") and "train.separation = 21: would spend ε" in shown
    assert "so far apart a record is in 3 steps of 64 at most, not in 8." in " ".join(shown.split())
    assert program.run([*call, "--json"]) == 0
    answer.write_text(said := capsys.readouterr().out, encoding="utf-8")
    (found,) = json.loads(said)["results"]
    assert (found["unknown"], found["setting"]["value"], found["setting"]["next"]) == ("separation", 22.0, 21.0)
    assert found["epsilon"]["upper"] <= 3 < found["setting"]["next_spends"]["lower"]
    assert program.run(["epsilon", str(answer), "--delta", "1e-6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["epsilon"] == found["epsilon"]
