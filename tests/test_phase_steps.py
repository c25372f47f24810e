"""The steps of a phase over more than one run, and beyond what was planned."""

import dataclasses
import json
from pathlib import Path

import pytest

from dpplan import accounting, verify
from dpplan.adjacency import ZERO_OUT
from dpplan.compare.tuning import tuning
from dpplan.errors import NotCertified
from dpplan.mechanism import Gaussian, ToeplitzNoise, TreeAggregation
from dpplan.mechanism.trials import Trials
from dpplan.phase_steps import alone, taken, times
from dpplan.plan import Phase, Plan
from dpplan.plan_json import phase_to_json
from dpplan.sampling import Poisson, Shuffle

ALL = Poisson(1.0)
IN_ALL = Phase(TreeAggregation(4.0, participations=9), ALL, 9)
HALF_AN_EPOCH = Phase(Gaussian(4.0), Shuffle(10, "once"), 5)


def spent(*phases: Phase) -> float:
    upper = accounting.epsilon(Plan(phases, ZERO_OUT), 1e-5).upper
    assert upper is not None
    return upper


@pytest.mark.sweep(slow=("dealt",))
@pytest.mark.parametrize("phase", [IN_ALL, HALF_AN_EPOCH], ids=["tied noise", "dealt batches"])
def test_runs_whose_steps_hang_together_are_not_one_longer_run(phase: Phase) -> None:
    assert not alone(phase)
    longer = dataclasses.replace(phase, steps=3 * phase.steps)
    assert spent(*times((phase,), 3)) == spent(phase, phase, phase) > 1.2 * spent(longer)
    plan = Plan((phase,), ZERO_OUT)
    together = tuning(plan, 1e-5, (Trials("geometric", 3.0),)).together
    assert together is not None and together.upper == spent(phase, phase, phase)


def test_steps_that_are_releases_by_themselves_are_counted_on() -> None:
    phase = Phase(Gaussian(4.0), Poisson(0.1), 5)
    assert alone(phase) and times((phase, phase), 10**6) == 2 * (dataclasses.replace(phase, steps=5 * 10**6),)
    with pytest.raises(NotCertified, match="more phases than 1000"):
        times((IN_ALL,), 1001)


@pytest.mark.parametrize("mechanism", [TreeAggregation, ToeplitzNoise])
def test_who_is_in_every_step_is_in_those_beyond_the_plan(mechanism: type) -> None:
    bands = {} if mechanism is TreeAggregation else {"bands": 3}
    nine, whole = (Phase(mechanism(4.0, participations=n, **bands), ALL, n) for n in (9, 14))
    assert taken(nine, 14) == whole and spent(taken(nine, 14)) > 1.1 * spent(dataclasses.replace(nine, steps=14))
    assert taken(nine, 4) == dataclasses.replace(nine, steps=4)
    rare = Phase(mechanism(4.0, participations=2, separation=3, **bands), ALL, 9)
    assert taken(rare, 14).mechanism == rare.mechanism


def test_a_report_that_leaves_them_out_is_refuted(tmp_path: Path) -> None:
    planned = {
        **phase_to_json(IN_ALL), "delta": 1e-5, "epsilon": {"upper": spent(IN_ALL), "guarantee": "certified"},
        "adjacency": "zero_out", "privacy_unit": "example",
    }  # fmt: skip
    for steps, claimed, stands in ((9, spent(IN_ALL), True), (14, spent(dataclasses.replace(IN_ALL, steps=14)), False)):
        taken_steps = {"steps": steps, "lost_steps": steps - 9, "epsilon": {"upper": claimed, "guarantee": "certified"}}
        content = {
            "schema": "dpplan.train/1", "planned": planned, "spent": taken_steps, "status": "finished",
            "agrees_with_plan": steps == 9, "assumptions": {"adjacency": "zero_out", "privacy_unit": "example"},
        }  # fmt: skip
        (tmp_path / "report.json").write_text(json.dumps(content))
        claim = next(each for each in verify.read(tmp_path / "report.json").claims if each.name == "spent")
        assert claim.plan is not None and claim.plan.only_phase == taken(IN_ALL, steps)
        assert (verify.verify(claim, proofs=False).standing == verify.Standing.STANDS) is stands
