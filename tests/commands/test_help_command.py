"""dpplan help: the list of what a certificate assumes, and the exit codes."""

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan import __main__ as program
from dpplan import errors
from dpplan.accounting.assumptions import CERTIFICATE, KINDS
from dpplan.commands import COMMANDS
from dpplan.render import help as topics
from dpplan.render.help_texts import PLAN_ALONE
from dpplan.sampling import CHOICES

Run = Callable[..., CompletedProcess[str]]
ABADI = ("epsilon", "--sigma", "4", "--q", "0.01", "--steps", "10000", "--delta", "1e-5")
# What a hostile reader would ask about: each word has to stand in the list somewhere.
ASKED = (
    "binary64", "rounded to nearest", "gradual underflow", "flush to zero", "extended precision", "fast-math",
    "units in the last place", "pocketfft", "numbers nearest to what was typed", "one part in 10^9", "python-flint",
    "free of bugs", "no bit flip", "Poisson", "coin of its own", "Shuffling", "clip norm", "floating point",
    "attacks on the last bits", "independent coordinates", "seeds", "fork", "copied run folder",
    "every step is counted", "earlier runs", "all iterates", "depends on what the earlier ones", "add or remove one",
    "Replacing one costs more", "person with k rows", "duplicated row", "number of examples",
    "Settings, architecture", "when to stop", "side channels", "How long a step takes", "loss, accuracy", "network",
    "buffer", "chance of δ", "Nothing here is signed", "Laplace",
    "every subset of that size", "every subset of the cap", "every order", "The n of a group under parallel",
    "for each example by itself and independently of all others", "stays in the n of its group",
    "independently of all others and of their number", "dpplan's own too",
    "every subset of the cap, anew at each step", "declares participations and separation", "whoever else is there",
    "an empty batch is a step like others", "one number for the whole phase", "drawn anew for each release",
    "which phases there are", "may take turns", "an empty bin is released with its noise",
    "what a choice chooses from", "as it is computed, rounding included", "the new one may have more or fewer",
    "not the length of a clipped vector", "by the weights or chances that",
    "nor of a later one but through what is released", "the fewest examples on the way", "as many blocks",
    "taken to its end before the next is drawn", "Every phase draws its own", "after every filter",
    "follows from nothing but itself: one that is left out", "read user for example", "dropout, augmentation",
    "an answer in whole numbers",
    "drawn for this run and known to nobody before it",
    "A complex number is two coordinates", "takes its place in a batch or a cap",
    "no list is released under add-remove",
    "not which trial finished first", "stand in an order that does not come from the data",
    "groups that take turns are kept for the whole phase", "of all parameters together", "A limit on time",
    "rows of an embedding that no example touched", "texts strung together and cut", "and what it says, follows",
    "same protected unit", "noise of exactly its law", "dominating pair", "adaptive composition",
)  # fmt: skip


def test_the_whole_list_is_printed_once_and_fits_a_screen(dpplan: Run) -> None:
    done = dpplan("help", "certificate")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    whole = " ".join(done.stdout.split())
    for number, each in enumerate(CERTIFICATE, 1):
        assert lines.count(f"{number:>3}. {each.name}") == 1
        assert " ".join(each.text.split()) in whole
        assert f"[{each.source}]" in whole
    assert dpplan("help", "assumptions").stdout == done.stdout


@pytest.mark.parametrize("asked", ASKED)
def test_a_hostile_reader_finds_what_he_asks_about(asked: str) -> None:
    assert any(asked in f"{each.name} {each.text} {each.source}" for each in CERTIFICATE), asked


def test_the_certificate_says_whose_truth_an_interval_holds(dpplan: Run) -> None:
    """Gradients of norm C/10 lose less than the lower end, which is of the worst within C."""
    said = " ".join(dpplan("help", "certificate").stdout.split())
    assert "Truth is that of the worst data and the worst gradients within the clip norm" in said


def test_the_law_of_every_scheme_is_told(dpplan: Run) -> None:
    said = " ".join(dpplan("help", "sampling").stdout.split())
    schemes = json.loads(dpplan("help", "sampling", "--json").stdout)["schemes"]
    for name, choice in CHOICES.items():
        assert choice.law.endswith(".") and choice.law == schemes[name]["law"]
        assert f"--sampling {name}: {choice.words}. {choice.law}" in said
        assert name == "full-batch" or re.search("same chance|by a coin|with chance q", choice.law), name


