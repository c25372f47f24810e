"""The settings of each mechanism in a plan file: ten mistakes for each key, and all of them on the page of help."""

import dataclasses
import json
import re
import typing
from fractions import Fraction
from pathlib import Path

import mpmath
import pytest

from dpplan import accounting, plan_json
from dpplan.commands.shared import plan_files
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.errors import PlanError
from dpplan.mechanism import MECHANISMS, Gaussian
from dpplan.plan import Settings
from dpplan.recipe import plan_file
from dpplan.render.help_mechanisms import MECHANISMS as PAGE

# Kind -> what makes sense, as it is written in a file.
GOOD = {
    "gaussian": {"noise_multiplier": "4"},
    "laplace": {"epsilon": "0.2"},
    "discrete-laplace": {"epsilon": "0.2", "sensitivity": "2"},
    "randomized-response": {"epsilon": "0.2", "categories": "3"},
    "epsilon-delta": {"epsilon": "0.2", "delta": "1e-6"},
    "gdp": {"mu": "0.3"},
    "exponential": {"epsilon": "0.2"},
    "noisy-max": {"epsilon": "0.2"},
    "permute-and-flip": {"epsilon": "0.2"},
    "matrix": {
        "noise_multiplier": "4",
        "entries": "[1]",
        "bands": "1",
        "participations": "3",
        "separation": "9",
    },
    "zcdp": {"rho": "0.1"},
    "rdp": {"orders": "[2, 8]", "epsilons": "[0.1, 0.5]"},
    "discrete-gaussian": {"noise_scale": "2", "sensitivity": "1", "differences": "[]", "l2_sensitivity": "1.5"},
    "above-threshold": {"threshold_scale": "9", "query_scale": "20", "answers": "2", "queries": "monotone"},
    "thresholded-counts": {"noise_scale": "3", "threshold": "20", "partitions": "2", "noise": "laplace"},
    "tree": {"noise_multiplier": "4", "participations": "3", "separation": "9"},
    "toeplitz": {"noise_multiplier": "4", "coefficients": "[1, 0.5]", "participations": "3", "separation": "9"},
    "blt": {"noise_multiplier": "4", "decays": "[0.9]", "scales": "[0.1]", "participations": "3", "separation": "9"},
}
NUMBERS = ["''", "one", "[1]", "{a: 1}", "true", ".nan", ".inf", "'1'", "-1", "1e999"]
LISTS = ["1", "one", "''", "{a: 1}", "[one]", "[[1]]", "['1']", "[.nan]", "[1e999]", "[true]"]
WORDS = ["''", "nothing-known", "[any]", "{a: 1}", "1", "true", "'  '", ".nan", "two words", "anyy"]
KEYS = [(kind, key) for kind, settings in GOOD.items() for key in settings]
NOT_BESIDE = {("toeplitz", "bands")}  # what another key says in another way


def written(folder: Path, kind: str, settings: dict[str, str]) -> Path:
    file = folder / "plan.yaml"
    inside = ", ".join([f"kind: {kind}", *(f"{key}: {value}" for key, value in settings.items())])
    file.write_text(f"phases:\n  - {{mechanism: {{{inside}}}}}\n", encoding="utf-8")
    return file


def mistakes(kind: str, key: str) -> list[str]:
    annotation = typing.get_type_hints(MECHANISMS[kind])[key]
    return LISTS if typing.get_origin(annotation) is tuple else WORDS if annotation is str else NUMBERS


@pytest.mark.parametrize("kind", GOOD)
def test_what_makes_sense_is_read(tmp_path: Path, kind: str) -> None:
    mechanism = plan_file.read(written(tmp_path, kind, GOOD[kind])).plan.only_phase.mechanism
    assert mechanism.kind == kind


def test_every_kind_and_key_is_here() -> None:
    every = {(kind, each.name) for kind, made in MECHANISMS.items() for each in dataclasses.fields(made)}
    assert set(KEYS) | NOT_BESIDE == every


