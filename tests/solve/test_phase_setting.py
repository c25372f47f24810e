"""One setting of one phase: the value that is found meets the target, and the next value the other way does not."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dpplan import __main__ as program
from dpplan import accounting
from dpplan.errors import NotCertified, Unreachable
from dpplan.open_noise import epsilon_of_scale
from dpplan.plan import Phase, Plan, Settings
from dpplan.recipe import plan_file
from dpplan.recipe.plan_file import PlanFile
from dpplan.solve import phase_setting
from dpplan.solve.allocation import Budget

OTHER = "  - {name: count, mechanism: {kind: gaussian, noise_multiplier: 20}}\n"
SAMPLED = "mechanism: {kind: gaussian, noise_multiplier: 1.5}, sampling: "
SEARCH = (
    "repeat: {{law: {}, mean: 5, score: public}}, phases: [{{mechanism: {{kind: gaussian, noise_multiplier: 20}}}}]"
)
TURNS = "mechanism: {{kind: toeplitz, noise_multiplier: 1.5, bands: 3}}, sampling: {{kind: cyclic-poisson, {}"
# What is asked for, the phase, the most that the plan may spend, and the accountant.
ASKED = {
    "sample_rate": (SAMPLED + "{kind: poisson, sample_rate: 0.5}, steps: 20", 1.0, "rdp"),
    "batch_size": (SAMPLED + "{kind: poisson, batch_size: 500}, steps: 20", 1.0, "rdp"),
    "batch_size at fixed epochs": (SAMPLED + "{kind: poisson, batch_size: 50}, epochs: 2", 1.5, "exact"),
    "batch_size of fixed-size": (SAMPLED + "{kind: fixed-size, batch_size: 9}, steps: 1", 1.5, "rdp"),
    "batch_size in groups": (
        SAMPLED + "{kind: cyclic-poisson, batch_size: 9, groups: 4, assignment: own}, steps: 8", 1.0, "rdp"
    ),
    "epochs": (SAMPLED + "{kind: poisson, sample_rate: 0.05}, epochs: 3", 1.0, "rdp"),
    "groups": (
        SAMPLED + "{kind: cyclic-poisson, sample_rate: 0.2, groups: 2, assignment: own}, steps: 8", 1.0, "exact"
    ),
    "noise_scale": ("mechanism: {kind: laplace, noise_scale: 5}", 0.5, "rdp"),
    "noise_scale of discrete-laplace": (
        "mechanism: {kind: discrete-laplace, epsilon: 0.1, sensitivity: 3}", 0.5, "rdp"
    ),
    "noise_scale of discrete-gaussian": ("mechanism: {kind: discrete-gaussian, noise_scale: 5}", 0.5, "rdp"),
    "epsilon": ("mechanism: {kind: epsilon-delta, epsilon: 0.1, delta: 1.0e-7}", 0.5, "rdp"),
    "delta": ("mechanism: {kind: epsilon-delta, epsilon: 0.1}", 0.36, "rdp"),
    "mean": (SEARCH.format("poisson"), 0.9, "rdp"),
    "mean of a law from one on": (SEARCH.format("logarithmic"), 0.5, "rdp"),
    "mean of binomial": (SEARCH.format("binomial"), 0.9, "exact"),
    "sample_rate in turns": (TURNS.format("sample_rate: 0.2, groups: 4") + "}, steps: 12", 1.0, "rdp"),
    "batch_size in turns": (TURNS.format("batch_size: 20, groups: 4") + "}, steps: 12", 1.0, "rdp"),
    "groups in turns": (TURNS.format("sample_rate: 0.2, groups: 2") + "}, steps: 64", 2.5, "exact"),
    "participations": ("mechanism: {kind: tree, noise_multiplier: 9, separation: 4}, steps: 64", 2.0, "exact"),
    "participations of toeplitz": (
        "mechanism: {kind: toeplitz, noise_multiplier: 9, bands: 6, separation: 4, participations: 12}, steps: 64",
        1.0, "rdp",
    ),
    "separation": ("mechanism: {kind: tree, noise_multiplier: 9, participations: 4}, steps: 64", 4.0, "exact"),
    "separation of toeplitz": (
        "mechanism: {kind: toeplitz, noise_multiplier: 9, bands: 12, separation: 9, participations: 5}, steps: 64",
        2.3, "rdp",
    ),
    "rho": ("mechanism: {kind: zcdp, rho: 0.01}", 0.5, "rdp"),
    "threshold_scale": ("mechanism: {kind: above-threshold, threshold_scale: 5, query_scale: 40}", 0.8, "rdp"),
    "query_scale": ("mechanism: {kind: above-threshold, threshold_scale: 5, query_scale: 40}", 0.8, "rdp"),
    "answers": ("mechanism: {kind: above-threshold, threshold_scale: 5, query_scale: 40}", 0.8, "rdp"),
    "threshold": ("mechanism: {kind: thresholded-counts, noise_scale: 10, threshold: 99}", 0.9, "rdp"),
    "partitions": ("mechanism: {kind: thresholded-counts, noise_scale: 10, threshold: 99}", 0.9, "rdp"),
}  # fmt: skip
DELTA = 1e-5


def read(folder: Path, phase: str, shared: str = "n: 1000") -> PlanFile:
    file = folder / "plan.yaml"
    adjacency = "adjacency: replace-one\n" if "fixed-size" in phase else ""
    adjacency = "adjacency: zero-out\n" if "toeplitz" in phase else adjacency
    file.write_text(f"{adjacency}{shared}\nphases:\n{OTHER}  - {{name: train, {phase}}}\n", encoding="utf-8")
    return plan_file.read(file, may_be_open=True)


def held(target: float, accountant: str = "exact") -> Budget:
    return Budget(functools.cache(lambda plan: accounting.epsilon(plan, DELTA, accountant)), target)


SLOW = ("groups", "groups in turns", "mean of binomial", "batch_size of fixed-size")


@pytest.mark.parametrize(
    "asked", [pytest.param(each, marks=[pytest.mark.slow] if each in SLOW else []) for each in ASKED]
)
def test_the_value_meets_the_target_and_the_next_does_not(asked: str, tmp_path: Path) -> None:
    phase, target, accountant = ASKED[asked]
    given, name = read(tmp_path, phase), asked.split(maxsplit=1)[0]
    made = phase_setting.found(given.plan, (1, "train"), given.said[1], name, held(target, accountant))
    alone = made.alone
    assert alone is not None and made.rule == f"train.{name}" and alone.beyond is not None
    assert made.spent == accounting.epsilon(made.plan, DELTA, accountant)
    assert made.spent.upper is not None and made.spent.upper <= target
    assert made.plan.phases[0] == given.plan.phases[0]  # nothing else was changed
    # The next value, made anew from the file's words, goes beyond the target.
    for value, within in ((alone.value, True), (alone.beyond, False)):
        said = _with(given, name, value)
        assert _meets(said, target, accountant) is within
        assert (said == replace(made.plan, derivation=said.derivation)) is within
    assert (alone.spends is None) is (name == "threshold")  # where nothing is proven
    assert abs(alone.beyond - alone.value) <= max(2e-6 * alone.value, 1.0)
    assert bool(alone.remark) is ("fixed epochs" in asked)


def _meets(plan: Plan, target: float, accountant: str) -> bool:
    try:
        upper = accounting.epsilon(plan, DELTA, accountant).upper
    except NotCertified:
        return False
    return upper is not None and upper <= target


def _with(given: PlanFile, name: str, value: float) -> Plan:
    """The plan with this value, written by hand."""
    phase, said = given.plan.phases[1], given.said[1] or Settings()
    if name in ("sample_rate", "batch_size"):
        drawn: Phase = said.with_(**{"sample_rate": None, "batch_size": None, name: value}).plan().only_phase
    elif name == "epochs":
        drawn = said.with_(epochs=value).plan().only_phase
    else:
        drawn = phase
    changed = replace(phase, sampling=drawn.sampling, steps=drawn.steps)
    if name == "groups":
        changed = replace(phase, sampling=replace(phase.sampling, groups=int(value)))  # type: ignore[type-var]
    elif hasattr(phase.mechanism, name):
        whole = int(value) if name in ("answers", "partitions", "participations", "separation") else value
        changed = replace(phase, mechanism=replace(phase.mechanism, **{name: whole}))  # type: ignore[type-var]
    elif name == "noise_scale":
        epsilon = epsilon_of_scale(getattr(phase.mechanism, "sensitivity", 1), value)
        changed = replace(phase, mechanism=replace(phase.mechanism, epsilon=epsilon))  # type: ignore[type-var]
    return replace(given.plan, phases=(given.plan.phases[0], changed))


def test_what_can_be_asked_for_is_what_the_phase_has(tmp_path: Path) -> None:
    known = {
        "{kind: poisson, sample_rate: 0.1}, steps: 5": ("sample_rate", "batch_size", "epochs"),
        "{kind: fixed-size, batch_size: 9}, steps: 5": ("batch_size", "epochs"),
        "{kind: balls-in-bins, sample_rate: 0.1}, epochs: 1": ("sample_rate", "epochs"),
        "{kind: cyclic-poisson, sample_rate: 0.1, groups: 2, assignment: own}, epochs: 2": (
            "sample_rate", "batch_size", "epochs"
        ),
        "{kind: truncated-poisson, batch_size: 9, cap: 20}, steps: 5": ("sample_rate", "batch_size", "epochs"),
    }  # fmt: skip
    for sampling, names in known.items():
        given = read(tmp_path, SAMPLED + sampling)
        assert phase_setting.known(given.plan.phases[1], given.said[1]) == names
    assert "no order" in phase_setting.refusal(given.plan.phases[1], "cap")
    assert phase_setting.refusal(given.plan.phases[1], "groups") == ""
    assert phase_setting.known(given.plan.phases[1], None) == ()
    whole = read(tmp_path, "mechanism: {kind: tree, noise_multiplier: 3}, steps: 4")
    assert phase_setting.known(whole.plan.phases[1], whole.said[1]) == ("participations", "separation")


@pytest.mark.parametrize(
    ("phase", "name", "why"),
    [
        (
            TURNS.format("sample_rate: 0.2, groups: 2") + "}, steps: 8",
            "sample_rate",
            "groups=2 is fewer than the 3 steps",
        ),
        (TURNS.format("sample_rate: 0.2, groups: 4") + "}, epochs: 2", "sample_rate", "Write steps in place of epochs"),
        (TURNS.format("sample_rate: 0.2, groups: 4") + "}, steps: 8", "epochs", "Ask for steps"),
        (
            TURNS.format("batch_size: 9, groups: 4") + "}, steps: 8",
            "groups",
            "Write sample_rate in place of batch_size",
        ),
        ("mechanism: {kind: tree, noise_multiplier: 3}, steps: 4", "sample_rate", "but where groups take turns"),
        (
            "mechanism: {kind: tree, noise_multiplier: 3}, steps: 8, "
            "sampling: {kind: cyclic-poisson, sample_rate: 0.2, groups: 4}",
            "groups",
            "a tree has no bands",
        ),
        (SEARCH.format("negative-binomial, eta: 0.5"), "eta", "Ask for mean"),
        (SEARCH.format("geometric"), "eta", ""),  # it has none
        (SEARCH.format("binomial, chance: 0.3"), "chance", "Ask for mean"),
    ],
)
def test_why_what_a_phase_has_is_not_asked_for(phase: str, name: str, why: str, tmp_path: Path) -> None:
    given = read(tmp_path, phase)
    assert name not in phase_setting.known(given.plan.phases[1], given.said[1])
    told = phase_setting.refusal(given.plan.phases[1], name, given.said[1])
    assert why in told and bool(why) is bool(told)


def test_a_batch_in_turns_needs_an_n(tmp_path: Path) -> None:
    given = read(tmp_path, TURNS.format("sample_rate: 0.2, groups: 4") + "}, steps: 8", shared="unit: example")
    assert phase_setting.known(given.plan.phases[1], given.said[1]) == ("sample_rate", "groups")
    assert "n, which is missing" in phase_setting.refusal(given.plan.phases[1], "batch_size", given.said[1])


def test_groups_are_no_fewer_than_the_bands(tmp_path: Path) -> None:
    """So many have an order, and are found from where a record's turns share noise."""
    given = read(tmp_path, TURNS.format("sample_rate: 0.2, groups: 2") + "}, steps: 12")
    made = phase_setting.found(given.plan, (1, "train"), given.said[1], "groups", held(90.0, "rdp"))
    assert made.alone is not None and (made.alone.value, made.alone.beyond) == (3.0, None)


