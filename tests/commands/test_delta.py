"""dpplan delta in a process of its own."""

import json
import re
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
PLAN = ("--sigma", "1", "--q", "1/79", "--epochs", "10")


def test_delta_is_the_inverse_of_epsilon(dpplan: Run) -> None:
    (spent,) = json.loads(dpplan("epsilon", *PLAN, "--delta", "1e-5", "--json").stdout)["results"]
    done = dpplan("delta", *PLAN, "--eps", repr(spent["epsilon"]["upper"]), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "dpplan.delta/1"
    (back,) = answer["results"]
    assert back["delta"]["guarantee"] == "certified"
    assert back["delta"]["lower"] <= 1e-5
    assert back["delta"]["upper"] == pytest.approx(1e-5, rel=1e-6)


def test_one_epsilon_gives_a_headline_and_several_give_rows(dpplan: Run) -> None:
    one = dpplan("delta", *PLAN, "--eps", "2").stdout.splitlines()
    stated = re.match(r"δ = (\S+) at ε = 2 +certified: (\S+) ≤ δ ≤ (\S+)$", one[0])
    assert stated
    assert 1e-5 < float(stated[2]) <= float(stated[3]) <= float(stated[1]) < 1.00001 * float(stated[3])
    assert len(one[0]) <= 80
    several = dpplan("delta", *PLAN, "--eps", "1", "--eps", "2").stdout.splitlines()
    assert several[0].split()[:2] == ["ε", "δ"]
    assert [line.split()[0] for line in several[1:3]] == ["1", "2"]
    assert several[2].split()[1] == stated[1]


def test_all_accountants_stand_beside_the_exact_one(dpplan: Run) -> None:
    answer = json.loads(dpplan("delta", *PLAN, "--eps", "2", "--accountant", "all", "--json").stdout)
    rows = {row["accountant"]: row for row in answer["results"]}
    assert len(rows) == 8
    assert (rows["exact"]["ratio_to_exact"], rows["exact"]["under_reports"]) == (1, False)
    assert rows["gdp"]["delta"]["estimate"] < rows["exact"]["delta"]["lower"]
    assert rows["gdp"]["under_reports"]
    assert rows["zcdp"]["delta"] is None
    assert rows["zcdp"]["refusal"].startswith("zcdp: ")
    assert rows["rdp"]["delta"]["upper"] > rows["exact"]["delta"]["upper"]
    text = dpplan("delta", *PLAN, "--eps", "2", "--accountant", "all").stdout
    assert "gdp: its δ ≈ " in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_missing_epsilon_is_told_with_the_rest(dpplan: Run) -> None:
    done = dpplan("delta", "--sigma", "1")
    assert done.returncode == 2
    assert "3 problems" in done.stderr
    assert "eps is missing: give --eps, once or several times." in done.stderr
    assert "eps=-1 is not at least 0." in dpplan("delta", *PLAN, "--eps", "-1").stderr