@pytest.mark.parametrize("value", NUMBERS)
def test_ten_mistakes_of_bands_are_told(tmp_path: Path, value: str) -> None:
    with pytest.raises(PlanError, match=r"plan.yaml:2: phases\[0\].mechanism.bands"):
        plan_file.read(written(tmp_path, "toeplitz", {"noise_multiplier": "4", "bands": value}))


@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_ten_mistakes_of_each_key_are_told_with_line_and_key(tmp_path: Path, kind: str, key: str) -> None:
    wrong = mistakes(kind, key)
    assert len(set(wrong)) == 10
    for value in wrong:
        with pytest.raises(PlanError) as error:
            plan_file.read(written(tmp_path, kind, GOOD[kind] | {key: value}))
        assert any("plan.yaml:2: phases[0].mechanism." in each and key in each for each in error.value.problems), value


@pytest.mark.parametrize("kind", GOOD)
def test_a_key_that_is_missing_or_unknown_is_told(tmp_path: Path, kind: str) -> None:
    needed = [field.name for field in dataclasses.fields(MECHANISMS[kind]) if field.default is dataclasses.MISSING]
    for key in needed:
        left = {name: value for name, value in GOOD[kind].items() if name != key}
        asked = (
            "strategy is missing: matrix needs the file" if key == "entries" else f"{key} is missing: {kind} needs it"
        )
        with pytest.raises(PlanError, match=rf"mechanism\.{asked}"):
            plan_file.read(written(tmp_path, kind, left))
    with pytest.raises(PlanError, match=r"mechanism\.wrong is not one of: kind, "):
        plan_file.read(written(tmp_path, kind, GOOD[kind] | {"wrong": "1"}))


@pytest.mark.parametrize("kind", MECHANISMS)
def test_the_page_of_help_names_every_kind_and_key(kind: str) -> None:
    entry = next(
        block
        for block in PAGE.split("\n\n")
        if block.startswith("- ") and kind in block[2:].partition(":")[0].split(", ")
    )
    for field in dataclasses.fields(MECHANISMS[kind]):
        assert field.name in entry


@pytest.mark.parametrize("scale", ["5", "3", "7.3", "1/3", "0.11"])
def test_laplace_noise_is_given_by_its_scale_as_well(tmp_path: Path, scale: str) -> None:
    """ε is what the scale makes of it, rounded up."""
    for kind, beside, reach in (("laplace", {}, 1), ("discrete-laplace", {"sensitivity": "3"}, 3)):
        if "/" in scale:
            with pytest.raises(PlanError, match="noise_scale"):
                plan_file.read(written(tmp_path, kind, {"noise_scale": scale}))
            continue
        made = plan_file.read(written(tmp_path, kind, {**beside, "noise_scale": scale})).plan.only_phase.mechanism
        assert reach <= Fraction(made.epsilon) * Fraction(float(scale)) <= reach * (1 + Fraction(1, 2**50))


@pytest.mark.parametrize("kind", ["laplace", "discrete-laplace"])
def test_ten_mistakes_of_a_scale_are_told(tmp_path: Path, kind: str) -> None:
    for value in NUMBERS:
        with pytest.raises(PlanError, match=r"plan.yaml:2: phases\[0\].mechanism.noise_scale"):
            plan_file.read(written(tmp_path, kind, {"noise_scale": value}))
    with pytest.raises(PlanError, match="noise_scale and epsilon say the same thing in two ways"):
        plan_file.read(written(tmp_path, kind, {"noise_scale": "5", "epsilon": "0.2"}))
    for value, said in (  # beyond what mechanisms take of ε
        ("1e-300", "=1e-300 is less than 0.01: such noise hides nothing."),
        ("1e-9", "=1e-09 is less than 0.01: such noise hides nothing."),
        ("1e300", "=1e+300 is more than 1000000: nothing of an answer would be left."),
    ):
        with pytest.raises(PlanError, match=re.escape(f"noise_scale{said}")) as told:
            plan_file.read(written(tmp_path, kind, {"noise_scale": value}))
        assert "epsilon" not in str(told.value)
    with pytest.raises(PlanError, match="noise_scale is not one of"):
        plan_file.read(written(tmp_path, "exponential", {"noise_scale": "5"}))


