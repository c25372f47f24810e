"""What several commands share, by itself: where output goes, limits, pictures, what a recipe needs to be known."""

import dataclasses
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dpplan import accounting, recipe
from dpplan.accounting import Guarantee
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.commands.shared import breakdown, cost_output, limit_options, output, plot_option, recipe_data
from dpplan.commands.shared.accountant_option import EXACT, AccountantChoice
from dpplan.commands.shared.cost import CostRequest, compute
from dpplan.commands.shared.request import Request
from dpplan.errors import MissingExtra, PlanError
from dpplan.mechanism import Laplace
from dpplan.plan import Delta, Plan
from dpplan.query_sensitivity import Query, accuracy
from dpplan.render.table import Column, Table, TableCell

PLAN = Plan.from_rate(4.0, 1.0, 7)
TABLE = Table((Column("a"), Column("b")), ((TableCell("1"), TableCell("22")),), ("a note",))
RECIPES = Path(__file__).parents[3] / "recipes"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# output


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.paint("1", "bad") == "1"
    monkeypatch.setattr("sys.stdout", Terminal())
    assert list(output.as_shown([output.paint("1", "bad")])) == ["\x1b[31m1\x1b[0m"]
    assert output.paint("1", "") == "1"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.paint("1", "bad") == "1"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert output.paint("1", "bad") == "1"


