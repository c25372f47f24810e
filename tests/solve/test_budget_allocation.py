"""Open phases of a plan, fitted to a target: never above it, by shares, for the least error, by one factor."""

import contextlib
import functools
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dpplan import __main__ as program
from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import ZERO_OUT
from dpplan.commands.shared import solve_open_phases as of_command
from dpplan.errors import PlanError, Unreachable
from dpplan.mechanism import DiscreteLaplace, Exponential, Gaussian, Laplace, Mechanism, NoisyMax, StatedGdp
from dpplan.mechanism.correlated import TreeAggregation
from dpplan.open_noise import Opening, noise_of, setting_of, with_noise
from dpplan.plan import Phase, Plan
from dpplan.recipe import mechanism_block, plan_file
from dpplan.render import solve_open_phases
from dpplan.sampling import Poisson
from dpplan.solve import allocation
from dpplan.solve.allocation import RULES, STEP, Budget, allocate, bought, most_steps, open_problems

ALL = Poisson(1.0)
ROOT = Path(__file__).parents[2]


def plan(*mechanisms: Mechanism) -> Plan:
    return Plan(tuple(Phase(each, ALL, 1) for each in mechanisms))


def held(target: float, delta: float = 1e-6) -> Budget:
    return Budget(functools.cache(lambda asked: accounting.epsilon(asked, delta)), target)


def gaussians(*weights: float) -> tuple[Plan, dict[int, Opening]]:
    openings = {at: Opening("noise_multiplier", False, weight) for at, weight in enumerate(weights)}
    return plan(*[Gaussian(1.0)] * len(weights)), openings


def sigmas(found: Plan) -> list[float]:
    return [Gaussian.of(phase.mechanism).noise_multiplier for phase in found.phases]


def test_shares_of_gaussians_are_those_of_their_weights() -> None:
    found = allocate(*gaussians(1.0, 4.0), held(2.0), "shares", {})
    one, other = sigmas(found.plan)
    assert one / other == pytest.approx(2.0, rel=1e-5)
    assert found.spent.upper is not None and 2.0 * (1 - 1e-4) < found.spent.upper <= 2.0
    assert found.spent == accounting.epsilon(found.plan, 1e-6)


def test_shares_count_noise_that_steps_share_as_the_one_release_that_it_is() -> None:
    """Of a tree whose record takes part once in four steps: a sensitivity of √3, not of four steps."""
    made = Plan((Phase(Gaussian(1.0), ALL, 1), Phase(TreeAggregation(1.0), ALL, 4)), adjacency=ZERO_OUT)
    openings = {at: Opening("noise_multiplier", False, 1.0) for at in range(2)}
    found = allocate(made, openings, held(2.0), "shares", {})
    one, other = (noise_of(phase.mechanism) for phase in found.plan.phases)
    assert other / one == pytest.approx(math.sqrt(3.0), rel=1e-5)
    assert found.spent.upper is not None and 2.0 * (1 - 1e-4) < found.spent.upper <= 2.0


def test_the_least_error_of_gaussians_is_that_of_lagrange() -> None:
    """min Σ w·σ² with Σ 1/σ² given: σ⁴ in proportion to 1/w."""
    found = allocate(*gaussians(1.0, 16.0, 1.0), held(1.0), "error", {2: 3.0})
    first, second, third = sigmas(found.plan)
    assert first / second == pytest.approx(2.0, rel=2e-3) and first / third == pytest.approx(math.sqrt(3.0), rel=2e-3)
    total = math.sqrt(sum(1 / each**2 for each in (first, second, third)))
    least = total**-2 * (1.0 + 4.0 + 3.0) ** 2  # of weights 1, 16 and 1·3²
    assert found.error == pytest.approx(least, rel=1e-5)


def test_no_group_is_left_with_noise_that_it_can_do_without() -> None:
    """A plan costs what its costliest group does: what the other spent below that was free (14.24 where 8.9 is met)."""
    groups = (Phase(Gaussian(1.0), ALL, 1, groups=((1, 0),)), Phase(Laplace(1.0), ALL, 1, groups=((1, 1),)))
    made = Plan((Phase(Gaussian(2.0), ALL, 1), *groups))
    openings = {1: Opening("noise_multiplier", False, 1.0), 2: Opening("epsilon", False, 1.0)}
    found = allocate(made, openings, held(3.0), "error", {})
    assert found.error is not None and found.error < 8.91
    assert found.spent.upper is not None and found.spent.upper <= 3.0
    assert found.spent == accounting.epsilon(found.plan, 1e-6)
    for at in openings:
        phases = list(found.plan.phases)
        phases[at] = replace(
            phases[at], mechanism=with_noise(phases[at].mechanism, noise_of(phases[at].mechanism) * 0.99)
        )
        less = accounting.epsilon(replace(found.plan, phases=tuple(phases)), 1e-6)
        assert less.upper is not None and less.upper > 3.0