def test_every_assumption_is_whole_and_of_a_known_kind() -> None:
    assert len({each.name for each in CERTIFICATE}) == len(CERTIFICATE)
    assert {each.kind for each in CERTIFICATE} == set(KINDS)
    for each in CERTIFICATE:
        assert each.text.endswith("."), each.name
        assert each.source, each.name


@pytest.mark.sweep(slow=("more1",))
@pytest.mark.parametrize("more", [(), ("--accountant", "all")])
def test_explain_names_every_assumption_once_and_where_they_are_told(dpplan: Run, more: tuple[str, ...]) -> None:
    whole = " ".join(dpplan(*ABADI, "--explain", *more, "--delta", "1e-6").stdout.split())
    assert whole.count("dpplan help certificate") == 1
    for each in CERTIFICATE:
        assert (each.name in whole) == (each.name != "ball arithmetic, with --prove")
    assert "dpplan help certificate" not in dpplan(*ABADI, *more).stdout


def test_every_exit_code_is_told(dpplan: Run) -> None:
    lines = dpplan("help", "exit-codes").stdout.splitlines()
    told = [int(line.split()[0]) for line in lines if re.match(r" *\d+  ", line)]
    assert told == [*errors.STATUS_MEANINGS, 130, 141]
    assert max(map(len, lines)) <= 80
    overview = " ".join(dpplan("--help").stdout.split())
    for code in errors.STATUS_MEANINGS:
        assert re.search(rf"[ ;]{code} [a-z]", overview.partition("Exit status:")[2]), code


def test_topics_are_listed_and_a_wrong_one_is_told(dpplan: Run) -> None:
    listed = dpplan("help").stdout
    assert [line.split()[0] for line in listed.splitlines()[: len(topics.TOPICS)]] == list(topics.TOPICS)
    wrong = dpplan("help", "certifcate")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Did you mean 'certificate'?" in wrong.stderr
    assert dpplan("help", "epsilon").stdout == dpplan("epsilon", "--help").stdout != ""
    inner = ("compare", "accountants")
    assert dpplan("help", *inner).stdout == dpplan(*inner, "--help").stdout != ""
    assert "'compare nothing' is not a topic" in dpplan("help", "compare", "nothing").stderr


def test_json_has_all_of_it(dpplan: Run) -> None:
    content = json.loads(dpplan("help", "certificate", "--json").stdout)
    assert (content["schema"], len(content["assumptions"])) == ("dpplan.help/1", len(CERTIFICATE))
    assert set(content["assumptions"][0]) == {"name", "kind", "text", "source"}
    assert set(json.loads(dpplan("help", "--json").stdout)["topics"]) == set(topics.TOPICS)


def test_a_topic_may_be_written_with_an_underscore(dpplan: Run) -> None:
    assert dpplan("help", "exit_codes").stdout == dpplan("help", "exit-codes").stdout != ""


WHOSE = {
    (): "add or remove one example",
    ("--adjacency", "zero-out"): "neighbours: zero out one example",
    ("--adjacency", "replace-one"): "neighbours: replace one example",
    ("--unit", "user"): "neighbours: add/remove one user, drawn and clipped whole",
    ("--unit", "user", "--max-per-user", "3"): "neighbours: add/remove one user of at most 3 examples",
    ("--adjacency", "zero-out", "--unit", "user"): "neighbours: zero out one user, drawn and clipped whole",
}
ASKED_OF = (
    ("epsilon", "--sigma", "4", "--q", "0.01", "--steps", "10", "--delta", "1e-5"),
    ("delta", "--sigma", "4", "--q", "0.01", "--steps", "10", "--eps", "1"),
    ("solve", "--target-eps", "1", "--q", "0.01", "--steps", "10", "--delta", "1e-5"),
    ("compare", "accountants", "--sigma", "4", "--q", "0.01", "--steps", "10", "--delta", "1e-5"),
)


@pytest.mark.parametrize("whose", WHOSE, ids=" ".join)
@pytest.mark.parametrize("asked", ASKED_OF, ids=lambda asked: asked[0])
def test_explain_says_for_which_neighbours_and_whom(
    dpplan: Run, asked: tuple[str, ...], whose: tuple[str, ...]
) -> None:
    told = " ".join(dpplan(*asked, *whose, "--explain").stdout.rpartition("assumed by every")[2].split())
    assert f"claim {WHOSE[whose]}; n, the number of" in told
    assert not whose or "add or remove one example" not in told
    contributes = "a user" if whose[-2:] == ("--unit", "user") else "an example"
    assert f"bounded contribution of {contributes};" in told