def released(folder: Path, epsilon: str, delta: str, beside: str = "", sampling: str = "") -> plan_file.PlanFile:
    file = folder / "plan.yaml"
    phase = f"{{name: a, mechanism: {{kind: gaussian, epsilon: {epsilon}, delta: {delta}}}{sampling}}}"
    file.write_text(f"{beside}phases:\n  - {phase}\n", encoding="utf-8")
    return plan_file.read(file)


def analytic(sigma: mpmath.mpf, epsilon: float, sensitivity: int) -> mpmath.mpf:
    """δ at ε of a Gaussian release: Balle, Wang 2018, Theorem 8."""
    with mpmath.workdps(60):
        reach, place = sensitivity / sigma, epsilon * sigma / sensitivity
        return mpmath.ncdf(reach / 2 - place) - mpmath.exp(epsilon) * mpmath.ncdf(-reach / 2 - place)


@pytest.mark.parametrize(
    ("epsilon", "delta", "sigma"),
    [("1", "1e-6", 4.224679), ("0.1", "1e-9", None), ("8", "1e-5", None), ("1e-6", "1e-12", None), ("99", "0.3", None)],
)
def test_gaussian_noise_is_given_by_what_one_release_costs(
    tmp_path: Path, epsilon: str, delta: str, sigma: float | None
) -> None:
    for beside, reach in (("", 1), ("adjacency: zero-out\n", 1), ("adjacency: replace-one\n", 2)):
        read = released(tmp_path, epsilon, delta, beside)
        noise = Gaussian.of(read.plan.only_phase.mechanism).noise_multiplier
        assert sigma is None or noise == pytest.approx(reach * sigma, abs=2e-6)
        with mpmath.workdps(60):
            most, less = mpmath.mpf(delta), mpmath.mpf(noise) * (1 - mpmath.mpf("1e-5"))
        assert analytic(mpmath.mpf(noise), float(epsilon), reach) <= most < analytic(less, float(epsilon), reach)
        proven = accounting.delta(read.plan, float(epsilon)).upper
        assert proven is not None and proven <= float(delta)
        # From then on it is a plain Gaussian, whose plan says where its noise comes from, in JSON as well.
        assert read.openings == (None,) and type(read.plan.only_phase.mechanism) is Gaussian
        assert read.plan.origin("noise_multiplier") == f"for ε {float(epsilon):g}, δ {float(delta):g}"
        assert plan_json.plan_from_json(json.loads(json.dumps(plan_json.plan_to_json(read.plan)))) == read.plan


def test_of_a_sampled_phase_it_is_the_release_of_all_records(tmp_path: Path) -> None:
    sampled = released(tmp_path, "1", "1e-6", sampling=", sampling: {kind: poisson, sample_rate: 0.01}, steps: 9").plan
    (phase,) = sampled.phases
    assert Gaussian.of(phase.mechanism).noise_multiplier == pytest.approx(4.224679, abs=2e-6)
    assert sampled.origin("noise_multiplier") == "for ε 1, δ 1e-06 unsampled"
    cost = accounting.epsilon(sampled, 1e-6).upper
    assert cost is not None and cost < 0.2


def test_users_whose_examples_are_drawn_one_by_one_move_it_so_often(tmp_path: Path) -> None:
    read = released(tmp_path, "1", "1e-6", "unit: user\nn: 1000\nmax_per_user: 3\n")
    assert Gaussian.of(read.plan.only_phase.mechanism).noise_multiplier == pytest.approx(3 * 4.224679, abs=6e-6)


def test_plan_files_that_are_joined_keep_where_noise_comes_from(tmp_path: Path) -> None:
    released(tmp_path, "1", "1e-6")
    other = tmp_path / "other.yaml"
    other.write_text("phases: [{mechanism: {kind: laplace, epsilon: 1}}]\n", encoding="utf-8")
    file = str(tmp_path / "plan.yaml")
    parsed = plan_files.parse(PlanArguments(Settings(), files=(file,), spent=(str(other), file))).plan
    assert parsed is not None and dict(parsed.derivation) == {
        "phases[1].noise_multiplier": "for ε 1, δ 1e-06",
        "phases[2].noise_multiplier": "for ε 1, δ 1e-06",
    }