def test_one_factor_keeps_how_noise_compares() -> None:
    openings = {0: Opening("noise_multiplier", True), 1: Opening("mu", True)}
    found = allocate(plan(Gaussian(3.0), StatedGdp(0.5), Gaussian(20.0)), openings, held(1.5), "scale", {})
    assert noise_of(found.plan.phases[0].mechanism) / noise_of(found.plan.phases[1].mechanism) == pytest.approx(
        1.5, rel=1e-5
    )
    assert found.plan.phases[2].mechanism == Gaussian(20.0)
    assert found.spent.upper is not None and found.spent.upper <= 1.5


def test_a_little_less_noise_was_not_shown_to_meet_the_target() -> None:
    found = allocate(*gaussians(1.0, 1.0), held(2.0), "shares", {})
    less = [with_noise(Gaussian(each), each * (1 - 10 * STEP)) for each in sigmas(found.plan)]
    assert accounting.epsilon(plan(*less), 1e-6).value > 2.0


def test_more_budget_buys_less_noise_in_each_phase() -> None:
    found = bought(allocate(*gaussians(1.0, 4.0), held(2.0), "shares", {}), held(2.0))
    for at, then in found.buys.items():
        assert then is not None and then < found.value(at)
        changed = [each if at != other else then for other, each in enumerate(sigmas(found.plan))]
        assert 3.0 * (1 - 1e-2) < accounting.epsilon(plan(*map(Gaussian, changed)), 1e-6).value <= 3.0


@pytest.mark.slow
def test_the_most_steps_are_one_fewer_than_too_many() -> None:
    given = Plan((Phase(Gaussian(2.0), ALL, 1), Phase(Gaussian(8.0), Poisson(0.1), 1)))
    found, spent = most_steps(given, 1, held(3.5))
    more = Plan((given.phases[0], Phase(Gaussian(8.0), Poisson(0.1), found.phases[1].steps + 1)))
    assert spent.value <= 3.5 < accounting.epsilon(more, 1e-6).value
    with pytest.raises(Unreachable, match="at one step of that phase"):
        most_steps(given, 1, held(1.0))


def test_what_no_noise_meets_is_said() -> None:
    with pytest.raises(Unreachable, match="is not met at any noise of the open phases"):
        allocate(plan(Gaussian(1.0), Gaussian(1.0)), {0: Opening("noise_multiplier", False)}, held(1.0), "shares", {})
    above = Bound("epsilon", None, 2.12345678, Guarantee.UPPER, "exact", plan(Gaussian(1.0)).assumptions)
    assert "the plan still costs ε ≤ 2.12346." in str(allocation.unreachable(held(1.0), above, "at all"))
    assert "no phase is open" in open_problems(["train"], [None], "shares")[0]
    (said,) = open_problems(["count"], [Opening("epsilon", False)], "scale")
    assert "needs a value to start from in every open phase, with open: true beside it: count (epsilon)" in said


@pytest.mark.parametrize(
    "mechanism", [Gaussian(1.7), Laplace(0.3), DiscreteLaplace(0.3, 2), Exponential(0.2), NoisyMax(0.7), StatedGdp(0.4)]
)
def test_noise_is_rounded_so_that_there_is_more_of_it(mechanism: Mechanism) -> None:
    for factor in (1.0, 1.23456789, 0.3333333333):
        noise = noise_of(mechanism) * factor
        changed = with_noise(mechanism, noise)
        assert noise * (1 - 1e-15) <= noise_of(changed) <= noise * (1 + 2e-5) and type(changed) is type(mechanism)
        assert setting_of(type(mechanism)) in {"noise_multiplier", "epsilon", "mu"}