def test_explain_of_a_verified_file_says_whom_each_figure_is_for(dpplan: Run, tmp_path: Path) -> None:
    run = ("--sigma", "4", "--q", "0.01", "--steps", "10", "--delta", "1e-5", "--adjacency", "zero-out", "--json")
    (tmp_path / "z.json").write_text(dpplan("epsilon", *run).stdout, encoding="utf-8")
    told = " ".join(dpplan("verify", "z.json", "--explain").stdout.split())
    assert "claim neighbours: zero out one example; n, the number of" in told and "add or remove" not in told


# How commands refuse a plan file that stands alone.
REFUSED = re.compile("left over|this takes recipes|is not the JSON|copy NAME|is not a topic|NAME is missing|is not a ")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("compare", "completion")])
def test_the_page_of_plan_files_says_which_commands_take_one_alone(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = str(Path(__file__).parents[2] / "recipes" / "plans" / "lecture-counts.yaml")
    monkeypatch.chdir(tmp_path)
    program.run([*command.split(), *[plan] * (2 if command == "compare plans" else 1)])
    said = " ".join("".join(capsys.readouterr()).replace(plan, "PLAN").split())
    assert (REFUSED.search(said) is None) == (command in PLAN_ALONE), said
    page = " ".join("\n".join(topics.TOPICS["plans"].lines()).split())
    assert f"{', '.join(PLAN_ALONE[:-1])} and {PLAN_ALONE[-1]}" in page


def test_every_command_that_counts_earlier_runs_says_alike_what_it_reads() -> None:
    said = {}
    for command in COMMANDS:
        module = (
            importlib.import_module(f"dpplan.commands.{command.replace(' ', '_')}") if command != "compare" else None
        )
        found = [each for each in getattr(getattr(module, "command", None), "params", []) if "--spent" in each.opts]
        said.update(dict.fromkeys([command] * len(found), "".join(each.help for each in found)))
    assert "solve" in said and "epsilon" in said and len(set(said.values())) == 1
    assert "whole plan" in said["solve"] and "DpEvent" in said["solve"]


@pytest.mark.parametrize(
    "said",
    [
        "e^(epsilon·score/(2·sensitivity))",
        "the sum of what it moves each by (L1)",
        "to which follows from nothing but that record",
        "is drawn once and kept for all answers",
        "with chance e^(epsilon·(score - best)/(2·sensitivity))",
        "What is chosen from is the same whatever the data say",
        "by chance e^epsilon/(e^epsilon + categories - 1), and with each other one by the same chance",
        "one unit for the whole stream and the threshold",
        "A threshold is a number that is the same whatever the data say",
        "follows from the noisy counts, not in that of the data",
        "where the unit is a user, read user for record",
        "round what each record adds, and not the sum",
        "all of them whole numbers, as of discrete-laplace",
        "a tree that is completed with empty steps releases more",
        "They are of C, and not of its inverse",
    ],
)
def test_mechanisms_say_what_their_law_is_of(dpplan: Run, said: str) -> None:
    """A choice that is private for another reason loses twice as much over many releases: 4.77 where 2.40 is told."""
    assert said in " ".join(dpplan("help", "mechanisms").stdout.split())


@pytest.mark.parametrize(
    "said",
    [
        "an empty bin is released with its noise like others",
        "minus the distance between the records below it and p of all records, those that there are",
        "then it has to be known anyway",
        "A value that is not a number adds nothing",
        "takes for granted that every record adds a value within them",
        "not those that pass a filter",
        "it is not drawn again",
        "not the one that finished first",
    ],
)
def test_plans_say_what_a_query_is_of(dpplan: Run, said: str) -> None:
    """Of bins that are printed only where somebody is in them, each alone tells who is: δ = 1 at every ε."""
    assert said in " ".join(dpplan("help", "plans").stdout.split())


def test_loaders_that_repeat_examples_on_several_devices_say_so(dpplan: Run) -> None:
    said = " ".join(dpplan("help", "sampling").stdout.split())
    for loader in ("Hugging Face Trainer", "Lightning with a shuffling DataLoader"):
        assert f"{loader} on one device (on several it is distributed)" in said
