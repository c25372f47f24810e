"""Where the budget goes, as a picture: each phase alone, what it adds, the total, and what is proven of them."""

import math
import re
from pathlib import Path

import forked
import pytest

from dpplan import accounting
from dpplan.commands.shared import breakdown
from dpplan.plot import budget_by_phase as plot
from dpplan.plot import image_file
from dpplan.recipe import plan_file

PLAN = """\
adjacency: add-remove
n: 1000
phases:
  - {name: "a price of $5 or of $6 that has a very long name indeed", mechanism: {kind: gaussian, noise_multiplier: 2}}
  - parallel:
      - {name: one, mechanism: {kind: gaussian, noise_multiplier: 5}}
      - {name: two, mechanism: {kind: gaussian, noise_multiplier: 2.5}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "plan.yaml"
    found.write_text(PLAN, encoding="utf-8")
    return found


def drawn(file: Path, to: Path, accountant: str = "exact") -> list[str]:
    """What the picture says."""
    plan = plan_file.read(file)

    def ask(one, at):
        return accounting.epsilon(one, at, accountant)

    whole = ask(plan.plan, 1e-5)
    said: list[str] = []
    costs = breakdown.of(plan.plan, plan.names, [(1e-5, whole)], ask, said.append)
    count = len(plan.names)  # each takes its time
    assert said[:count] == [f"what {name} costs alone, phase {at} of {count}" for at, name in enumerate(plan.names, 1)]
    assert sorted(each.split(" adds, ")[0] for each in said[count:]) == sorted(f"what {name}" for name in plan.names)
    assert [each.split(" adds, ")[1] for each in said[count:]] == [f"phase {at + 1} of {count}" for at in range(count)]
    parts = [
        plot.BudgetPart(each.name, each.group, each.alone, each.marginal, each.about, each.unknown) for each in costs
    ]
    plot.draw(parts, whole, 1e-5, to, ["the architecture"])
    return re.findall(r"<text[^>]*>([^<]*)</text>", to.read_text(encoding="utf-8")) if to.suffix == ".svg" else []


def test_it_says_what_each_phase_costs_and_what_is_proven(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(image_file._STYLE, "svg.fonttype", "none")
    said = drawn(file, tmp_path / "a.svg")
    content = forked.dpplan("epsilon", "plan.yaml", "--delta", "1e-5", cwd=tmp_path).stdout
    total = re.search(r"all together +([\d.]+)", content)
    assert total is not None and f"Where the budget goes: ε = {total[1]} at δ = 1e-05 (certified)" in said
    alone = accounting.epsilon(plan_file.read(file).plan, 1e-5)
    assert float(total[1]) >= (alone.upper or math.inf)
    assert {"one (1.1)", "two (1.2)", "all together", "group 1.1", "group 1.2", "all records", "alone"} <= set(said)
    assert sum(text.endswith(" alone") for text in said) == sum(text.startswith("adds ≤ ") for text in said) == 3
    assert "certified: every figure; accountant: exact" in said
    assert "assumes full batch, no example in two groups, add/remove one example" in said
    assert "public, costs nothing: the architecture" in said
    assert any("$5 or of" in text for text in said)  # the signs of a formula are letters here


def test_what_is_an_estimate_says_so_and_adds_nothing_proven(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(image_file._STYLE, "svg.fonttype", "none")
    sampled = "noise_multiplier: 2}, steps: 9, sampling: {kind: poisson, sample_rate: 0.1}"
    file.write_text(PLAN.replace("noise_multiplier: 2.5}", sampled), encoding="utf-8")
    said = drawn(file, tmp_path / "a.svg", "gdp")
    assert any("Where the budget goes: ε ≈ " in text and "(estimate)" in text for text in said)
    assert "adds: not proven" in said and any(text.startswith("estimate: all together, two") for text in said)
    text = forked.dpplan("epsilon", "plan.yaml", "--delta", "1e-5", "--accountant", "gdp", cwd=tmp_path).stdout
    assert "not proven" in text and "nan" not in text


def test_where_only_the_rise_of_a_bound_is_known_it_stands_as_in_the_table(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(image_file._STYLE, "svg.fonttype", "none")
    said = drawn(file, tmp_path / "a.svg", "rdp")
    table = forked.dpplan("epsilon", "plan.yaml", "--delta", "1e-5", "--accountant", "rdp", cwd=tmp_path).stdout
    figures = re.findall(r"≈ ([\d.]+)$", table, re.MULTILINE)
    assert len(figures) == 3 and [text for text in said if text.startswith("adds ")][:3] == [
        f"adds ≈ {figure}" for figure in figures
    ]
    assert any(text.startswith("adds ≈: by how much") for text in said)


def test_what_was_not_asked_says_so(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(image_file._STYLE, "svg.fonttype", "none")
    monkeypatch.setattr(breakdown, "LONGEST", 0.0)
    assert drawn(file, tmp_path / "a.svg").count("adds: not asked") == 3


@pytest.mark.slow
def test_the_same_plan_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    for suffix in image_file.FORMATS:
        for name in "ab":
            drawn(file, tmp_path / f"{name}{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_command_draws_it_and_refuses_what_has_no_phases(file: Path, tmp_path: Path) -> None:
    done = forked.dpplan("epsilon", "plan.yaml", "--delta", "1e-5", "--plot", "a.svg", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "") and "drawn to a.svg" in done.stdout
    assert (tmp_path / "a.svg").is_file()
    run = ("--sigma", "1", "--q", "0.1", "--steps", "3", "--delta", "1e-5")
    done = forked.dpplan("epsilon", *run, "--plot", "b.svg", cwd=tmp_path)
    assert done.returncode == 2 and "--plot draws the phases of a plan file" in done.stderr
    words = ("epsilon", "plan.yaml", "--delta", "1e-5", "--delta", "1e-6", "--accountant", "all", "--plot", "b.svg")
    done = forked.dpplan(*words, cwd=tmp_path)
    assert done.returncode == 2 and "of one accountant" in done.stderr and "of one δ" in done.stderr
    assert not (tmp_path / "b.svg").exists()