def random_plan(rng: random.Random) -> tuple[Plan, dict[int, Opening]]:
    made: list[Phase] = []
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice([Gaussian, Gaussian, StatedGdp, DiscreteLaplace])
        start = 10 ** rng.uniform(-0.5, 0.7)
        mechanism: Mechanism = kind(start) if kind is not DiscreteLaplace else DiscreteLaplace(0.2 * start)
        sampled = kind is Gaussian and rng.random() < 0.5
        sampling = Poisson(10 ** rng.uniform(-3, -1)) if sampled else ALL
        group = ((1, rng.randint(0, 1)),) if rng.random() < 0.3 else ()
        made.append(Phase(mechanism, sampling, rng.choice([10, 300]) if sampled else rng.randint(1, 3), groups=group))
    given = rng.random() < 0.5
    openings = {at: Opening(str(setting_of(type(phase.mechanism))), given, 10 ** rng.uniform(-1, 1))
                for at, phase in enumerate(made) if rng.random() < 0.7 or at == 0}  # fmt: skip
    return Plan(tuple(made)), openings


def check_random(seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        given, openings = random_plan(rng)
        target, delta = 10 ** rng.uniform(-0.5, 1.0), 10 ** rng.uniform(-9, -4)
        rule = rng.choice(["shares", "scale"])
        try:
            found = allocate(given, openings, held(target, delta), rule, {})
        except Unreachable:
            continue
        again = accounting.epsilon(found.plan, delta)
        assert again.upper is not None and again.upper <= target, seed
        assert found.spent == again


def test_no_allocation_is_above_its_target() -> None:
    check_random(range(2))


@pytest.mark.slow
def test_no_allocation_of_two_hundred_is_above_its_target() -> None:
    check_random(range(200))


@pytest.mark.sweep(slow=("given1",))
@pytest.mark.parametrize(
    ("given", "place", "setting", "target", "found"),
    [
        (plan(Laplace(0.1), Gaussian(2.6726)), 0, "epsilon", 6.0, 4.41226),
        (Plan((Phase(Laplace(1.0), ALL, 1), Phase(Gaussian(40.0), ALL, 1), Phase(Gaussian(1.1), Poisson(0.01), 1000))),
         1, "noise_multiplier", 4.0, 1.82594),
    ],
)  # fmt: skip
def test_a_start_where_the_figure_is_nearly_flat_is_left(
    given: Plan, place: int, setting: str, target: float, found: float
) -> None:
    made = allocate(given, {place: Opening(setting, True)}, held(target), "scale", {})
    assert made.value(place) == pytest.approx(found, rel=1e-5)
    assert made.spent.upper is not None and target * (1 - 1e-3) < made.spent.upper <= target


def check_far_start(seed: int) -> None:
    """What is found from a start a thousandfold away spends all but a thousandth; or nothing meets the target, for the
    closed phases alone cost more."""
    rng = random.Random(seed)
    kinds = (Gaussian(2.0), Gaussian(8.0), Laplace(0.5), StatedGdp(0.5))
    mechanisms = [rng.choice(kinds) for _ in range(rng.randint(2, 3))]
    rule, away = RULES[seed % 3], 10 ** rng.choice([-3.0, 3.0])
    open_ones = [at for at in range(len(mechanisms)) if rng.random() < 0.6 or at == 0]
    if rule == "error":
        mechanisms = [each if not isinstance(each, StatedGdp) else Laplace(0.2) for each in mechanisms]
    closed = [each for at, each in enumerate(mechanisms) if at not in open_ones]
    for at in open_ones:
        with contextlib.suppress(PlanError):
            mechanisms[at] = with_noise(mechanisms[at], noise_of(mechanisms[at]) * away)
    openings = {at: Opening(str(setting_of(type(mechanisms[at]))), True, rng.choice([1.0, 50.0])) for at in open_ones}
    target = rng.choice([0.5, 1.0, 3.0, 6.0])
    try:
        found = allocate(plan(*mechanisms), openings, held(target), rule, {})
    except Unreachable:
        assert closed and accounting.epsilon(plan(*closed), 1e-6).value > target * (1 - 1e-3), seed
        return
    assert found.spent.upper is not None and target * (1 - 1e-3) < found.spent.upper <= target, seed


def test_a_far_start_is_no_reason_to_leave_budget_unspent() -> None:
    for seed in range(3):
        check_far_start(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 15))
def test_no_far_start_leaves_budget_unspent(seed: int) -> None:
    check_far_start(seed)


# As it is typed


def ran(*words: str, code: int = 0) -> str:
    import forked  # of POSIX alone

    found = forked.dpplan("solve", *words, cwd=ROOT / "recipes" / "plans")
    assert found.returncode == code, found.stderr
    return found.stdout if not code else " ".join(found.stderr.split())