def test_a_colour_goes_on_where_a_line_is_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a line, and of the cells of a table that is too wide for the screen, also where several say the same."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("TERM", "xterm"), ("COLUMNS", "12")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    green, red, end = "\x1b[32m", "\x1b[31m", "\x1b[0m"
    output.say([f"so {output.paint('one two three', 'certified')} four"])
    folded = [f"so {green}one two{end}", f"  {green}three{end} four"]
    assert screen.getvalue().splitlines() == folded
    monkeypatch.setattr("sys.stdout", screen := Terminal())
    cells = (TableCell("bad", "bad"), TableCell(""), TableCell("bad at all times", "bad"), TableCell("bad"))
    output._say_stacked(Table((Column(""),) * 4, (cells,)), "")
    shown = [line.strip() for line in screen.getvalue().splitlines()[2:]]
    assert shown == [f"{red}bad{end}", f"{red}bad at all{end}", f"{red}times{end}", "bad"]


def test_a_table_is_plain_text_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(TABLE)
    assert capsys.readouterr().out.split() == ["a", "b", "1", "22", "a", "note"]


def test_on_a_terminal_a_table_is_never_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "10")
    wide = dataclasses.replace(TABLE, rows=((TableCell("1" * 60), TableCell("2" * 60)),))
    output.show(wide)
    assert "1" * 60 in screen.getvalue()
    assert "2" * 60 in screen.getvalue()


def test_on_a_terminal_every_heading_has_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    for columns in (40, 60):  # as wide as the table is, and wider than it
        monkeypatch.setenv("COLUMNS", str(columns))
        stream = Terminal()
        monkeypatch.setattr("sys.stdout", stream)
        output.show(Table((Column("a"), Column("b")), ((TableCell("1"), TableCell("2" * 37)),), keys=1))
        _, rule, row = stream.getvalue().splitlines()
        assert set(rule.strip()) == {"─"}
        assert len(row.rstrip()) == 40 <= len(rule)


def test_one_answer_is_a_headline_and_several_are_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    bounds = [(delta, accounting.epsilon(PLAN, delta)) for delta in (1e-5, 1e-6)]
    output.answers(bounds[:1])
    assert capsys.readouterr().out.startswith("ε = ")
    output.answers(bounds)
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_remarks_go_to_stderr_and_json_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    output.warn(["n is small. " * 20])
    output.as_json({"epsilon": 1.5, "other": None})
    seen = capsys.readouterr()
    assert json.loads(seen.out) == {"epsilon": 1.5, "other": None}
    assert seen.err.startswith("warning: n is small.")
    assert max(map(len, seen.err.splitlines())) <= 80


def test_a_delta_is_asked_at_epsilons_that_are_not_negative() -> None:
    assert limit_options.at_least_zero("eps", (0, 1.5)) == []
    assert limit_options.at_least_zero("eps", ()) == ["eps is missing: give --eps, once or several times."]
    wrong = limit_options.at_least_zero("eps", (-1.0, 1.0, -2.0))
    assert [each.partition(" ")[0] for each in wrong] == ["eps=-1", "eps=-2"]


# plot_option


def test_what_is_wrong_with_a_picture_is_known_before_it_is_drawn(tmp_path: Path) -> None:
    assert plot_option.problems(None) == plot_option.problems(tmp_path / "a.SVG") == ()
    (ending,) = plot_option.problems(tmp_path / "a.gif")
    assert "does not end in " in ending
    (folder,) = plot_option.problems(tmp_path / "no" / "a.svg")
    assert folder.endswith(f"the folder {tmp_path / 'no'} does not exist. Make it first.")


def test_a_missing_matplotlib_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    plot_option.needs_matplotlib()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="plot"):
        plot_option.needs_matplotlib()


# cost_output

CALL = Request(Plan((*PLAN.phases, *PLAN.phases)), (Delta(1e-5),), ("a warning",), earlier=1)


def quiet(sentence: str) -> None:
    return None


def test_what_earlier_runs_spent_is_shown_beside_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    cost = compute(CostRequest(CALL, "epsilon", (1e-5,), EXACT), quiet)
    cost_output.show(cost, explain=True)
    seen = capsys.readouterr()
    assert seen.out.startswith("ε = ")
    assert "before" in seen.out
    assert seen.err == "warning: a warning\n"
    cost_output.print_json(cost, ["another"], within=True)
    content = json.loads(capsys.readouterr().out)
    assert (content["warnings"], content["within"]) == (["another"], True)
    alone = accounting.epsilon(PLAN, 1e-5)
    assert content["spent_before"]["phases"] == 1
    assert content["spent_before"]["results"][0]["epsilon"]["upper"] == alone.upper
    assert content["results"][0]["epsilon"]["upper"] == accounting.epsilon(CALL.plan, 1e-5).upper


def test_the_error_of_a_histogram_is_that_of_each_bin() -> None:
    near = accuracy(Query("histogram"), Laplace(0.5), ADD_REMOVE, "example")
    (line,) = breakdown.accuracy_rows(["ages"], [near])
    assert " at 95 % each bin " in line
    assert "rests_on" not in breakdown.accuracies_content(["ages"], [near])[0]
    zeroed = accuracy(Query("histogram"), Laplace(0.5), ZERO_OUT, "example")
    first, second = breakdown.accuracy_rows(["ages"], [zeroed])
    assert (first, second.strip()) == (line, "a zeroed record being in no bin")
    assert breakdown.accuracies_content(["ages"], [zeroed])[0]["rests_on"] == second.strip()


def test_every_accountant_is_a_row_and_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    call = Request(PLAN, (Delta(1e-5),), ())
    cost = compute(CostRequest(call, "epsilon", (1e-5,), AccountantChoice("all", {})), quiet)
    cost_output.show(cost, explain=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "at δ = 1e-05"
    assert {line.split()[0] for line in lines[2:] if line} >= set(accounting.ACCOUNTANTS)
    cost_output.print_json(cost)
    content = json.loads(capsys.readouterr().out)
    assert {each["accountant"] for each in content["results"]} == set(accounting.ACCOUNTANTS)
    assert "spent_before" not in content
    certified = [each for each in content["results"] if each["accountant"] == "exact"]
    assert certified[0]["epsilon"]["guarantee"] == str(Guarantee.CERTIFIED)


# recipe_data


def test_examples_are_as_given_or_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    job = recipe.load(RECIPES / "digits.yaml")
    assert recipe_data.training_examples(job, 1437) == 1437
    loaded = SimpleNamespace(training=SimpleNamespace(units=1437))
    data = SimpleNamespace(load_for=lambda given: loaded if given is job else None)
    monkeypatch.setitem(sys.modules, "dpplan.train", SimpleNamespace(data=data))  # which would load torch
    assert recipe_data.training_examples(job, None) == 1437
    with pytest.raises(PlanError, match=r"n=2.5"):
        recipe_data.training_examples(job, 2.5)
    facts = recipe_data.known(job, 1437)
    assert (facts.examples, facts.model.unseen, facts.typed) == (1437, "--n stands in for the data", False)


@pytest.mark.parametrize(
    ("name", "n", "rule"),
    [
        ("digits.yaml", 60_000, "n=60000 is not the number of training examples of recipe digits: .* or give --n 1437"),
        ("digits.yaml", 1797, "has 1797, of which data.held_out=0.2 leaves 1437"),
        ("names-lstm.yaml", 60_000, "data.source=names has"),
        ("digits-users.yaml", 1798, "n=1798 is more than the 1797 examples that data.source=digits has"),
    ],
)
def test_a_typed_n_that_is_not_that_of_known_data_is_refused(name: str, n: int, rule: str) -> None:
    job = recipe.load(RECIPES / name)
    for ask in (recipe_data.training_examples, recipe_data.known):
        with pytest.raises(PlanError, match=rule):
            ask(job, n)


def test_a_typed_n_that_nothing_confirms_is_called_typed() -> None:
    for name, n, typed in (("digits.yaml", 1437, False), ("digits-users.yaml", 178, True), ("cifar10.yaml", 9, True)):
        job = recipe.load(RECIPES / name)
        assert recipe_data.as_typed(job, n) is typed and not recipe_data.as_typed(job, None), name
    assert recipe_data.known(recipe.load(RECIPES / "mnist-15-epochs.yaml"), 60_000).typed
    assert recipe_data.typed_n(60_000, "a: ").startswith("a: n = 60000, as typed, not read from the data")


@pytest.mark.parametrize("package", ["torch", "torch.nn", "sklearn.datasets"])
def test_what_needs_torch_says_which_extra_has_it(package: str) -> None:
    with pytest.raises(MissingExtra, match="train"), recipe_data.needs_torch("the run"):
        raise ModuleNotFoundError(name=package)
    with pytest.raises(ModuleNotFoundError), recipe_data.needs_torch("the run"):
        raise ModuleNotFoundError(name="other")
