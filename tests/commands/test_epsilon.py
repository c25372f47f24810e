"""dpplan epsilon in a process of its own."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
ABADI = ("--sigma", "4", "--q", "0.01", "--steps", "10000", "--delta", "1e-5")
MNIST = ("--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")


def test_one_delta_gives_a_headline_and_all_it_rests_on(dpplan: Run) -> None:
    done = dpplan("epsilon", *MNIST, "--delta", "1e-5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ε = 2.38169 at δ = 1e-05           certified: 2.38168972 ≤ ε ≤ 2.38168973",
        "",
        "  noise multiplier   1.1",
        "  sample rate        0.00426667       = 256 / 60000",
        "  steps              14063            = ⌈60 epochs × 60000 / 256⌉",
        "  assumes            Poisson sampling, add/remove one example",
    ]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("plan", "value"),
    [
        (ABADI, 0.94686680076),
        (("--sigma", "1", "--q", "1/8", "--steps", "800", "--delta", "1e-5"), 28.849065),
        (("--sigma", "1", "--q", "1/79", "--epochs", "10", "--delta", "1e-5"), 2.106785),
        (("--noise-multiplier", "1", "--sample-rate", "1/79", "--steps", "3950", "--delta", "1e-5"), 4.831008),
        (("--sigma", "2.5", "--q", "1/79", "--steps", "790", "--delta", "1e-5"), 0.537815),
    ],
)
def test_json_holds_the_known_figures_unrounded(dpplan: Run, plan: tuple[str, ...], value: float) -> None:
    done = dpplan("epsilon", *plan, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "dpplan.epsilon/1"
    (result,) = answer["results"]
    figure = result["epsilon"]
    assert (figure["guarantee"], figure["accountant"], figure["estimate"]) == ("certified", "exact", None)
    assert figure["lower"] <= figure["upper"]
    assert figure["upper"] == pytest.approx(value, rel=1e-6)
    assert len(repr(figure["upper"])) > 12


@pytest.mark.parametrize(
    ("choice", "value", "guarantee"),
    [
        (("moments",), 1.258575, "upper"),
        (("rdp", "--conversion", "classic"), 1.258376, "upper"),
        (("rdp",), 1.035384, "upper"),
        (("gdp",), 0.942440, "estimate"),
    ],
)
def test_the_accountant_that_was_asked_answers(
    dpplan: Run, choice: tuple[str, ...], value: float, guarantee: str
) -> None:
    (result,) = json.loads(dpplan("epsilon", *ABADI, "--json", "--accountant", *choice).stdout)["results"]
    assert result["accountant"] == choice[0]
    figure = result["epsilon"]
    assert figure["guarantee"] == guarantee
    proven, unproven = ("estimate", None) if guarantee == "estimate" else ("upper", figure["estimate"])
    assert figure[proven] == pytest.approx(value, rel=1e-6)
    assert (figure["lower"], unproven) == (None, None)
    shown = dpplan("epsilon", *ABADI, "--accountant", *choice).stdout.splitlines()[0]
    assert re.match(rf"ε {'≈' if guarantee == 'estimate' else '≤'} [\d.]+ at δ = 1e-05 +{guarantee}: ", shown)
    assert len(shown) <= 80


def test_json_says_everything_the_text_says(dpplan: Run) -> None:
    answer = json.loads(dpplan("epsilon", *MNIST, "--max-eps", "3", "--json").stdout)
    assert answer["plan"] == {
        "noise_multiplier": 1.1,
        "sample_rate": 256 / 60000,
        "steps": 14063,
        "adjacency": "add_remove",
        "privacy_unit": "example",
        "examples": 60000,
        "batch_size": 256,
        "derivation": {"sample_rate": "256 / 60000", "steps": "⌈60 epochs × 60000 / 256⌉"},
        "phases": [
            {
                "mechanism": "gaussian",
                "noise_multiplier": 1.1,
                "sampling": "poisson",
                "sample_rate": 256 / 60000,
                "steps": 14063,
            }
        ],
    }
    assert answer["assumptions"] == {
        "sampling": "Poisson sampling",
        "adjacency": "add_remove",
        "privacy_unit": "example",
    }
    assert (answer["max_eps"], answer["within"], answer["warnings"]) == (3, True, [])
    (result,) = answer["results"]
    assert (result["delta"], result["delta_reason"]) == (1e-6, "largest power of ten ≤ 1 / (10 × 60000)")
    assert result["details"]["method"] == "contour"


def test_counts_may_be_written_as_people_write_them(dpplan: Run) -> None:
    same = [
        dpplan("epsilon", "--sigma", "1.1", "--n", n, "--batch", "256", "--epochs", "60").stdout
        for n in ("60000", "6e4", "60_000")
    ]
    assert same[0] == same[1] == same[2] != ""


def test_several_deltas_give_several_rows(dpplan: Run) -> None:
    done = dpplan("epsilon", *MNIST, "--delta", "1e-5", "--delta", "1e-6")
    table = done.stdout.splitlines()[:3]
    assert [line.split()[:3] for line in table] == [
        ["δ", "ε", "guarantee"],
        ["1e-05", "2.38169", "certified"],
        ["1e-06", "2.69677", "certified"],
    ]


def test_all_accountants_stand_in_one_table(dpplan: Run) -> None:
    lines = dpplan("epsilon", *ABADI, "--accountant", "all").stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:10]}
    assert list(rows) == ["exact", "gdp", "zcdp", "rdp", "moments", "optimal", "advanced", "basic"]
    assert rows["exact"][:3] == ["0.946867", "1.000", "certified"]
    assert rows["rdp"][:3] == ["1.03539", "1.093", "upper"]
    assert "under-reports:" in rows["gdp"]
    assert "refuses:" in rows["zcdp"]
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("zcdp: sample_rate=0.01 is below 1") for line in lines)


def test_the_tightest_proof_is_held_against_the_limit(dpplan: Run) -> None:
    assert dpplan("epsilon", *ABADI, "--accountant", "all", "--max-eps", "0.95").returncode == 0
    assert dpplan("epsilon", *ABADI, "--accountant", "all", "--max-eps", "0.9467").returncode == 1


@pytest.mark.parametrize(("accountant", "figure"), [("exact", "= 0.946867"), ("gdp", "≈ 0.942441")])
def test_above_the_limit_the_status_is_1_and_the_answer_still_shown(dpplan: Run, accountant: str, figure: str) -> None:
    done = dpplan("epsilon", *ABADI, "--accountant", accountant, "--max-eps", "0.9")
    assert done.returncode == 1
    assert done.stdout.startswith(f"ε {figure} at δ = 1e-05")
    assert done.stderr == f"error: ε {figure} at δ = 1e-05 exceeds --max-eps 0.9.\n"


def test_a_loose_bound_above_the_limit_points_to_a_tighter_one(dpplan: Run) -> None:
    done = dpplan("epsilon", *ABADI, "--accountant", "rdp", "--max-eps", "1", "--json")
    assert (done.returncode, json.loads(done.stdout)["within"]) == (1, False)
    assert "--accountant exact may prove less" in done.stderr


def test_explain_shows_what_the_accountant_chose(dpplan: Run) -> None:
    exact = dpplan("epsilon", *ABADI, "--explain").stdout
    assert re.search(r"^  method +contour: δ as an integral", exact, re.MULTILINE)
    assert re.search(r"^  chosen because +the first choice", exact, re.MULTILINE)
    assert re.search(r"^  errors in δ +at most +of δ$", exact, re.MULTILINE)
    term = re.search(r"^ +transform and rounding +(\S+) +(\S+) +quadrature and floating point$", exact, re.MULTILINE)
    assert term
    assert float(term[1]) / 1e-5 <= float(term[2]) < 1e-9
    assert max(map(len, exact.splitlines())) <= 80
    assert "all iterates: every noisy step, not the final model only" in " ".join(exact.split())
    rdp = dpplan("epsilon", *ABADI, "--explain", "--accountant", "rdp").stdout
    assert re.search(r"^  order +17\.2199$", rdp, re.MULTILINE)
    assert "Kamath and\n" + 21 * " " + "Steinke 2020, Prop 12\n" in rdp


@pytest.mark.sweep(slow=("plan1",))
@pytest.mark.parametrize(
    ("plan", "method"),
    [
        (("--sigma", "1", "--q", "0.001", "--steps", "2"), "two steps: "),
        (("--sigma", "0.16", "--q", "0.18", "--steps", "5"), "grid: "),
        (("--sigma", "1", "--q", "0.1", "--steps", "5", "--adjacency", "replace-one"), "lattice of any law: "),
        (("--sigma", "1", "--q", "0.01", "--steps", "1"), "closed form: "),
        (("--sigma", "4", "--q", "1", "--steps", "9"), "closed form: "),
        (("--sigma", "4", "--q", "1e-9", "--steps", "9"), "total variation: "),
    ],
)
def test_explain_says_what_each_method_does_and_when_it_is_chosen(
    dpplan: Run, plan: tuple[str, ...], method: str
) -> None:
    lines = dpplan("epsilon", *plan, "--delta", "1e-5", "--explain").stdout.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("  method ")]
    assert lines[at][21:].startswith(method)
    assert any(line.startswith("  chosen because ") for line in lines[at:])
    assert max(map(len, lines)) <= 80


def test_every_mistake_of_a_call_is_told_at_once(dpplan: Run) -> None:
    call = "epsilon --q 1% --n many --sigma -1 --delta 4 --accountant exat --max-lambda 1.5 --max-eps no"
    done = dpplan(*call.split())
    assert (done.returncode, done.stdout) == (2, "")
    head, *problems = done.stderr.splitlines()
    assert head == "error: 8 problems with this plan"
    for start in (
        "  sigma=-1 is not a positive number.",
        "  n=many is not a whole number of at least 1.",
        "  the length of the run is missing: give --steps or --epochs.",
        "  q=1% is a percentage, where a fraction is meant. Write --q 0.01.",
        "  delta=4 is not in (0, 1).",
        "  accountant=exat is not one of: exact, gdp,",
        "  max_lambda=1.5 is not a whole number",
        "  max_eps=no is not a positive number.",
    ):
        assert any(problem.startswith(start) for problem in problems), start


def test_a_delta_too_large_is_a_warning_alone_and_a_problem_among_others(dpplan: Run) -> None:
    fine = ("epsilon", "--sigma", "1", "--n", "100", "--epochs", "10", "--delta", "0.1")
    alone = dpplan(*fine, "--batch", "25")
    assert alone.returncode == 0
    assert alone.stderr.startswith("warning: delta=0.1 is not below 1/n = 0.01:")
    (warning,) = json.loads(dpplan(*fine, "--batch", "25", "--json").stdout)["warnings"]
    assert warning.startswith("delta=0.1 is not below 1/n = 0.01:")
    among = dpplan(*fine, "--batch", "256")
    assert among.returncode == 2
    assert among.stderr.splitlines() == [
        "error: 2 problems with this plan",
        "  batch=256 exceeds n=100: the sample rate would be 2.56. Lower --batch or check --n.",
        "  delta=0.1 is not below 1/n = 0.01: it would allow publishing whole records. Try --delta 0.001.",
    ]


def test_an_epsilon_that_rules_nothing_out_is_told(dpplan: Run) -> None:
    large = ("epsilon", "--sigma", "0.2", "--q", "0.5", "--steps", "100", "--delta", "1e-5")
    said = "warning: an ε of 872.4 rules out no attack at all (dpplan check --explain DP002)."
    found = dpplan(*large)
    assert (found.returncode, found.stderr.strip()) == (0, said)
    (warning,) = json.loads(dpplan(*large, "--json").stdout)["warnings"]
    assert f"warning: {warning}" == said


def test_an_option_for_another_accountant_is_refused(dpplan: Run) -> None:
    done = dpplan("epsilon", *ABADI, "--conversion", "classic")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --conversion is for rdp and zcdp, and the accountant is exact.")


def test_an_accountant_without_a_theorem_refuses_with_status_3(dpplan: Run) -> None:
    done = dpplan("epsilon", *ABADI, "--accountant", "zcdp")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: zcdp: sample_rate=0.01 is below 1")


def test_piped_output_is_the_same_every_time_and_has_no_colour(dpplan: Run, tmp_path: Path) -> None:
    call = ("epsilon", *ABADI, "--accountant", "all", "--explain")
    first, second = dpplan(*call), dpplan(*call, COLUMNS="200")
    assert first.stdout == second.stdout
    assert "\x1b" not in first.stdout


def test_noise_and_epochs_that_may_be_swapped_are_asked_about_beside_the_answer(dpplan: Run) -> None:
    run = ("epsilon", "--n", "60000", "--batch", "256", "--accountant", "rdp")  # the question is of the plan
    done, record = (dpplan(*run, "--sigma", "60", "--epochs", "1.1", *more) for more in ((), ("--json",)))
    asked = "sigma=60 is much noise and epochs=1.1 a short run. If the two are swapped: --sigma 1.1 --epochs 60."
    assert (done.returncode, " ".join(done.stderr.split())) == (0, f"warning: {asked}")
    assert asked in json.loads(record.stdout)["warnings"]
    assert dpplan(*run, "--sigma", "1.1", "--epochs", "60").stderr == ""