@pytest.mark.slow
@pytest.mark.posix
def test_the_command_shows_what_was_found_and_what_more_would_buy() -> None:
    text = ran("two-stage-fine-tuning.yaml", "--target-eps", "8")
    assert "3 open phases, by shares" in text and "of 8 (certified)" in text and "with ε + 1" in text
    assert "hospital A.steps = 2926" in ran("cohorts.yaml", "--target-eps", "3", "--unknown", "hospital A.steps")


@pytest.mark.slow
@pytest.mark.posix
def test_the_command_allocates_by_error_and_names_each_phase_in_json() -> None:
    content = json.loads(ran("two-stage-fine-tuning.yaml", "--target-eps", "8", "--allocate", "error", "--json"))
    (found,) = content["results"]
    assert found["epsilon"]["upper"] <= 8 and [each["phase"] for each in found["phases"]] == content["names"]


@pytest.mark.slow
def test_the_screen_counts_the_plans_that_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    @contextlib.contextmanager
    def status(_: str) -> Iterator[Callable[[str], None]]:
        yield said.append

    monkeypatch.setattr(of_command.waiting, "status", status)
    assert (
        program.run(["solve", str(ROOT / "recipes" / "plans" / "two-stage-fine-tuning.yaml"), "--target-eps", "8"]) == 0
    )
    assert said[:3] == ["0 plans tried", "1 plan tried", "2 plans tried"]
    assert said[-1] == f"{len(said) - 1} plans tried"


OPEN = """\
phases:
  - {name: counts, mechanism: {kind: laplace, epsilon: 0.1}, open: true, weight: 2}
  - {name: train, mechanism: {kind: gaussian}}
  - {name: other, mechanism: {kind: epsilon-delta, epsilon: 0.1}}
"""


def test_one_open_phase_is_not_said_to_be_changed_with_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(
        "phases: [{name: one, mechanism: {kind: gaussian, noise_multiplier: 9}, open: true}]", encoding="utf-8"
    )
    call = ["solve", str(tmp_path / "plan.yaml"), "--target-eps", "1", "--delta", "1e-5", "--accountant", "gdp"]
    assert program.run(call) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("1 open phase, by scale") and "All noise" not in shown


def test_noise_that_is_left_open_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(OPEN.replace("laplace, epsilon: 0.1", "laplace"), encoding="utf-8")
    assert program.run(["epsilon", str(file), "--delta", "1e-5"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "noise is left open here, of counts and train." in told and "--target-eps 8" in told
    file.write_text(OPEN.replace("laplace, epsilon: 0.1", "laplace").replace("0.1", "-1"), encoding="utf-8")
    assert program.run(["epsilon", str(file), "--delta", "1e-5"]) == 2
    assert "left open" not in capsys.readouterr().err


def test_a_slip_in_the_name_of_a_noise_is_one_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.yaml").write_text("phases: [{mechanism: {kind: gaussian, noise_multipler: 9}}]", encoding="utf-8")
    for command in (["epsilon"], ["solve", "--target-eps", "1"]):
        assert program.run([*command, str(tmp_path / "plan.yaml"), "--delta", "1e-5"]) == 2
        told = capsys.readouterr().err
        assert "Did you mean" in told and "missing" not in told and "problems" not in told


@pytest.mark.posix
def test_one_factor_for_all_asks_for_no_weights(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(OPEN.replace("gaussian}", "gaussian, noise_multiplier: 5}, open: true"), encoding="utf-8")
    for rule, weighed in (("scale", False), ("shares", True)):
        text = ran(str(file), "--target-eps", "1", "--delta", "1e-6", "--allocate", rule)
        assert "2 open phases" in text
        assert ("weight" in text) == weighed


@pytest.mark.sweep(every=3)
@pytest.mark.posix
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("open: true", "open: maybe", "phases[0].open=maybe is not one of: true, false."),
        ("open: true", "open: 1", "phases[0].open=1 is not one of"),
        ("open: true", "open: [true]", "phases[0].open=a list is not one of"),
        ("open: true", "opened: true", "Did you mean 'open'?"),
        ("weight: 2", "weight: 0", "phases[0].weight=0 is not above 0"),
        ("weight: 2", "weight: -1", "phases[0].weight=-1 is not above 0"),
        ("weight: 2", "weight: much", "phases[0].weight=much is not a number"),
        ("weight: 2", "wait: 2", "phases[0].wait is not one of"),
        ("weight: 2", "weight: 1e300", "is not above 0"),
        ("epsilon: 0.1}}", "epsilon: 0.1}, open: true}", "epsilon-delta has no noise that could be open"),
        ("epsilon: 0.1}}", "delta: 0.1}}", "phases[2].mechanism.epsilon is missing: epsilon-delta needs it."),
        ("kind: gaussian", "kind: gaussian, sigma: 1", "Did you mean 'noise_multiplier'?"),
    ],
)
def test_what_is_wrong_with_open_phases_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in OPEN
    file = tmp_path / "plan.yaml"
    file.write_text(OPEN.replace(old, new, 1), encoding="utf-8")
    assert said in ran(str(file), "--target-eps", "1", "--delta", "1e-6", code=2)


@pytest.mark.sweep(every=3)
@pytest.mark.posix
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "the target is missing: give --target-eps."),
        (("--target-eps", "0"), "target_eps=0"),
        (("--target-eps", "1", "--allocate", "equal"), "allocate=equal is not one of: shares, error, scale."),
        (("--target-eps", "1", "--allocate", "scale"), "open: true beside it: train (noise_multiplier)."),
        (("--target-eps", "1", "--unknown", "train.sigma"), "of train one can ask for noise_multiplier or steps."),
        (("--target-eps", "1", "--unknown", "trian.steps"), "Did you mean 'train'?"),
        (("--target-eps", "1", "--unknown", "steps"), "Write NAME.SETTING."),
        (("--target-eps", "1", "--unknown", "counts.epsilon"), "train has no noise either."),
        (("--target-eps", "1", "--unknown", "train.steps"), "train has no noise either."),
        (("--target-eps", "1", "--unknown", ""), "no phase is called ''."),
        (
            ("--target-eps", "1", "--unknown", "counts.steps", "--allocate", "shares"),
            "--allocate and --unknown are given",
        ),
        (("--target-eps", "1", "--sigma", "2"), "is a whole plan, and more of the run was said beside it"),
        (("--target-delta", "1e-6", "--eps", "1"), "--target-delta is no target for a plan file"),
        (("--target-eps", "1", "--max-tpr", "0.1@0.01"), "--max-tpr is no target for a plan file"),
        (("--target-eps", "1", "--solve", "cap"), "--solve is nothing that a plan file is solved by"),
    ],
)
def test_calls_that_make_no_sense_are_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(OPEN, encoding="utf-8")
    delta = () if "--target-delta" in words else ("--delta", "1e-6")
    assert said in ran(str(file), *delta, *words, code=2)