def test_that_every_mean_meets_the_target_is_said(tmp_path: Path) -> None:
    given = read(tmp_path, SEARCH.format("geometric"))
    made = phase_setting.found(given.plan, (1, "train"), None, "mean", held(20.0, "rdp"))
    assert made.alone is not None and made.alone.value == 1e6
    assert made.alone.remark == "the target is met at every mean that is tried, up to 1000000"


@pytest.mark.slow
def test_what_is_proven_rises_with_the_mean_and_with_a_stated_delta(tmp_path: Path) -> None:
    for law in ("poisson", "geometric", "logarithmic", "binomial", "negative-binomial, eta: -0.9", "negative-binomial"):
        phase = read(tmp_path, SEARCH.format(law)).plan.phases[1]
        _rises([replace(phase, mechanism=replace(phase.mechanism, mean=each)) for each in (1.1, 1.3, 2.0, 7.0, 13.0)])
    phase = read(tmp_path, ASKED["delta"][0]).plan.phases[1]
    _rises([replace(phase, mechanism=replace(phase.mechanism, delta=each)) for each in (0.0, 1e-9, 1e-6, 9e-6)])


def _rises(phases: list[Phase]) -> None:
    for accountant in ("exact", "rdp"):
        if accountant == "rdp" and getattr(phases[0].mechanism, "law", "") == "binomial":
            continue
        found = [accounting.epsilon(Plan((each,)), DELTA, accountant).upper or 0.0 for each in phases]
        assert found == sorted(found)


