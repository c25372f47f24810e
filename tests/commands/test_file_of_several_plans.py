"""Of a file with several figures none is chosen by its place: what stands for all of it is, or it is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dpplan import report, verify
from dpplan.commands import compare_plans, epsilon, risk
from dpplan.commands import report as report_command
from dpplan.errors import ReportError

PLAN = ("--sigma", "1", "--q", "0.05", "--steps", "100")
BEFORE = ("--spent", "sigma=20,q=0.01,steps=4")


def called(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


def kept(folder: Path, command: Any, *arguments: str) -> Path:
    done = called(command, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    file = folder / "answer.json"
    file.write_text(done.stdout, encoding="utf-8")
    return file


def test_with_earlier_runs_the_whole_is_reported_and_not_its_first_part(tmp_path: Path) -> None:
    file = kept(tmp_path, epsilon.command, *PLAN, *BEFORE, "--delta", "1e-5")
    content = json.loads(file.read_text(encoding="utf-8"))
    whole = content["results"][0]["epsilon"]["upper"]
    assert content["spent_before"]["results"][0]["epsilon"]["upper"] < 0.1 * whole
    page = report.gather(file, {})
    assert page.bound.value == pytest.approx(whole, rel=1e-6) and page.claimed == whole
    assert len(page.plan.phases) == 2
    again = json.loads(called(risk.command, str(file), "--json").stdout)
    assert again["plan"]["steps"] == 104
    counted = called(epsilon.command, *PLAN, "--spent", str(file), "--delta", "1e-5", "--json")
    assert json.loads(counted.stdout)["plan"]["steps"] == 204


@pytest.mark.parametrize("command", [report_command.command, risk.command])
def test_several_plans_are_refused(tmp_path: Path, command: Any) -> None:
    for sigma in ("1", "9"):
        noise = f"mechanism: {{kind: gaussian, noise_multiplier: {sigma}}}"
        text = f"adjacency: add-remove\nn: 1000\nphases:\n  - {noise}\n    steps: 1\n"
        (tmp_path / f"{sigma}.yaml").write_text(text, encoding="utf-8")
    names = (str(tmp_path / "1.yaml"), str(tmp_path / "9.yaml"))
    file = kept(tmp_path, compare_plans.command, *names, "--delta", "1e-5")
    done = called(command, str(file))
    assert isinstance(done.exception, ReportError)
    assert "holds figures of several plans" in str(done.exception)


@pytest.mark.parametrize("command", [report_command.command, risk.command])
def test_of_several_deltas_one_has_to_be_said(tmp_path: Path, command: Any) -> None:
    file = kept(tmp_path, epsilon.command, *PLAN, "--delta", "1e-5", "--delta", "1e-7")
    done = called(command, str(file))
    assert isinstance(done.exception, ReportError)
    assert "several δ: 1e-05, 1e-07. Say at which δ, by --delta 1e-05." in str(done.exception)
    assert called(command, str(file), "--delta", "1e-7").exit_code == 0
    assert report.gather(file, {}, 1e-7).delta == 1e-7


def test_deltas_at_several_epsilons_are_several(tmp_path: Path) -> None:
    from dpplan.commands import delta

    file = kept(tmp_path, delta.command, *PLAN, "--eps", "3", "--eps", "4")
    document = verify.read(file)
    with pytest.raises(ReportError, match="several ε: 3, 4"):
        document.only_one(document.safe)
    assert document.only_one(()) is None