@pytest.mark.posix
def test_all_phases_without_noise_are_named(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(OPEN + "  - {name: more, mechanism: {kind: laplace}}\n", encoding="utf-8")
    said = ran(str(file), "--target-eps", "1", "--delta", "1e-6", "--unknown", "train.steps", code=2)
    assert "more and train have no noise either." in said


@pytest.mark.posix
def test_three_phases_without_noise_are_a_list(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    more = "  - {name: more, mechanism: {kind: laplace}}\n  - {name: last, mechanism: {kind: laplace}}\n"
    file.write_text(OPEN + more, encoding="utf-8")
    said = ran(str(file), "--target-eps", "1", "--delta", "1e-6", "--unknown", "train.steps", code=2)
    assert "more, last and train have no noise either." in " ".join(said.split())


@pytest.mark.posix
def test_the_steps_of_a_strategy_end_at_its_last_row(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    strategy = "{kind: matrix, noise_multiplier: 4, bands: 1, entries: [1, 1, 1, 1, 1]}"
    file.write_text(f"phases:\n  - {{name: train, mechanism: {strategy}, steps: 5}}\n", encoding="utf-8")
    words = (str(file), "--delta", "1e-6", "--unknown", "train.steps", "--target-eps")
    said = " ".join(ran(*words, "8", code=0).split())
    assert "train.steps = 5" in said
    assert "the strategy ends: it is for 5 steps." in said


@pytest.mark.posix
def test_plan_and_options_belong_together(tmp_path: Path) -> None:
    said = ran("--allocate", "shares", "--target-eps", "1", code=2)
    assert "PLAN is missing: --allocate and --unknown are of a plan file." in said
    file = tmp_path / "plan.yaml"
    file.write_text(OPEN, encoding="utf-8")
    openings = plan_file.read(file, may_be_open=True).openings
    assert openings == (Opening("epsilon", True, 2.0), Opening("noise_multiplier", False), None)
    assert mechanism_block.PhaseContext and of_command.STEPS == "steps" and "shares" in RULES
    assert solve_open_phases.table(("a",), allocate(*gaussians(1.0), held(1.0), "shares", {})).notes