def test_what_no_value_meets_is_said(tmp_path: Path) -> None:
    given = read(tmp_path, "mechanism: {kind: zcdp, rho: 0.01}")
    with pytest.raises(Unreachable, match=r"is not met at any rho of train, and the plan still costs ε ≤ "):
        phase_setting.found(given.plan, (1, "train"), None, "rho", held(0.01, "rdp"))
    given = read(tmp_path, ASKED["delta"][0])
    with pytest.raises(Unreachable, match=r"is not met at any delta of train, and the plan still costs ε ≤ "):
        phase_setting.found(given.plan, (1, "train"), None, "delta", held(0.1, "rdp"))
    counted = read(tmp_path, "mechanism: {kind: above-threshold, threshold_scale: 5, query_scale: 40}")
    loose = phase_setting.found(counted.plan, (1, "train"), None, "query_scale", held(99.0, "rdp"))
    assert loose.spent.upper is not None and loose.spent.upper <= 99.0


@pytest.mark.posix
def test_the_command_names_the_value_and_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, SAMPLED + "{kind: truncated-poisson, batch_size: 50, cap: 100}, epochs: 2")
    call = ["solve", str(tmp_path / "plan.yaml"), "--target-eps", "2", "--delta", "1e-5", "--accountant", "gdp"]
    for asked, said in (
        ("train.cap", "unknown=train.cap: a higher cap cuts fewer batches"),
        ("trial.epochs", "Write NAME.SETTING."),
        ("train.batch", "one can ask for noise_multiplier, steps, sample_rate, batch_size or epochs. Did you mean"),
        ("count.epochs", "of count one can ask for noise_multiplier or steps."),
    ):
        assert program.run([*call, "--unknown", asked]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    read(tmp_path, SAMPLED + "{kind: poisson, batch_size: 50}, epochs: 2")
    call = call[:-2]
    assert program.run([*call, "--unknown", "train.batch_size"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("train.batch_size = ") and "train.batch_size = " in shown.partition("  next ")[2]
    assert "was not ruled out" in " ".join(shown.split())
    assert program.run([*call, "--unknown", "train.batch_size", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert found["unknown"] == "batch_size" and found["setting"]["phase"] == "train"
    assert found["epsilon"]["upper"] <= 2 < found["setting"]["next_spends"]["upper"]
    assert f"train.batch_size = {found['setting']['value']:g} " in shown


@pytest.mark.parametrize(
    ("asked", "phase", "less"),
    [
        ("noise_multiplier", "mechanism: {kind: gaussian, noise_multiplier: 9}", False),
        ("epsilon", "mechanism: {kind: laplace, epsilon: 0.1}", True),
        ("steps", "mechanism: {kind: gaussian, noise_multiplier: 9}, steps: 2", True),
    ],
)
def test_a_noise_and_steps_are_answered_as_all_else_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: str, phase: str, less: bool
) -> None:
    read(tmp_path, phase)
    call = ["solve", str(tmp_path / "plan.yaml"), "--target-eps", "1", "--delta", "1e-5", "--accountant", "gdp"]
    call = call if asked != "epsilon" else [*call[:-1], "rdp"]
    assert program.run([*call, "--unknown", f"train.{asked}"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"train.{asked} = ") and "All noise" not in shown
    assert f"train.{asked} = " in shown.partition("  next ")[2] and "would spend ε" in shown
    assert program.run([*call, "--unknown", f"train.{asked}", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["results"]
    setting = found["setting"]
    assert found["unknown"] == asked and (setting["value"] < setting["next"]) is less
    assert setting["next"] == pytest.approx(setting["value"], rel=1e-5 if asked != "steps" else 0.2)
    assert found["epsilon"]["upper"] <= 1 < setting["next_spends"]["upper"]


def test_noise_that_can_be_no_less_has_no_next(tmp_path: Path) -> None:
    """The value that meets the target and the least that the mechanism takes are one."""
    given = read(tmp_path, "mechanism: {kind: laplace, epsilon: 0.1}")
    found = phase_setting.noise_found(given.plan, (1, "train"), "epsilon", held(1e3, "rdp"))
    assert found.alone is not None and found.spent.upper is not None and found.spent.upper <= 1e3
    if found.alone.beyond is not None:
        assert found.alone.spends is None or found.alone.spends.value > 1e3


def test_a_plan_file_that_is_not_there_is_no_phase_to_type(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "budget.yaml").touch()
    for name, said in (("none.yaml", "Name a plan file"), ("budgett.yaml", "Did you mean 'budget.yaml'?")):
        assert program.run(["solve", str(tmp_path / name), "--target-eps", "2", "--unknown", "a.steps"]) == 2
        told = " ".join(capsys.readouterr().err.split())
        assert "no such file." in told and said.split()[0] in told and "typed" not in told


def test_the_phase_has_to_be_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, "mechanism: {kind: gaussian}, sampling: {kind: poisson, batch_size: 50}, epochs: 2")
    call = ["solve", str(tmp_path / "plan.yaml"), "--target-eps", "2", "--unknown", "train.epochs"]
    assert program.run(call) == 2
    assert "train has no noise either." in capsys.readouterr().err


def test_what_ran_before_is_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though it is called as a phase of the plan is, or was open once."""
    (tmp_path / "ran").mkdir()
    ran = "mechanism: {kind: gaussian, noise_multiplier: 9}, open: true"
    read(tmp_path / "ran", ran)
    read(tmp_path, "mechanism: {kind: gaussian, noise_multiplier: 3}, open: true, steps: 2")
    call = ["solve", str(tmp_path / "plan.yaml"), "--spent", str(tmp_path / "ran" / "plan.yaml"), "--target-eps", "3"]
    for more in ([], ["--unknown", "train.steps"], ["--unknown", "train.noise_multiplier"]):
        assert program.run([*call, "--delta", "1e-5", *more, "--json"]) == 0
        phases = json.loads(capsys.readouterr().out)["plan"]["phases"]
        assert [each["noise_multiplier"] for each in phases[:3]] == [20.0, 9.0, 20.0]
        assert phases[1]["steps"] == 1
        assert (phases[3]["noise_multiplier"] == 3.0) is ("train.steps" in more)
    assert program.run([*call, "--delta", "1e-5", "--unknown", "count.rho"]) == 2
